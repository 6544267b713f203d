//! What the gateway adds to an answer at a steady thousand requests a second.

use std::time::Duration;

use super::Bench;
use crate::direct::Direct;
use crate::load::{Load, Question, open};
use crate::proc;
use crate::report::{Cell, Report, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

const PER_SECOND: u32 = 1000;
/// Enough that nobody waits for a free connection while answers take less than 100 ms.
const ASKERS: usize = 100;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(1024).await?;
    let home = camino_tempfile::tempdir()?;
    let direct = Direct::start(&bench.fake, home.path()).await?;
    let plain = bench.passthrough().await?;
    let contenders = [
        ("gateway", Target::Http(gateway.address.clone()), gateway.pid),
        ("app-server directly", Target::Pipes(direct.clone()), direct.pid),
        ("passthrough", Target::Http(plain.before.clone()), plain.proxy.pid()),
        ("chat server directly", Target::Http(plain.behind.clone()), plain.upstream.pid()),
    ];
    let window = bench.pick(Duration::from_secs(5), Duration::from_millis(500));
    let mut rows = Vec::new();
    let questions = [
        ("whole, 393 bytes", Question { wish: Wish { bytes: 393, ..Wish::default() }, stream: false }),
        ("stream, 1 delta", Question { wish: Wish::default(), stream: true }),
    ];
    for (what, question) in questions {
        let mut loads: [Load; 4] = Default::default();
        let mut spent = [Duration::ZERO; 4];
        for round in 0..bench.pick(4, 2) {
            for turn in 0..contenders.len() {
                let at = (round + turn) % contenders.len();
                let before = proc::cpu(contenders[at].2)?;
                loads[at].add(open(&contenders[at].1, question, PER_SECOND, window, ASKERS).await?);
                spent[at] += proc::cpu(contenders[at].2)?.saturating_sub(before);
            }
        }
        let at = |load: &Load, per_mille| {
            percentile(&load.answers.iter().map(|answer| answer.whole).collect::<Vec<_>>(), per_mille)
        };
        for ((name, ..), (load, cpu)) in contenders.iter().zip(loads.iter().zip(spent)) {
            rows.push(vec![
                ("what", what.into()),
                ("who", Cell::from(*name)),
                ("answers", load.answers.len().into()),
                ("p50, ms", ms(at(load, 500))),
                ("p99", ms(at(load, 990))),
                ("p99.9", ms(at(load, 999))),
                ("worst", ms(at(load, 1000))),
                ("CPU µs each", Cell::Number(cpu.as_secs_f64() * 1e6 / load.answers.len().max(1) as f64, 1)),
                ("failed", Cell::Number(load.failed as f64, 0)),
            ]);
        }
        if !question.stream {
            let added = |per_mille| {
                (at(&loads[0], per_mille).as_secs_f64() - at(&loads[1], per_mille).as_secs_f64()) * 1e3
            };
            let (p50, p99) = (added(500), added(990));
            report.goal("added at 1,000 requests/s, p50", "0.15 ms", format!("{p50:.3} ms"), p50 <= 0.15);
            report.goal("added at 1,000 requests/s, p99", "1 ms", format!("{p99:.3} ms"), p99 <= 1.0);
        }
    }
    direct.stop().await;
    plain.stop().await;
    gateway.stop().await;
    let about = format!(
        "{PER_SECOND} requests a second, evenly, whether or not earlier ones are answered; times count from when a request was due. \
         Behind the gateway is the scripted app-server, behind the passthrough a scripted chat server: what the passthrough adds is \
         what one more process costs here. CPU is that of the process alone."
    );
    report.tables.push(Table { title: "A steady load", about, rows });
    Ok(())
}
