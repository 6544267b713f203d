//! How many answers and deltas there are in a second, against what a plain proxy does.

use std::time::Duration;

use camino_tempfile::Utf8TempDir;
use portcullis_supervisor::{Launch, Process};
use tokio_util::task::AbortOnDropHandle;

use super::{Bench, KEY, STOP};
use crate::http::{Address, Connection};
use crate::load::{Load, Question, closed};
use crate::proc;
use crate::report::{Cell, Report, Row, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

const STREAMS: [usize; 4] = [1, 8, 64, 256];
/// How long LiteLLM may take to start: it imports for many seconds.
const LITELLM_START: Duration = Duration::from_secs(90);

/// One who is measured, and whose processor time it costs.
struct Contender {
    name: &'static str,
    target: Target,
    pid: u32,
    /// How many deltas it is asked for at once, at most.
    most: usize,
}

/// LiteLLM takes about 0.7 ms for a delta: with more at once every round would last minutes.
const MOST_OF_LITELLM: usize = 16_000;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(1024).await?;
    let plain = bench.passthrough().await?;
    let litellm = litellm(bench, &plain.behind.socket.to_string()).await;
    let mut contenders = vec![
        Contender {
            name: "gateway",
            target: Target::Http(gateway.address.clone()),
            pid: gateway.pid,
            most: usize::MAX,
        },
        Contender {
            name: "passthrough",
            target: Target::Http(plain.before.clone()),
            pid: plain.proxy.pid(),
            most: usize::MAX,
        },
    ];
    let not_measured = match &litellm {
        Ok(LiteLlm { process, address, .. }) => {
            contenders.push(Contender {
                name: "LiteLLM",
                target: Target::Http(address.clone()),
                pid: process.pid(),
                most: MOST_OF_LITELLM,
            });
            format!(" LiteLLM is asked for at most {MOST_OF_LITELLM} deltas at once: it would need minutes.")
        }
        Err(why) => format!(" LiteLLM: {why}."),
    };
    let wish = |deltas, bytes| Wish { deltas, bytes, ..Wish::default() };
    let whole = Question { wish: wish(1, 393), stream: false };
    let short = Question { wish: wish(50, 8), stream: true };
    let burst = Question { wish: wish(2000, 8), stream: true };
    let tables = [
        ("Whole answers", whole, "An answer of 393 bytes, not streamed."),
        ("Streams of 50 deltas", short, "50 deltas of 8 bytes, as fast as they come."),
        (
            "Bursts of 2,000 deltas",
            burst,
            "2,000 deltas of 8 bytes, as fast as they come; the gateway may merge what has not been taken.",
        ),
    ];
    for (title, question, what) in tables {
        let about = format!(
            "{what} Worker and chat server are scripted. CPU is that of the process alone, without what stands behind it.{not_measured}"
        );
        let rows = compare(bench, report, &contenders, title, question).await?;
        report.tables.push(Table { title, about, rows });
    }
    if let Ok(LiteLlm { mut process, .. }) = litellm {
        process.stop(STOP).await;
    }
    plain.stop().await;
    gateway.stop().await;
    Ok(())
}

async fn compare(
    bench: &Bench,
    report: &mut Report,
    contenders: &[Contender],
    title: &str,
    question: Question,
) -> anyhow::Result<Vec<Row>> {
    let rounds = bench.pick(5, 1);
    let window = bench.pick(Duration::from_secs(2), Duration::from_millis(300));
    let mut rows = Vec::new();
    let (mut worst_share, mut best_deltas) = (f64::MAX, 0.0_f64);
    for streams in STREAMS {
        let contenders: Vec<_> =
            contenders.iter().filter(|contender| streams * question.wish.deltas <= contender.most).collect();
        let mut loads = vec![(Load::default(), Duration::ZERO); contenders.len()];
        for round in 0..rounds {
            for turn in 0..contenders.len() {
                let at = (round + turn) % contenders.len();
                let Contender { target, pid, .. } = contenders[at];
                let before = proc::cpu(*pid)?;
                loads[at].0.add(closed(target, question, streams, window, u64::MAX).await?);
                loads[at].1 += proc::cpu(*pid)?.saturating_sub(before);
            }
        }
        for (contender, (load, cpu)) in contenders.iter().zip(&loads) {
            rows.push(row(contender.name, streams, question, load, *cpu));
        }
        worst_share = worst_share.min(loads[0].0.per_second() / loads[1].0.per_second());
        let deltas = (loads[0].0.answers.len() * question.wish.deltas) as f64;
        best_deltas = best_deltas.max(deltas / loads[0].1.as_secs_f64());
    }
    if title == "Whole answers" {
        let measured = format!("{:.0} % at the worst number of streams", worst_share * 100.0);
        report.goal("requests/s, of the passthrough's", "40 %", measured, worst_share >= 0.4);
    }
    if question.wish.deltas >= 1000 {
        let measured = format!("{best_deltas:.0}");
        report.goal(
            "deltas per second of one core, in bursts",
            "400,000",
            measured,
            best_deltas >= 400_000.0,
        );
    }
    Ok(rows)
}

