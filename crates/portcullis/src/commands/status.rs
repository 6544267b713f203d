//! `portcullis status`: whether a gateway runs on a state directory, and whether it is ready.

mod login;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::flags::{Codex, Home, Layers};
use crate::gateway::{StateDir, reachable};
use crate::print;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer of `/readyz` is much shorter.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Say whether a gateway runs and is ready, what is missing, and how much of the login's limits is used.
///
/// The limits are those that the gateway's Codex was last told of, with an answer of the model's provider; `--login` has Codex
/// ask. Exits with 0 when the gateway of this state directory is ready for turns, and with 1 otherwise.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Instead, have Codex ask who is signed in and how much of the limits is used now; no gateway need run.
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    codex: Codex,
}

const EXAMPLES: &str = "\
Examples:
  portcullis status
  portcullis status --login
  portcullis status --json --state-dir /var/lib/portcullis";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).codex(args.codex).config()?;
    if args.login {
        return login::run(&config, environment, args.json).await;
    }
    let state = config.state.dir;
    let Some(running) = StateDir::running(&state)? else {
        if args.json {
            print::page(&json!({"running": false, "ready": false}).to_string())?;
        }
        bail!("no gateway runs on the state directory `{state}`\n(hint: `portcullis serve` starts one)");
    };
    let address =
        running.address.ok_or_else(|| anyhow!("the gateway (process {}) is just starting", running.pid))?;
    let told = readiness(reachable(address), running.word.as_ref())
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
        print::page(&page(running.pid, address, &told, Timestamp::now()))?;
    }
    if ready { Ok(()) } else { Err(anyhow!("the gateway is not ready for turns")) }
}

/// Waits until the gateway on this address answers, whatever it says.
pub(super) async fn answers(address: SocketAddr) {
    while let Err(error) = readiness(address, None).await {
        tracing::debug!(error = format!("{error:#}"), "The gateway does not answer yet");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What `/readyz` says, and what it says only to who knows the word.
async fn readiness(address: SocketAddr, word: Option<&SecretString>) -> anyhow::Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
    let mut request = Request::get(format!("http://{address}/readyz"));
    if let Some(word) = word {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", word.expose_secret()));
    }
    let request = request.body(Empty::new()).context("an address is a URL's host")?;
    let asked = async {
        let answer = client.request(request).await?;
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
    };
    let body: anyhow::Result<_> =
        tokio::time::timeout(PATIENCE, asked).await.context("it took too long to answer")?;
    serde_json::from_slice(&body?).context("its answer is not that of a gateway")
}

fn page(pid: u32, address: SocketAddr, told: &Value, now: Timestamp) -> String {
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
    push_limits(&mut page, &told["account"], now);
    if told["draining"] == json!(true) {
        page.push_str("It is stopping.\n");
    }
    page
}

/// A line for each limit's window.
fn push_limits(page: &mut String, account: &Value, now: Timestamp) {
    for window in account.as_array().into_iter().flatten() {
        let limit = window["limit"].as_str().unwrap_or_default();
        let _ = writeln!(page, "  {:<8} {limit:<14} {}", "limit", used(window, now));
    }
    if *account == json!([]) {
        let _ = writeln!(page, "  {:<8} {:<14} the provider has not told any yet", "limit", "–");
    }
}

/// `42 % of 5 h used, for 3 h more (until 2026-11-28 11:05 UTC)`.
fn used(window: &Value, now: Timestamp) -> String {
    let percent = &window["used_percent"];
    let of = match window["window_seconds"].as_u64() {
        Some(seconds) => time(seconds),
        None => format!("the {} window", window["window"].as_str().unwrap_or_default()),
    };
    let resets_at = window["resets_at"].as_i64().and_then(|at| Timestamp::from_second(at).ok());
    let reset = resets_at.map_or(String::new(), |at| {
        let left = u64::try_from(at.as_second() - now.as_second()).unwrap_or(0);
        format!(", for {} more (until {})", time(left), at.strftime("%Y-%m-%d %H:%M UTC"))
    });
    format!("{percent} % of {of} used{reset}")
}

/// `5 min`, `5 h`, `7 d`.
fn time(seconds: u64) -> String {
    const HOUR: u64 = 3600;
    match seconds {
        ..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / HOUR),
        _ => format!("{} d", seconds / (24 * HOUR)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_as_far_as_they_are_known() {
        let now: Timestamp = "2026-11-28T08:00:00Z".parse().unwrap();
        let told = |account: Value| {
            let told = json!({"conditions": [], "warnings": [], "account": account});
            let page = page(7, "127.0.0.1:1".parse().unwrap(), &told, now);
            page.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let window = |window: &str, seconds: Value, resets_at: Value| json!({"limit": "codex", "window": window, "used_percent": 42, "window_seconds": seconds, "resets_at": resets_at});
        let known = json!([
            window("primary", json!(18_000), json!(at("2026-11-28T11:05:30Z"))),
            window("secondary", json!(604_800), json!(at("2026-12-03T08:00:00Z"))),
            window("secondary", Value::Null, Value::Null),
        ]);
        assert_eq!(
            told(known),
            [
                "  limit    codex          42 % of 5 h used, for 3 h more (until 2026-11-28 11:05 UTC)",
                "  limit    codex          42 % of 7 d used, for 5 d more (until 2026-12-03 08:00 UTC)",
                "  limit    codex          42 % of the secondary window used",
            ]
        );
        assert_eq!(told(json!([])), ["  limit    –              the provider has not told any yet"]);
        assert_eq!(told(Value::Null), [""; 0]);
    }
}
