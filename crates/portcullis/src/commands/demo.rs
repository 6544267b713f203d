//! `portcullis demo`: the whole gateway with the real Codex, on the built-in demo model, without any setup.

mod banner;
mod key;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use camino::Utf8PathBuf;
use portcullis_agent::Agent as _;
use portcullis_codex::Codex;

use crate::config::Config;
use crate::environment::Environment;
use crate::flags::Layers;
use crate::gateway::{Gateway, Handed, StateDir};
use crate::signals::{Hangups, Signals};
use crate::systemd::Manager;
use crate::{logging, print};

/// How long the worker may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What the log says between the banner and Ctrl-C: one line per turn, and what is wrong.
const LOG_LEVEL: &str = "warn,portcullis_agent=info";

/// Try Portcullis without a login: the real Codex, on a built-in demo model.
///
/// Prints a base URL, a key and a curl line that streams. No configuration file is read, no login is used, and no
/// request leaves this machine.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the gateway listens; port 0 is any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8320")]
    bind: SocketAddr,
    /// Where the demo keeps its key. The key's text is in `demo-key` there, which only the demo does.
    #[arg(long, value_name = "DIR", default_value = "./.portcullis")]
    state_dir: Utf8PathBuf,
    /// The Codex program [default: `codex` on the PATH].
    #[arg(long, value_name = "PATH")]
    codex_bin: Option<Utf8PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  portcullis demo
  portcullis demo --bind 127.0.0.1:9000 --codex-bin tools/codex/node_modules/.bin/codex";

impl Args {
    /// Nothing of the operator's own configuration, which may name real logins and servers; only how to log.
    fn config(self, environment: &Environment) -> anyhow::Result<Config> {
        let logging = environment.only(|name| name.starts_with("PORTCULLIS__LOG__"));
        let level = logging.get("PORTCULLIS__LOG__LEVEL").is_none().then_some(LOG_LEVEL);
        let layers = Layers::new(&logging)
            .flag("--bind", "http.bind", Some(self.bind))
            .flag("--state-dir", "state.dir", Some(self.state_dir))
            .flag("--codex-bin", "codex.bin", self.codex_bin)
            .flag("demo", "provider.kind", Some("lab"))
            .flag("demo", "log.level", level);
        Ok(layers.config()?)
    }
}

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = args.config(environment)?;
    logging::start(&config.log, environment);
    let (mut signals, hangups) = (Signals::listen()?, Hangups::listen()?);
    let state = StateDir::claim(&config.state.dir)?;
    let key = key::keep(state.path())?;
    let gateway = tokio::select! {
        started = Gateway::start(&config, state, environment, Handed::default()) => started?,
        _ = signals.next() => return Ok(()),
    };
    let painter = gateway.painter();
    let (code, _) = portcullis_dashboard::issue_code(&config.state.dir)?;
    let banner = banner::banner(gateway.address(), gateway.codex_version(), &key, &code);
    gateway
        .run(signals, hangups, None, &Manager::default(), async |codex| {
            wait_until_ready(codex).await?;
            if let Some(painter) = painter
                && !painter.ready(READY_WITHIN).await
            {
                bail!("the worker that draws did not become ready within {} seconds", READY_WITHIN.as_secs());
            }
            Ok(print::page(&banner)?)
        })
        .await
}

async fn wait_until_ready(codex: &Codex) -> anyhow::Result<()> {
    if codex.ready(READY_WITHIN).await {
        return Ok(());
    }
    let conditions = codex.readiness().await.conditions;
    let missing: Vec<_> = conditions
        .iter()
        .filter(|condition| !condition.ok)
        .map(|condition| format!("\n  {}: {}", condition.name, condition.message))
        .collect();
    bail!("Codex did not become ready within {} seconds{}", READY_WITHIN.as_secs(), missing.concat())
}