fn row(name: &'static str, streams: usize, question: Question, load: &Load, cpu: Duration) -> Row {
    let count = load.answers.len().max(1) as f64;
    let first: Vec<_> = load.answers.iter().map(|answer| answer.first).collect();
    let whole: Vec<_> = load.answers.iter().map(|answer| answer.whole).collect();
    let mut row = vec![
        ("streams", Cell::from(streams)),
        ("who", name.into()),
        ("answers/s", Cell::Number(load.per_second(), 0)),
    ];
    if question.stream {
        row.push(("deltas/s", Cell::Number(load.per_second() * question.wish.deltas as f64, 0)));
    }
    row.push(("CPU µs each", Cell::Number(cpu.as_secs_f64() * 1e6 / count, 1)));
    if question.stream {
        row.push(("first byte p50, ms", ms(percentile(&first, 500))));
        row.push(("p99", ms(percentile(&first, 990))));
    }
    row.push(("whole p50, ms", ms(percentile(&whole, 500))));
    row.push(("whole p99", ms(percentile(&whole, 990))));
    row.push(("failed", Cell::Number(load.failed as f64, 0)));
    row
}

/// LiteLLM's proxy.
struct LiteLlm {
    process: Process,
    address: Address,
    /// Where it lives: without its directory it answers every request with an error.
    _dir: Utf8TempDir,
    /// Reads its lines, one for each request: a full pipe would stop it.
    _drain: AbortOnDropHandle<()>,
}

/// Starts LiteLLM's proxy, or says why not.
async fn litellm(bench: &Bench, upstream: &str) -> anyhow::Result<LiteLlm> {
    let program = &bench.options.litellm;
    anyhow::ensure!(program.is_file(), "not installed (`make bench-litellm` brings it)");
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let dir = camino_tempfile::tempdir()?;
    let config = dir.path().join("litellm.yaml");
    let text = format!(
        "model_list:\n  - model_name: gpt-5.5\n    litellm_params: {{model: openai/gpt-5.5, api_base: 'http://{upstream}/v1', api_key: x}}\n\
         litellm_settings: {{telemetry: false}}\ngeneral_settings: {{master_key: {KEY}}}\n"
    );
    std::fs::write(&config, text)?;
    let program = program.canonicalize_utf8().unwrap_or_else(|_| program.clone());
    let mut process = Process::spawn(&Launch {
        program: program.clone(),
        args: ["--config", config.as_str(), "--host", "127.0.0.1", "--port", &port.to_string()]
            .map(str::to_owned)
            .to_vec(),
        env: [
            ("HOME", dir.path().as_str()),
            ("PATH", "/usr/bin:/bin"),
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            // It takes a stream of equal pieces for a loop of the model and ends it after a hundred.
            ("REPEATED_STREAMING_CHUNK_LIMIT", "1000000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        cwd: dir.path().to_owned(),
    })?;
    let (_stdin, mut stdout) = process.take_stdio();
    #[expect(clippy::disallowed_methods, reason = "aborted with the proxy")]
    let drain = tokio::task::spawn(async move {
        let _its_end = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
    });
    let drain = AbortOnDropHandle::new(drain);
    let address = Address { socket: ([127, 0, 0, 1], port).into(), key: KEY.to_owned(), model: "gpt-5.5" };
    let started = std::time::Instant::now();
    while started.elapsed() < LITELLM_START {
        if let Ok(mut connection) = Connection::open(&address).await
            && connection.get("/health/liveliness").await.is_ok_and(|(status, _)| status == 200)
        {
            return Ok(LiteLlm { process, address, _dir: dir, _drain: drain });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let tail = process.stderr_tail();
    process.kill().await;
    anyhow::bail!("it did not start: {}", tail.lines().last().unwrap_or("it says nothing"))
}
