//! Whether the gateway's memory stays flat.

use std::time::Duration;

use super::Bench;
use crate::load::{Question, closed};
use crate::proc;
use crate::report::{Cell, Report, Table, mib};
use crate::target::Target;
use crate::wish::Wish;

const PARTS: u64 = 10;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(1024).await?;
    let target = Target::Http(gateway.address.clone());
    let question = Question { wish: Wish { bytes: 393, ..Wish::default() }, stream: false };
    let part = bench.pick(1_000_000, 20_000) / PARTS;
    let mut rows = Vec::new();
    let (mut answered, mut failed, mut first) = (0, 0, 0);
    for number in 1..=PARTS {
        let load = closed(&target, question, 32, Duration::from_hours(1), part).await?;
        answered += load.answers.len();
        failed += load.failed;
        let rss = proc::rss(gateway.pid)?;
        first = if number == 1 { rss } else { first };
        rows.push(vec![
            ("requests", Cell::from(answered)),
            ("failed", Cell::Number(failed as f64, 0)),
            ("RSS, MiB", mib(rss)),
            ("descriptors", proc::descriptors(gateway.pid)?.into()),
        ]);
        if number == PARTS {
            let grown = rss.saturating_sub(first);
            let measured = format!("{} MiB more after {answered} requests than after {part}", mib(grown));
            report.goal("RSS over a million requests", "flat", measured, grown <= 4 << 20);
        }
    }
    gateway.stop().await;
    let about = "Whole answers over 32 connections, the scripted app-server behind.".to_owned();
    report.tables.push(Table { title: "A million requests", about, rows });
    Ok(())
}
