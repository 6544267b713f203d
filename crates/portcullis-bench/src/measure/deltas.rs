//! How long a delta is under way when deltas trickle, as they do from a real model.

use std::time::Duration;

use super::Bench;
use crate::load::{Question, closed};
use crate::proc;
use crate::report::{Cell, Report, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

const EVERY: Duration = Duration::from_millis(20);
/// Old TCP stacks' delayed acknowledgement: what a server that waits for it looks like.
const STALL: Duration = Duration::from_millis(40);

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(1024).await?;
    let plain = bench.passthrough().await?;
    let home = camino_tempfile::tempdir()?;
    let direct = crate::direct::Direct::start(&bench.fake, home.path()).await?;
    let contenders = [
        ("gateway", Target::Http(gateway.address.clone()), gateway.pid),
        ("app-server directly", Target::Pipes(direct.clone()), direct.pid),
        ("passthrough", Target::Http(plain.before.clone()), plain.proxy.pid()),
    ];
    let wish = Wish { deltas: bench.pick(250, 25), every: EVERY, stamp: true, ..Wish::default() };
    let question = Question { wish, stream: true };
    let mut rows = Vec::new();
    let mut stalls = 0;
    for streams in [1, 8, 64, 256] {
        for (name, target, pid) in &contenders {
            let before = proc::cpu(*pid)?;
            let load = closed(target, question, streams, Duration::from_hours(1), streams as u64).await?;
            let cpu = proc::cpu(*pid)?.saturating_sub(before);
            let ages: Vec<Duration> =
                load.answers.iter().flat_map(|answer| answer.ages.iter().copied()).collect();
            if *name == "gateway" && streams == 1 {
                stalls = ages.iter().filter(|age| **age >= STALL).count();
            }
            rows.push(vec![
                ("streams", Cell::from(streams)),
                ("who", Cell::from(*name)),
                ("deltas", ages.len().into()),
                ("p50, ms", ms(percentile(&ages, 500))),
                ("p99", ms(percentile(&ages, 990))),
                ("worst", ms(percentile(&ages, 1000))),
                ("CPU µs each", Cell::Number(cpu.as_secs_f64() * 1e6 / ages.len().max(1) as f64, 1)),
                ("failed", Cell::Number(load.failed as f64, 0)),
            ]);
        }
    }
    report.goal("stalls of 40 ms, one stream", "none", stalls.to_string(), stalls == 0);
    direct.stop().await;
    plain.stop().await;
    gateway.stop().await;
    let about = "Every delta says when it was written, and is looked at when the client reads it. One every 20 ms in each stream, all streams in step.".to_owned();
    report.tables.push(Table { title: "Deltas under way", about, rows });
    Ok(())
}
