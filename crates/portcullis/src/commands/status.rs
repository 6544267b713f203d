//! `portcullis status`: whether a gateway runs on a state directory, and whether it is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::gateway::{StateDir, reachable};
use crate::print;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer of `/readyz` is much shorter.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Say whether a gateway runs and is ready, and what is missing.
///
/// Exits with 0 when the gateway of this state directory is ready for turns, and with 1 otherwise.
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
  portcullis status
  portcullis status --json --state-dir /var/lib/portcullis";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let state = Layers::of(environment, args.home).config()?.state.dir;
    let Some(running) = StateDir::running(&state)? else {
        if args.json {
            print::page(&json!({"running": false, "ready": false}).to_string())?;
        }
        bail!("no gateway runs on the state directory `{state}`\n(hint: `portcullis serve` starts one)");
    };
    let address =
        running.address.ok_or_else(|| anyhow!("the gateway (process {}) is just starting", running.pid))?;
    let told = readiness(reachable(address))
        .await
        .with_context(|| format!("the gateway (process {}) does not answer on {address}", running.pid))?;
    let ready = told["ready"] == json!(true);
    if args.json {
        let mut all = json!({"running": true, "pid": running.pid, "address": address.to_string()});
        if let (Some(all), Value::Object(told)) = (all.as_object_mut(), told) {
            all.extend(told);
        }
        print::page(&all.to_string())?;
    } else {
        print::page(&page(running.pid, address, &told))?;
    }
    if ready { Ok(()) } else { Err(anyhow!("the gateway is not ready for turns")) }
}

/// Waits until the gateway on this address answers, whatever it says.
pub(super) async fn answers(address: SocketAddr) {
    while let Err(error) = readiness(address).await {
        tracing::debug!(error = format!("{error:#}"), "The gateway does not answer yet");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What `/readyz` says.
async fn readiness(address: SocketAddr) -> anyhow::Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
    let url = format!("http://{address}/readyz").parse().context("an address is a URL's host")?;
    let asked = async {
        let answer = client.get(url).await?;
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
    };
    let body: anyhow::Result<_> =
        tokio::time::timeout(PATIENCE, asked).await.context("it took too long to answer")?;
    serde_json::from_slice(&body?).context("its answer is not that of a gateway")
}

fn page(pid: u32, address: SocketAddr, told: &Value) -> String {
    let mut page = format!("A gateway (process {pid}) listens on {address}.\n");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for condition in told["conditions"].as_array().into_iter().flatten() {
        let word = match (condition["ok"] == json!(true), condition["required"] == json!(true)) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "warning",
        };
        let _ =
            writeln!(page, "  {word:<8} {:<14} {}", text(&condition["name"]), text(&condition["message"]));
    }
    for warning in told["warnings"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "  {:<8} {}", "weakened", text(warning));
    }
    if told["draining"] == json!(true) {
        page.push_str("It is stopping.\n");
    }
    page
}
