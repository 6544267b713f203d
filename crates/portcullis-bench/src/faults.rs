//! A gateway under load while a seeded schedule breaks what is around it.
//!
//! What must hold is said by [`Ended`] and checked for every request: its own right answer, or a typed error. At the
//! end the numbers must add up, and nothing may be left: no process, no descriptor, no memory.
//!
//! - `plan`: what happens when, and what each request asks, from the seed alone.
//! - `ask`: one request and its verdict. `acts`: how things are broken. `disk`: a small disk to fill.
//! - `alone`: each fault of a worker by itself, and exactly what comes of it.

mod acts;
mod alone;
mod ask;
mod disk;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use camino::Utf8PathBuf;
use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer};
use tokio::task::JoinSet;

use self::acts::Hand;
use self::ask::{Ended, ask};
use self::disk::SmallDisk;
use self::plan::{Asked, Plan, SERVING, SPARES, Trouble, Worker};
use crate::gateway::{Gateway, Setup};
use crate::proc;
use crate::wish::Wish;

/// How faults are injected.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// What the whole schedule is made from.
    pub seed: u64,
    /// How long the load lasts, for each kind of worker.
    pub seconds: u64,
    /// The gateway's program.
    pub gateway: Utf8PathBuf,
    /// The scripted app-server.
    pub fake: Utf8PathBuf,
    /// The pinned Codex, or npm's launcher of it.
    pub codex: Utf8PathBuf,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Found {
    /// What was done and what came of it, line by line.
    pub lines: Vec<String>,
    /// What must not be.
    pub wrong: Vec<String>,
}

impl Found {
    fn check(&mut self, of: &str, holds: bool, what: &str) {
        self.lines.push(format!("{} {what}", if holds { "ok   " } else { "WRONG" }));
        if !holds {
            self.wrong.push(format!("{of}: {what}"));
        }
    }
}

/// How many clients ask at once.
const CLIENTS: usize = 12;
/// Sooner than `Retry-After` asks, so that gateways without a worker are asked, too, but not only those.
const AFTER_AN_ERROR: Duration = Duration::from_millis(200);
/// How long the gateway may take to let go of everything after the load.
const QUIET: Duration = Duration::from_secs(30);
/// What a gateway may have gained in memory, in bytes.
const GROWN: u64 = 48 << 20;
/// The same where a worker sends endless lines: the allocator may keep the room of one of the longest (64 MiB).
const GROWN_BY_LINES: u64 = GROWN + (64 << 20);

/// Breaks one thing after the other: what a worker does wrong, each by itself.
pub async fn break_one_by_one(options: &FaultOptions) -> anyhow::Result<Found> {
    let mut found = Found::default();
    alone::run(options, &mut found).await?;
    Ok(found)
}

/// Breaks things under load, in both halves: with the real Codex, and with a scripted app-server for what the real one does
/// not do.
pub async fn break_under_load(options: &FaultOptions) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let codex = CodexBinary::find(&options.codex).await?.path;
    run(options, Worker::Codex, &codex, &mut found).await.context("with the real Codex")?;
    run(options, Worker::Scripted, &options.fake, &mut found)
        .await
        .context("with the scripted app-server")?;
    Ok(found)
}

async fn run(
    options: &FaultOptions,
    worker: Worker,
    program: &camino::Utf8Path,
    found: &mut Found,
) -> anyhow::Result<()> {
    let plan = Arc::new(Plan::new(options.seed, worker, Duration::from_secs(options.seconds)));
    let model = ModelServer::start().await?;
    model.respond_with(model_answer);
    let base = model.base_url();
    let disk = SmallDisk::mount()?;
    // A wait for a lost reply is 15 s; whoever waits longer than this is forgotten.
    let more = format!("[turn]\ndeadline = \"25s\"\n\n[workers]\ncount = {SERVING}\nspares = {SPARES}\n");
    let gateway = Gateway::start(&Setup {
        program: &options.gateway,
        codex: program,
        model: &base,
        turns: 64,
        level: None,
        more: &more,
        dir: disk.dir(),
        provider: "",
        descriptors: Some(256),
    })
    .await?;
    anyhow::ensure!(gateway.whole(QUIET).await, "not every worker becomes ready");
    let (before, rss_before) = (proc::descriptors(gateway.pid)?, proc::rss(gateway.pid)?);

    let counts = Arc::new(Counts::default());
    let until = Instant::now() + plan.length;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (plan, counts, address) = (Arc::clone(&plan), Arc::clone(&counts), gateway.address.clone());
        clients.spawn(async move {
            while Instant::now() < until {
                let number = counts.next.fetch_add(1, Ordering::Relaxed);
                let asked = plan.question(number);
                let ended = ask(&address, number, asked).await;
                let again = if matches!(ended, Ended::Error(_)) { AFTER_AN_ERROR } else { Duration::ZERO };
                counts.add(number, asked, ended);
                tokio::time::sleep(again).await;
            }
        });
    }
    let hand = Hand { gateway: &gateway, disk: &disk, counts: &counts };
    let done = hand.play(&plan).await?;
    while clients.join_next().await.transpose()?.is_some() {}

    found.lines.push(format!("## {worker:?}: seed {}, {} s", options.seed, options.seconds));
    found.lines.extend(done);
    let of = format!("{worker:?}");
    let mut check = |holds: bool, what: String| found.check(&of, holds, &what);
    counts.report(&mut check);
    let metrics = gateway.metrics().await.with_context(|| {
        let log = gateway.log();
        format!(
            "the gateway is gone; its last words: {}",
            log.get(log.len().saturating_sub(4000)..).unwrap_or(&log)
        )
    })?;
    let (sent, left) = (counts.sent(), counts.left());
    let counted = answered(&metrics);
    check(
        counted <= sent && counted + left >= sent,
        format!(
            "the gateway counted {counted} of {sent} requests; {left} clients left early or were not let in"
        ),
    );
    settle(&gateway, &model, before).await;
    let after = proc::descriptors(gateway.pid)?;
    check(after <= before + 2, format!("descriptors: {before} before, {after} after"));
    let grown = proc::rss(gateway.pid)?.saturating_sub(rss_before);
    let bound = if matches!(worker, Worker::Scripted) { GROWN_BY_LINES } else { GROWN };
    check(grown <= bound, format!("memory: {} MiB more than before", grown >> 20));
    check(model.open_streams() == 0, format!("{} streams to the model are open", model.open_streams()));
    check(gateway.whole(QUIET).await, "every worker is ready again".to_owned());
    end(gateway, &mut check).await;
    model.shutdown().await;
    Ok(())
}

