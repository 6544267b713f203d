//! `portcullis login`: the operator signs Codex in, with a code typed into a browser on any machine.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use portcullis_audit::{Fact, Text};
use portcullis_codex::LoginPrompt;

use crate::config::Config;
use crate::environment::Environment;
use crate::flags::{Codex, Home, Layers};
use crate::signals::Signals;
use crate::{gateway, logging, print};

/// How long a person may take. OpenAI's codes live as long.
const WITHIN: Duration = Duration::from_mins(15);

/// Sign Codex in, once, with your own account.
///
/// Shows a page and a code; the browser may be on another machine. Codex keeps the login in its home (see
/// `codex.home` in `portcullis config show`); Portcullis never reads it. A running gateway notices it by itself.
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
  portcullis login
  portcullis login --codex-bin tools/codex/node_modules/.bin/codex";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).codex(args.codex).config()?;
    logging::start(&config.log, environment);
    let mut signals = Signals::listen()?;
    let signing_in = async {
        let binary = gateway::find_codex(config.codex.bin.as_deref(), environment).await?;
        let confined = gateway::decide_confinement(&config, &binary).await?;
        let home = &config.codex.home;
        anyhow::Ok(portcullis_codex::login(&binary, home, &confined.confinement, WITHIN, show).await)
    };
    // Dropping the sign-in ends the Codex that it runs.
    let (outcome, error) = tokio::select! {
        ended = signing_in => match ended? {
            Ok(who) => return signed_in(&config, &who),
            Err(error) => (error.outcome(), error.into()),
        },
        signal = signals.next() => ("cancelled", anyhow!("{signal} came before anybody was signed in")),
    };
    if let Err(unwritten) = gateway::record(&config, Fact::SignInFailed { outcome }) {
        tracing::warn!("That cannot be written into the audit log: {unwritten:#}");
    }
    Err(error)
}

fn signed_in(config: &Config, who: &str) -> anyhow::Result<()> {
    let recorded = gateway::record(config, Fact::SignedIn { account: Text::new(who) });
    print::page(&format!("Signed in: {who}. The login is in `{}`.", config.codex.home))?;
    recorded.context("that cannot be written into the audit log")
}

fn show(LoginPrompt { url, code }: LoginPrompt) {
    let text = format!(
        "To sign Codex in, open this page in a browser, on any machine:\n\n  {url}\n\nand type in this code:\n\n  \
         {code}\n\nType it only on that page, and give it to nobody. Waiting for you, at most {} minutes …",
        WITHIN.as_secs() / 60
    );
    // If nobody can read it, the wait ends by itself.
    let _ = print::page(&text);
}
