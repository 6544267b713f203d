//! The gateway with the real Codex, against driving the same Codex directly.

use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer};

use super::Bench;
use crate::direct::Direct;
use crate::gateway::{Gateway, Setup};
use crate::load::{Load, Question, closed};
use crate::proc;
use crate::report::{Cell, Report, Row, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

/// What a level of streams found, for the gateway and for the app-server.
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
    let gateway = Gateway::start(&setup).await?;
    let dir = camino_tempfile::tempdir()?;
    copy_home(&gateway.worker_home()?, dir.path())?;
    let direct = Direct::start(&codex.path, dir.path()).await?;
    let pair = Pair {
        gateway: &gateway,
        through: Target::Http(gateway.address.clone()),
        straight: Target::Pipes(direct.clone()),
        pid: direct.pid,
    };

    let burst = Question { wish: Wish { deltas: 20, ..Wish::default() }, stream: true };
    let slow = Question {
        wish: Wish { deltas: 50, every: Duration::from_millis(20), ..Wish::default() },
        stream: true,
    };
    let mut rows = Vec::new();
    for (what, question, levels) in
        [("20 deltas at once", burst, [1, 8, 64]), ("50 deltas in 1 s", slow, [1, 8, 32])]
    {
        for streams in levels {
            let found = pair.compare(bench, question, streams).await?;
            found.goals(what, report);
            rows.extend(found.rows(what));
        }
    }
    direct.stop().await;
    gateway.stop().await;
    model.shutdown().await;
    let about = format!(
        "Codex {} with the same configuration behind both, and the same scripted model behind it. One turn on a thread of its own for each answer.",
        codex.version
    );
    report.tables.push(Table { title: "With the real Codex", about, rows });
    Ok(())
}

/// The gateway and the app-server beside it.
struct Pair<'a> {
    gateway: &'a Gateway,
    through: Target,
    straight: Target,
    pid: u32,
}

impl Pair<'_> {
    async fn compare(&self, bench: &Bench, question: Question, streams: usize) -> anyhow::Result<Found> {
        let window = bench.pick(Duration::from_secs(3), Duration::from_millis(500));
        let [mut gateway, mut direct] = [Load::default(), Load::default()];
        let mut cpu = [Duration::ZERO; 3];
        for round in 0..bench.pick(6, 2) {
            for turn in 0..2 {
                let before = self.spent()?;
                if (round + turn) % 2 == 0 {
                    gateway.add(closed(&self.through, question, streams, window, u64::MAX).await?);
                } else {
                    direct.add(closed(&self.straight, question, streams, window, u64::MAX).await?);
                }
                for (sum, (after, before)) in cpu.iter_mut().zip(self.spent()?.into_iter().zip(before)) {
                    *sum += after.saturating_sub(before);
                }
            }
        }
        Ok(Found { streams, gateway, direct, cpu })
    }

    fn spent(&self) -> anyhow::Result<[Duration; 3]> {
        // A worker that has just been replaced is not counted.
        let workers =
            proc::descendants(self.gateway.pid).into_iter().filter_map(|pid| proc::cpu(pid).ok()).sum();
        Ok([proc::cpu(self.gateway.pid)?, workers, proc::cpu(self.pid)?])
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
        let at_once = what == "20 deltas at once";
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