/// Ends a gateway; nothing of it may be left.
async fn end(gateway: Gateway, check: &mut impl FnMut(bool, String)) {
    let (pid, below) = (gateway.pid, proc::descendants(gateway.pid));
    let panics = gateway.log().matches("panicked at").count();
    gateway.stop().await;
    let alive = below.iter().chain([&pid]).filter(|pid| proc::rss(**pid).is_ok()).count();
    check(alive == 0, format!("{alive} processes are left"));
    check(panics == 0, format!("{panics} panics in the log"));
}

/// The model's side of a question, which travels in the prompt.
fn model_answer(request: &portcullis_lab::Received) -> Answer {
    let prompt = request.last_user_text().unwrap_or_default();
    let wish = Wish::of_prompt(prompt);
    let answer = Answer::text((0..wish.deltas).map(|number| wish.delta(number))).every(wish.every);
    match Trouble::of_prompt(prompt) {
        None => answer,
        Some(Trouble::Cut) => answer.cut_after(4),
        Some(Trouble::Failed) => answer.then_failed("server_error", "It failed on purpose."),
        Some(Trouble::Refused) => {
            Answer::status(500, serde_json::json!({"error": {"message": "on purpose"}}))
        }
        Some(Trouble::Busy) => Answer::status(429, serde_json::json!({"error": {"message": "on purpose"}})),
        Some(Trouble::Hang) => answer.hang(),
    }
}

/// Waits until connections and turns that were given up are gone: here, and at the model, which workers leave in their own
/// time.
async fn settle(gateway: &Gateway, model: &ModelServer, before: usize) {
    let until = Instant::now() + QUIET;
    while Instant::now() < until
        && (proc::descriptors(gateway.pid).is_ok_and(|open| open > before) || model.open_streams() > 0)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many requests for answers the metrics tell of.
fn answered(metrics: &str) -> u64 {
    let of = |line: &&str| {
        line.starts_with("portcullis_requests_total{")
            && (line.contains("/v1/chat/completions\"") || line.contains("/v1/responses\""))
    };
    metrics.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// How requests ended.
#[derive(Default)]
struct Counts {
    next: AtomicU64,
    ended: std::sync::Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    right: u64,
    /// By status and code.
    errors: BTreeMap<String, u64>,
    left: u64,
    not_let_in: u64,
    wrong: Vec<String>,
}

impl Counts {
    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn add(&self, number: u64, asked: Asked, ended: Ended) {
        let mut tally = self.tally();
        match ended {
            Ended::Right => tally.right += 1,
            Ended::Error(code) => *tally.errors.entry(code).or_default() += 1,
            Ended::Left => tally.left += 1,
            Ended::NotLetIn => tally.not_let_in += 1,
            Ended::Wrong(why) => tally.wrong.push(format!("request {number} ({asked:?}): {why}")),
        }
    }

    fn sent(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    fn left(&self) -> u64 {
        let tally = self.tally();
        tally.left + tally.not_let_in
    }

    fn report(&self, check: &mut impl FnMut(bool, String)) {
        let tally = self.tally();
        let errors: Vec<String> =
            tally.errors.iter().map(|(code, count)| format!("{count} × {code}")).collect();
        check(tally.right > 0, format!("{} right answers; errors: {}", tally.right, errors.join(", ")));
        for wrong in &tally.wrong {
            check(false, wrong.clone());
        }
        let all = tally.right
            + tally.errors.values().sum::<u64>()
            + tally.left
            + tally.not_let_in
            + tally.wrong.len() as u64;
        check(all == self.sent(), format!("{all} of {} requests ended", self.sent()));
    }
}
