//! `portcullis init`: a configuration file to begin with.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use anyhow::{Context as _, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::config;
use crate::environment::Environment;
use crate::flags::{Layers, default_file};
use crate::print;

/// Write a configuration file in which everything that can be set is explained.
///
/// Asks where the gateway listens, which Codex it runs and which model it uses, unless flags say so; without a terminal
/// nothing is asked. A file that is there is left alone.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file to write [default: $XDG_CONFIG_HOME/portcullis/portcullis.toml or
    /// ~/.config/portcullis/portcullis.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
    /// Where keys, login and everything else is kept.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<Utf8PathBuf>,
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDR")]
    bind: Option<SocketAddr>,
    /// The Codex program.
    #[arg(long, value_name = "PATH")]
    codex_bin: Option<Utf8PathBuf>,
    /// The model behind the names `codex` and `codex-high`.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Who serves the model: the Codex login, or the built-in demo model.
    #[arg(long, value_parser = ["openai", "lab"])]
    provider: Option<String>,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  portcullis init
  portcullis init --yes --bind 127.0.0.1:9000 --model gpt-5.5
  portcullis init --config /etc/portcullis/portcullis.toml --state-dir /var/lib/portcullis";

/// What can be asked for: the key, the flag, the question; an empty answer takes the default.
const QUESTIONS: [(&str, &str, &str); 3] = [
    ("http.bind", "--bind", "Where shall the gateway listen?"),
    ("codex.bin", "--codex-bin", "Which Codex program shall it run?"),
    ("codex.model", "--model", "Which model shall it use?"),
];

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let file = args.config.or_else(|| default_file(environment));
    let file =
        file.context("there is no default place for the file here\n(hint: say where with --config FILE)")?;
    let file = camino::absolute_utf8(&file).context("the working directory is gone")?;
    if file.exists() {
        bail!(
            "there is already a file `{file}`, which is left as it is\n(hint: choose another with --config FILE)"
        );
    }
    let absolute = |path: Utf8PathBuf| camino::absolute_utf8(&path).unwrap_or(path).into_string();
    let mut chosen: Vec<(&str, &str, String)> = Vec::new();
    chosen.extend(args.state_dir.map(|dir| ("state.dir", "--state-dir", absolute(dir))));
    chosen.extend(args.bind.map(|bind| ("http.bind", "--bind", bind.to_string())));
    chosen.extend(args.codex_bin.map(|bin| ("codex.bin", "--codex-bin", absolute(bin))));
    chosen.extend(args.model.map(|model| ("codex.model", "--model", model)));
    chosen.extend(args.provider.map(|kind| ("provider.kind", "--provider", kind)));
    if !args.yes && io::stdin().is_terminal() {
        ask(&mut chosen, environment)?;
    }
    check(&chosen, environment)?;
    let chosen: Vec<_> = chosen.into_iter().map(|(key, _, value)| (key, value)).collect();
    write(&file, &config::template(&chosen))?;
    print::page(&format!("Wrote `{file}`."))?;
    let told = if Some(&file) == default_file(environment).as_ref() {
        String::new()
    } else {
        format!(" --config {file}")
    };
    print::note(&format!(
        "Next:\n  portcullis doctor{told}\n  portcullis login{told}\n  portcullis key create --name my-app{told}\n  \
         portcullis serve{told}"
    ));
    Ok(())
}

/// Asks for what no flag has said, again until the answer can be used.
fn ask(
    chosen: &mut Vec<(&'static str, &'static str, String)>,
    environment: &Environment,
) -> anyhow::Result<()> {
    let config = Layers::new(environment).config()?;
    let defaults = [config.http.bind.to_string(), "codex on the PATH".to_owned(), config.codex.model.clone()];
    for ((key, flag, question), default) in QUESTIONS.into_iter().zip(defaults) {
        if chosen.iter().any(|(known, ..)| *known == key) {
            continue;
        }
        loop {
            write!(io::stderr(), "{question} [{default}] ")?;
            let mut answer = String::new();
            if io::stdin().lock().read_line(&mut answer)? == 0 {
                bail!("nobody answered\n(hint: --yes asks nothing)");
            }
            let answer = answer.trim();
            if answer.is_empty() {
                break;
            }
            match check(&[(key, flag, answer.to_owned())], environment) {
                Ok(()) => {
                    chosen.push((key, flag, answer.to_owned()));
                    break;
                }
                Err(error) => print::note(&error.to_string()),
            }
        }
    }
    Ok(())
}

/// Whether the values can be used, as the program itself reads them.
fn check(chosen: &[(&str, &str, String)], environment: &Environment) -> anyhow::Result<()> {
    let layers = chosen
        .iter()
        .fold(Layers::new(environment), |layers, (key, flag, value)| layers.flag(flag, key, Some(value)));
    layers.config()?;
    Ok(())
}

/// For its owner alone: a configuration may hold tokens. What is there is never overwritten.
fn write(file: &Utf8Path, text: &str) -> anyhow::Result<()> {
    let dir = file.parent().context("a file is in a directory")?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("failed to make `{dir}`"))?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write `{file}`"))
}
