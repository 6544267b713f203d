//! `portcullis serve`: the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_agent::Agent as _;
use tracing::{info, warn};

use crate::environment::Environment;
use crate::flags::{Codex, Home, Layers};
use crate::gateway::{Gateway, Handed, Reloader, StateDir, reachable};
use crate::logging;
use crate::signals::{Hangups, Signals};
use crate::systemd::Manager;

/// How long the first start of the worker may take before the log says that something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What a gateway that ends takes after its running requests: their last events, its workers' end, its store.
const ENDING: Duration = Duration::from_secs(15);

/// Start the gateway.
///
/// Runs until Ctrl-C or SIGTERM: then new requests are refused, running ones have `http.drain` (ten seconds), and
/// everything that was started is ended. A second signal does not wait. SIGHUP, and
/// `portcullis reload`, have it read its configuration again.
///
/// Takes listening sockets from systemd (`http`, `images`), and tells it when the gateway answers and when it stops.
/// With such a socket it waits for another gateway to leave the state directory, while its clients wait in the queue.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    home: Home,
    /// Where the gateway listens; port 0 is any free one; [http] bind in the file [default: 127.0.0.1:8320].
    #[arg(long, value_name = "ADDR")]
    bind: Option<SocketAddr>,
    #[command(flatten)]
    codex: Codex,
    /// The model behind the names `codex` and `codex-high`; [codex] model in the file.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Who serves the model: the Codex login, or the built-in demo model; [provider] kind in the file.
    #[arg(long, value_parser = ["openai", "lab"])]
    provider: Option<String>,
    /// How log lines look; [log] format in the file.
    #[arg(long, value_parser = ["text", "json"])]
    log_format: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  portcullis serve
  portcullis serve --bind 127.0.0.1:9000 --model gpt-5.5
  portcullis serve --config /etc/portcullis/portcullis.toml --log-format json
  PORTCULLIS__LOG__LEVEL=debug portcullis serve";

impl Args {
    fn layers(self, environment: &Environment) -> Layers {
        Layers::of(environment, self.home)
            .codex(self.codex)
            .flag("--bind", "http.bind", self.bind)
            .flag("--model", "codex.model", self.model)
            .flag("--provider", "provider.kind", self.provider)
            .flag("--log-format", "log.format", self.log_format)
    }
}

pub(super) async fn run(args: Args, environment: &Environment, handed: Handed) -> anyhow::Result<()> {
    let layers = args.layers(environment);
    let loaded = layers.clone().load()?;
    let config = loaded.config.clone();
    logging::start(&config.log, environment);
    let (mut signals, hangups) = (Signals::listen()?, Hangups::listen()?);
    let starting = async {
        let state = if handed.is_empty() {
            StateDir::claim(&config.state.dir)?
        } else {
            StateDir::claim_after_another(&config.state.dir, config.http.drain + ENDING).await?
        };
        Gateway::start(&config, state, environment, handed).await
    };
    let gateway = tokio::select! {
        started = starting => started?,
        _ = signals.next() => return Ok(()),
    };
    let manager = Manager::of(environment);
    let address = reachable(gateway.address());
    let running =
        gateway.run(signals, hangups, Some(Reloader::new(layers, loaded)), &manager, async |codex| {
            if manager.listens() {
                super::status::answers(address).await;
                manager.answers(&format!("Answers on http://{address}/v1"));
            }
            say_when_ready(codex, &manager).await;
            Ok(())
        });
    tokio::select! {
        ended = running => ended,
        never = manager.keep_alive() => match never {},
    }
}

/// One line in the log about whether turns can run, and what to do if not.
async fn say_when_ready(codex: &portcullis_codex::Codex, manager: &Manager) {
    codex.ready(READY_WITHIN).await;
    let readiness = codex.readiness().await;
    if readiness.ready {
        info!("Ready for turns");
        manager.status("Ready for turns");
    }
    for condition in readiness.conditions.iter().filter(|condition| condition.required && !condition.ok) {
        warn!(condition.name, "Not ready for turns: {}", condition.message);
        manager.status(&format!("Not ready for turns: {}", condition.message));
    }
}
