//! The gateway with the real Codex, against driving the same Codex directly.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer};

use super::Bench;
use crate::direct::Direct;
use crate::gateway::{Gateway, Setup};
use crate::load::{Load, Question, closed, warm_up};
use crate::proc;
use crate::report::{Cell, Report, Row, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

/// The question whose answers the goals are about.
const AT_ONCE: &str = "20 deltas at once";
/// Turns of one app-server and of the next one, started alike, differ by more than a millisecond at the median: one of each says
/// little.
const PAIRS: usize = 6;

/// What a level of streams found, for the gateway and for the app-server.
#[derive(Default)]
struct Found {
    streams: usize,
    gateway: Load,
    direct: Load,
    /// Of the gateway alone, of its workers, and of the app-server that is driven directly.
    cpu: [Duration; 3],
}

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let codex = CodexBinary::find(&bench.options.codex).await?;
    let model = ModelServer::start().await?;
    model.respond_with(|request| {
        let wish = Wish::of_prompt(request.last_user_text().unwrap_or_default());
        Answer::text((0..wish.deltas).map(|number| wish.delta(number))).every(wish.every)
    });
    let base = model.base_url();
    let setup = Setup {
        program: &bench.gateway,
        codex: &codex.path,
        model: &base,
        turns: 64,
        level: None,
        provider: "",
        more: "",
        dir: None,
        descriptors: None,
    };
    let burst = Question { wish: Wish { deltas: 20, ..Wish::default() }, stream: true };
    let slow = Question {
        wish: Wish { deltas: 50, every: Duration::from_millis(20), ..Wish::default() },
        stream: true,
    };
    let levels = [(AT_ONCE, burst, [1, 8, 64]), ("50 deltas in 1 s", slow, [1, 8, 32])]
        .map(|(what, question, levels)| levels.map(|streams| (what, question, streams)))
        .concat();
    let mut found: Vec<Found> =
        levels.iter().map(|&(_, _, streams)| Found { streams, ..Found::default() }).collect();
    for number in 0..bench.pick(PAIRS, 2) {
        let pair = Pair::start(&setup).await?;
        for who in [&pair.through, &pair.straight] {
            warm_up(who, burst).await?;
        }
        for (&(_, question, streams), found) in levels.iter().zip(&mut found) {
            pair.compare(bench, question, streams, number % 2 == 0, found).await?;
        }
        pair.stop().await;
    }
    model.shutdown().await;
    let mut rows = Vec::new();
    for ((what, ..), found) in levels.into_iter().zip(found) {
        found.goals(what, report);
        rows.extend(found.rows(what));
    }
    let about = format!(
        "Codex {} with the same configuration behind both, and the same scripted model behind it. One turn on a thread of its own for each answer. {} of each kind, one pair after the other, because two app-servers that were started alike differ.",
        codex.version,
        bench.pick(PAIRS, 2)
    );
    report.tables.push(Table { title: "With the real Codex", about, rows });
    Ok(())
}

/// A gateway, and an app-server beside it that is driven directly.
struct Pair {
    gateway: Gateway,
    direct: Arc<Direct>,
    through: Target,
    straight: Target,
    _home: Utf8TempDir,
}

impl Pair {
    async fn start(setup: &Setup<'_>) -> anyhow::Result<Self> {
        let gateway = Gateway::start(setup).await?;
        let home = camino_tempfile::tempdir()?;
        copy_home(&gateway.worker_home()?, home.path())?;
        let direct = Direct::start(setup.codex, home.path()).await?;
        let (through, straight) = (Target::Http(gateway.address.clone()), Target::Pipes(Arc::clone(&direct)));
        Ok(Self { gateway, direct, through, straight, _home: home })
    }

    async fn stop(self) {
        self.direct.stop().await;
        self.gateway.stop().await;
    }

