//! `portcullis dashboard`: the way into the operator's pages.

use anyhow::{anyhow, bail};
use secrecy::ExposeSecret as _;

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::gateway::{StateDir, reachable};
use crate::print;

/// Make a one-time link to the operator's pages.
///
/// It is good once, for ten minutes, and a link that was made before is good no longer. The code in it stands behind a `#`,
/// which a browser sends to nobody; where scripts are off, paste it into the page.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    home: Home,
}

const EXAMPLES: &str = "\
Examples:
  portcullis dashboard
  portcullis dashboard --state-dir /var/lib/portcullis";

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).config()?;
    if !config.dashboard.enabled {
        bail!("the dashboard is off\n(hint: `enabled = true` in [dashboard])");
    }
    let state = &config.state.dir;
    let Some(running) = StateDir::running(state)? else {
        bail!("no gateway runs on the state directory `{state}`\n(hint: `portcullis serve` starts one)");
    };
    let address =
        running.address.ok_or_else(|| anyhow!("the gateway (process {}) is just starting", running.pid))?;
    let (code, good_for) = portcullis_dashboard::issue_code(state)?;
    print::page(&format!("http://{}/dashboard/sign-in#{}", reachable(address), code.expose_secret()))?;
    print::note(&format!(
        "Open it in a browser on this machine. It is good once, for {} minutes.",
        good_for.as_secs() / 60
    ));
    Ok(())
}
