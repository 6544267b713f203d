//! `portcullis config`: what is configured, whether it is right, and what can be.

use camino::Utf8PathBuf;

use crate::config::{json_schema, reference_markdown};
use crate::environment::Environment;
use crate::flags::Layers;
use crate::print;

/// Show, check or explain the configuration.
///
/// Defaults are overridden by the TOML file, that by environment variables such as PORTCULLIS__HTTP__BIND, and that
/// by flags.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  portcullis config show
  portcullis config check --config /etc/portcullis/portcullis.toml
  portcullis config reference > configuration.md
  portcullis config schema > portcullis.schema.json";

#[derive(clap::Subcommand)]
enum Action {
    /// Print every value and where it came from, as TOML.
    Show(File),
    /// Say all that is wrong with it; exits with 78 if anything is.
    Check(File),
    /// Print everything that can be set, as Markdown.
    Reference,
    /// Print a JSON schema of the file, for editors.
    Schema,
}

#[derive(clap::Args)]
struct File {
    /// The configuration file [default: $XDG_CONFIG_HOME/portcullis/portcullis.toml or
    /// ~/.config/portcullis/portcullis.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
}

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let load = |file: File| Layers::with_file(environment, file.config).load();
    let text = match args.action {
        Action::Show(file) => load(file)?.show(),
        Action::Check(file) => match load(file)?.config.file {
            Some(file) => format!("the configuration is right: `{file}`, with the environment"),
            None => {
                "the configuration is right: there is no file, so defaults and the environment".to_owned()
            }
        },
        Action::Reference => reference_markdown(),
        Action::Schema => json_schema(),
    };
    Ok(print::page(&text)?)
}