    /// Both, one after the other.
    async fn compare(
        &self,
        bench: &Bench,
        question: Question,
        streams: usize,
        gateway_first: bool,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let window = bench.pick(Duration::from_secs(3), Duration::from_millis(500));
        for is_gateway in [gateway_first, !gateway_first] {
            let before = self.spent()?;
            let (who, load) = if is_gateway {
                (&self.through, &mut found.gateway)
            } else {
                (&self.straight, &mut found.direct)
            };
            load.add(closed(who, question, streams, window, u64::MAX).await?);
            for (sum, (after, before)) in found.cpu.iter_mut().zip(self.spent()?.into_iter().zip(before)) {
                *sum += after.saturating_sub(before);
            }
        }
        Ok(())
    }

    fn spent(&self) -> anyhow::Result<[Duration; 3]> {
        // A worker that has just been replaced is not counted.
        let workers =
            proc::descendants(self.gateway.pid).into_iter().filter_map(|pid| proc::cpu(pid).ok()).sum();
        Ok([proc::cpu(self.gateway.pid)?, workers, proc::cpu(self.direct.pid)?])
    }
}

impl Found {
    fn rows(&self, what: &'static str) -> [Row; 2] {
        let row = |who: &'static str, load: &Load, own: Duration, worker: Duration| {
            let first = firsts(load);
            let each =
                |cpu: Duration| Cell::Number(cpu.as_secs_f64() * 1e3 / load.answers.len().max(1) as f64, 2);
            vec![
                ("what", Cell::from(what)),
                ("streams", self.streams.into()),
                ("who", who.into()),
                ("turns/s", Cell::Number(load.per_second(), 1)),
                ("first byte p50, ms", ms(percentile(&first, 500))),
                ("p99", ms(percentile(&first, 990))),
                ("gateway CPU ms/turn", each(own)),
                ("worker CPU ms/turn", each(worker)),
                ("failed", Cell::Number(load.failed as f64, 0)),
            ]
        };
        [
            row("gateway", &self.gateway, self.cpu[0], self.cpu[1]),
            row("app-server directly", &self.direct, Duration::ZERO, self.cpu[2]),
        ]
    }

    fn goals(&self, what: &str, report: &mut Report) {
        let share = self.gateway.per_second() / self.direct.per_second();
        let extra = |per_mille| {
            let at = |load: &Load| percentile(&firsts(load), per_mille).as_secs_f64() * 1e3;
            at(&self.gateway) - at(&self.direct)
        };
        let at_once = what == AT_ONCE;
        match self.streams {
            1 if at_once => {
                let p50 = extra(500);
                report.goal(
                    "first byte over direct, p50, one stream",
                    "0.5 ms",
                    format!("{p50:+.2} ms"),
                    p50 <= 0.5,
                );
            }
            8 if at_once => {
                let p99 = extra(990);
                report.goal(
                    "first byte over direct, p99, 8 streams",
                    "3 ms",
                    format!("{p99:+.2} ms"),
                    p99 <= 3.0,
                );
                report.goal(
                    "turns/s of direct, 8 streams",
                    "95 %",
                    format!("{:.0} %", share * 100.0),
                    share >= 0.95,
                );
                let cpu = self.cpu[0].as_secs_f64() / self.cpu[1].as_secs_f64();
                report.goal(
                    "gateway CPU of the worker's",
                    "5 %",
                    format!("{:.1} %", cpu * 100.0),
                    cpu <= 0.05,
                );
            }
            _ => {}
        }
    }
}

fn firsts(load: &Load) -> Vec<Duration> {
    load.answers.iter().map(|answer| answer.first).collect()
}

fn copy_home(from: &Utf8Path, to: &Utf8Path) -> anyhow::Result<()> {
    let config = std::fs::read_to_string(from.join("config.toml"))?.replace(from.as_str(), to.as_str());
    std::fs::write(to.join("config.toml"), config)?;
    std::fs::copy(from.join("models.json"), to.join("models.json")).context("the worker has no catalog")?;
    Ok(())
}
