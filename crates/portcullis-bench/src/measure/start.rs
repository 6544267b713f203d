//! From the start of the process to the first answer, and what an idle gateway weighs.

use std::time::Instant;

use anyhow::Context as _;
use portcullis_codex::CodexBinary;
use portcullis_lab::ModelServer;

use super::Bench;
use crate::direct::Direct;
use crate::gateway::{Gateway, Setup};
use crate::proc;
use crate::report::{Cell, Report, Table, mib, ms, percentile};

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let size = bench.gateway.metadata().context("the gateway's program")?.len();
    let model = ModelServer::start().await?;
    let codex = CodexBinary::find(&bench.options.codex).await?.path;
    let mut rows = Vec::new();
    for (worker, program) in [("scripted", &bench.fake), ("Codex", &codex)] {
        let (mut alive, mut ready, mut alone, mut rss) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..bench.pick(15, 3) {
            let base = model.base_url();
            let setup = Setup {
                program: &bench.gateway,
                codex: program,
                model: &base,
                turns: 64,
                level: None,
                provider: "",
                more: "",
                dir: None,
                descriptors: None,
            };
            let gateway = Gateway::start(&setup).await?;
            alive.push(gateway.alive_after);
            ready.push(gateway.ready_after);
            rss = rss.max(proc::rss(gateway.pid)?);
            gateway.stop().await;
            let home = camino_tempfile::tempdir()?;
            let began = Instant::now();
            let worker = Direct::start(program, home.path()).await?;
            alone.push(began.elapsed());
            worker.stop().await;
        }
        let [alive, ready, alone] = [alive, ready, alone].map(|took| percentile(&took, 500));
        rows.push(vec![
            ("worker", worker.into()),
            ("answers after, ms", ms(alive)),
            ("can run a turn after, ms", ms(ready)),
            ("worker alone, ms", ms(alone)),
            ("RSS, MiB", mib(rss)),
        ]);
        if worker == "scripted" {
            let own = ready.saturating_sub(alone);
            let measured = format!("{:.1} ms", own.as_secs_f64() * 1e3);
            report.goal("ready, without the worker's start", "50 ms", measured, own.as_micros() <= 50_000);
            let measured = format!("{} MiB", mib(rss));
            report.goal("RSS idle", "30 MB", measured, rss <= 30_000_000);
        }
    }
    let measured = format!("{:.1} MB", size as f64 / 1e6);
    report.goal("one binary", "25 MB", measured, size <= 25_000_000);
    model.shutdown().await;
    for row in &mut rows {
        row.push(("binary, MB", Cell::Number(size as f64 / 1e6, 1)));
    }
    let about = "From the start of the process to the first answer of `/livez` and to `/readyz` saying yes; \
         beside it the worker without a gateway, from its start to its first answer. Medians."
        .to_owned();
    report.tables.push(Table { title: "Start", about, rows });
    Ok(())
}
