//! `portcullis reload`: has the running gateway read its configuration again.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use camino::Utf8Path;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use crate::config::Change;
use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::gateway::{Outcome, StateDir, reload_outcome, reload_request};
use crate::print;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Have the running gateway read its configuration again.
///
/// What can change while it runs holds for every request from then on; what can not is named, and needs a restart
/// (docs/CONFIG.md says which is which). A configuration with a mistake changes nothing. The gateway is found by the state
/// directory, and reads the file and the flags that it was started with. Exits with 1 if nothing was reloaded.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    home: Home,
}

const EXAMPLES: &str = "\
Examples:
  portcullis reload
  portcullis reload --json --state-dir /var/lib/portcullis
  systemctl reload portcullis    with ExecReload=/bin/kill -HUP $MAINPID";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    // The configuration that is to be reloaded may have a mistake, which the gateway tells.
    let state = match args.home.state_dir {
        Some(dir) => dir,
        None => Layers::of(environment, args.home).config()?.state.dir,
    };
    let Some(running) = StateDir::running(&state)? else {
        bail!("no gateway runs on the state directory `{state}`\n(hint: `portcullis serve` starts one)");
    };
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw);
    let outcome = ask(&state, pid.context("what runs there has no process id")?).await?;
    if args.json {
        print::page(&serde_json::to_string(&outcome)?)?;
    }
    if let Some(why) = outcome.refused {
        bail!("the gateway (process {}) has changed nothing: {why}", running.pid);
    }
    if !args.json {
        print::page(&page(running.pid, &outcome))?;
    }
    Ok(())
}

async fn ask(state: &Utf8Path, gateway: Pid) -> anyhow::Result<Outcome> {
    let file = reload_request(state);
    let failed = || format!("failed to write to `{file}`");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
    let mut request = opened.with_context(failed)?;
    // Held to the end, so that nobody else's word stands there meanwhile.
    flock(&request, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_taken| anyhow!("somebody else is reloading this gateway just now"))?;
    let word = Uuid::new_v4().to_string();
    request.set_len(0).and_then(|()| request.write_all(word.as_bytes())).with_context(failed)?;
    kill_process(gateway, Signal::HUP).context("the gateway cannot be asked")?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(outcome) = reload_outcome(state).filter(|outcome| outcome.request == word) {
            return Ok(outcome);
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "the gateway has not answered within {} seconds (hint: look at its log)",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn page(pid: u32, outcome: &Outcome) -> String {
    let mut page = format!("The gateway (process {pid}) has read its configuration again.\n");
    let mut list = |title: &str, changes: &[Change]| {
        if !changes.is_empty() {
            let _memory = writeln!(page, "{title}");
        }
        for Change { key, from, to } in changes {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
            let _memory = writeln!(page, "  {key}: {} -> {}", shown(from), shown(to));
        }
    };
    list("In force now:", &outcome.applied);
    list("Not in force, needs a restart:", &outcome.needs_restart);
    if outcome.applied.is_empty() && outcome.needs_restart.is_empty() {
        page.push_str("Nothing has changed.\n");
    }
    page
}
