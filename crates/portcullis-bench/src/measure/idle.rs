//! What a stream weighs that waits for its model.

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;

use super::Bench;
use crate::http::Connection;
use crate::proc;
use crate::report::{Cell, Report, Table, mib};
use crate::wish::Wish;

/// Half of what a process may open here: both ends of a connection are on this machine.
const MOST: usize = 10_000;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let gateway = bench.gateway_with_fake(2 * MOST).await?;
    let prompt = Wish { hang: true, ..Wish::default() }.prompt();
    let mut open = Vec::new();
    let empty = proc::rss(gateway.pid)?;
    let mut rows = Vec::new();
    for count in bench.pick(vec![0, 1_000, 5_000, MOST], vec![0, 200]) {
        while open.len() < count {
            let mut connection = Connection::open(&gateway.address).await?;
            let response = connection.post(&prompt, true).await?;
            ensure!(response.status() == 200, "a stream was refused: {}", response.status());
            let mut body = response.into_body();
            body.frame().await.context("a stream without a beginning")??;
            open.push((connection, body));
        }
        let rss = proc::rss(gateway.pid)?;
        let each = rss.saturating_sub(empty).checked_div(count as u64).unwrap_or_default();
        rows.push(vec![
            ("idle streams", Cell::from(count)),
            ("RSS, MiB", mib(rss)),
            ("KiB each", Cell::Number(each as f64 / 1024.0, 1)),
            ("descriptors", proc::descriptors(gateway.pid)?.into()),
        ]);
        if count == MOST {
            let measured = format!("{} MiB", mib(rss));
            report.goal("10,000 idle streams", "260 MB", measured, rss <= 260_000_000);
        }
    }
    drop(open);
    gateway.stop().await;
    let about = "Each has sent its first delta and waits for the next one, which does not come.".to_owned();
    report.tables.push(Table { title: "Idle streams", about, rows });
    Ok(())
}
