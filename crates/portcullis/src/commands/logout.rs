//! `portcullis logout`: Codex forgets the operator's login.

use anyhow::Context as _;
use portcullis_audit::Fact;

use crate::environment::Environment;
use crate::flags::{Codex, Home, Layers};
use crate::{gateway, logging, print};

/// Sign Codex out.
///
/// Codex itself forgets the login in its home; Portcullis never touches the file. A running gateway keeps what its
/// worker has read until that is replaced: restart it to be sure.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    codex: Codex,
}

const EXAMPLES: &str = "\
Examples:
  portcullis logout";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).codex(args.codex).config()?;
    logging::start(&config.log, environment);
    let binary = gateway::find_codex(config.codex.bin.as_deref(), environment).await?;
    let confined = gateway::decide_confinement(&config, &binary).await?;
    let signed_out = portcullis_codex::logout(&binary, &config.codex.home, &confined.confinement).await?;
    let Some(who) = signed_out else {
        return Ok(print::page(&format!("Nobody was signed in in `{}`.", config.codex.home))?);
    };
    let recorded = gateway::record(&config, Fact::SignedOut);
    print::page(&format!("Signed out: {who}. The login in `{}` is gone.", config.codex.home))?;
    recorded.context("that cannot be written into the audit log")
}
