//! `portcullis doctor`: looks at everything that a gateway needs, and says what to do.

mod check;
mod codex;
mod machine;
mod state;
mod workers;

use anyhow::bail;

use self::check::{Check, Verdict};
use crate::environment::Environment;
use crate::flags::{Codex, Home, Layers};
use crate::gateway::{self, StateDir};
use crate::print;

/// Check the machine, Codex, the login, the state directory and the settings, and say what to do.
///
/// It starts workers as a gateway would: Codex must read its configuration back as it was written, and a probe tries in the
/// cell of each profile what a hostile model would. Exits with 1 if anything would keep a gateway from working or is not
/// kept out; warnings alone are no failure. It leaves nothing behind.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    codex: Codex,
}

const EXAMPLES: &str = "\
Examples:
  portcullis doctor
  portcullis doctor --json --config /etc/portcullis/portcullis.toml";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).codex(args.codex).config()?;
    let told = match &config.file {
        Some(file) => format!("`{file}` is right"),
        None => "there is no file: defaults and the environment".to_owned(),
    };
    let mut checks = vec![Check::ok("configuration", told)];
    let running = StateDir::running(&config.state.dir)?;
    checks.extend(state::checks(&config, running.as_ref()).await);
    let binary = gateway::find_codex(config.codex.bin.as_deref(), environment).await;
    checks.extend(codex::checks(binary.as_ref(), &config).await);
    if let Ok(binary) = &binary {
        checks.extend(machine::checks(binary).await);
        checks.extend(workers::checks(binary, &config).await);
        checks.extend(state::weakened(&config, running, binary)?);
    }

    print::page(&if args.json { check::json(&checks) } else { check::table(&checks) })?;
    match checks.iter().filter(|check| check.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        1 => bail!("one check failed"),
        failed => bail!("{failed} checks failed"),
    }
}
