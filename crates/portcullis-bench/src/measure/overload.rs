//! Ten times more than the gateway takes: who is refused must know it at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Bench;
use crate::report::{Cell, Report, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

const TURNS: usize = 64;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(TURNS).await?;
    let target = Target::Http(gateway.address.clone());
    // Long enough that nobody who got a place gives it back before everybody has asked.
    let wish = Wish { deltas: 20, every: Duration::from_millis(100), ..Wish::default() };
    let mut times: BTreeMap<u16, Vec<Duration>> = BTreeMap::new();
    let mut unanswered = 0_u64;
    for _ in 0..bench.pick(5, 1) {
        let mut tasks = JoinSet::new();
        for _ in 0..10 * TURNS {
            let mut asker = target.asker().await?;
            tasks.spawn(async move { asker.ask(wish, false, Instant::now()).await });
        }
        while let Some(answer) = tasks.join_next().await {
            match answer? {
                Ok(answer) => times.entry(answer.status).or_default().push(answer.whole),
                Err(_broke) => unanswered += 1,
            }
        }
    }
    let mut rows = Vec::new();
    for (status, times) in &times {
        rows.push(vec![
            ("status", Cell::from(usize::from(*status))),
            ("answers", times.len().into()),
            ("p50, ms", ms(percentile(times, 500))),
            ("p99", ms(percentile(times, 990))),
            ("worst", ms(percentile(times, 1000))),
        ]);
    }
    let refused: Vec<Duration> = times
        .iter()
        .filter(|(status, _)| **status != 200)
        .flat_map(|(_, times)| times.iter().copied())
        .collect();
    let p50 = percentile(&refused, 500);
    let measured = format!(
        "p50 {:.2} ms, p99 {:.2} ms",
        p50.as_secs_f64() * 1e3,
        percentile(&refused, 990).as_secs_f64() * 1e3
    );
    let met = !refused.is_empty() && percentile(&refused, 990) <= Duration::from_millis(5);
    report.goal("refusal at ten times overload", "5 ms", measured, met);
    report.goal(
        "requests without an answer at ten times overload",
        "none",
        unanswered.to_string(),
        unanswered == 0,
    );
    gateway.stop().await;
    let about = format!("{TURNS} places, {} requests at one time, each 2 s long.", 10 * TURNS);
    report.tables.push(Table { title: "Overload", about, rows });
    Ok(())
}
