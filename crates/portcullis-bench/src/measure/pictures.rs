//! Pictures through the real Codex: how long several at once take beyond what the service takes, and what large ones cost in
//! memory.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use camino::Utf8Path;
use http_body_util::BodyExt as _;
use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer, demo, draw};
use serde_json::{Value, json};

use super::Bench;
use crate::gateway::{Gateway, Setup};
use crate::http::Connection;
use crate::proc;
use crate::report::{Cell, Report, Table, ms, percentile};
use crate::upstream::START;

/// How long the service takes over a picture.
const SERVICE: Duration = Duration::from_millis(300);
/// The edge of a square of noise whose file has 20 MiB.
const EDGE: u32 = 2644;
const MIB: f64 = 1_048_576.0;
/// Pictures are drawn only with a login, here nobody's.
const WITH_LOGIN: &str = "requires_openai_auth = true\n";

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let codex = CodexBinary::find(&bench.options.codex).await?.path;
    let model = ModelServer::start().await?;
    model.respond_with(demo::answer);
    let base = model.base_url();

    let small = draw::picture("a red circle", 96, 64, 0, false);
    model.draw_with(move |_| Answer::picture(&small).first_after(SERVICE));
    let gateway = start(bench, &codex, &base).await?;
    let mut rows = Vec::new();
    for count in [1, 4, 8] {
        let mut took = Vec::new();
        for _ in 0..bench.pick(15, 2) {
            let asked = Instant::now();
            draw(&gateway, count).await?;
            took.push(asked.elapsed());
        }
        let p50 = percentile(&took, 500);
        let over = p50.saturating_sub(SERVICE);
        if count == 4 {
            let measured = format!("{:.0} ms", over.as_secs_f64() * 1e3);
            let goal = "4 pictures at once over the service's time, p50";
            report.goal(goal, "150 ms", measured, over <= Duration::from_millis(150));
        }
        rows.push(vec![
            ("pictures", Cell::from(count)),
            ("p50, ms", ms(p50)),
            ("p99", ms(percentile(&took, 990))),
            ("over the service's 300 ms", ms(over)),
        ]);
    }
    gateway.stop().await;
    let about = "One request for so many pictures, drawn by the real Codex, each on a thread of its own, before a service that takes 0.3 s.";
    report.tables.push(Table { title: "Pictures", about: about.to_owned(), rows });

    let large = noise()?;
    let bytes = large.len();
    model.draw_with(move |_| Answer::picture(&large).first_after(SERVICE));
    let mut rows = Vec::new();
    for count in [1, 4] {
        // The most that a process ever had is its own: another gateway for each row.
        let gateway = start(bench, &codex, &base).await?;
        draw(&gateway, count).await?;
        let own = proc::peak(gateway.pid)? as f64 / MIB;
        let workers = proc::descendants(gateway.pid);
        let peaks = workers.iter().filter_map(|pid| proc::peak(*pid).ok());
        let worker = peaks.max().context("no worker runs")? as f64 / MIB;
        if count == 1 {
            report.goal(
                "memory of the gateway, a picture of 20 MiB",
                "150 MB",
                format!("{own:.0} MiB"),
                own <= 143.0,
            );
            let goal = "memory of the worker, a picture of 20 MiB";
            report.goal(goal, "600 MB", format!("{worker:.0} MiB"), worker <= 572.0);
        }
        rows.push(vec![
            ("pictures", Cell::from(count)),
            ("each, MiB", Cell::Number(bytes as f64 / MIB, 1)),
            ("gateway, most MiB", Cell::Number(own, 0)),
            ("worker, most MiB", Cell::Number(worker, 0)),
        ]);
        gateway.stop().await;
    }
    model.shutdown().await;
    let about = "One request for so many pictures of noise. The most resident memory that each process ever had (`VmHWM`).";
    report.tables.push(Table { title: "Large pictures", about: about.to_owned(), rows });
    Ok(())
}

/// A gateway that can draw; whether it can is another question than whether it can answer.
async fn start(bench: &Bench, codex: &Utf8Path, base: &str) -> anyhow::Result<Gateway> {
    let gateway = Gateway::start(&Setup {
        program: &bench.gateway,
        codex,
        model: base,
        turns: 64,
        level: None,
        provider: WITH_LOGIN,
        more: "",
        dir: None,
        descriptors: None,
    })
    .await?;
    let started = Instant::now();
    let mut connection = Connection::open(&gateway.address).await?;
    loop {
        let told: Value = serde_json::from_slice(&connection.get("/readyz").await?.1)?;
        let conditions = told["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        if conditions.iter().any(|condition| condition["name"] == "images_worker" && condition["ok"] == true)
        {
            break;
        }
        ensure!(started.elapsed() < START, "it does not draw:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(gateway)
}

/// Asks for so many pictures and reads them all.
async fn draw(gateway: &Gateway, count: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(&gateway.address).await?;
    let body = json!({"prompt": "a red circle", "n": count});
    let answer = connection.send("/v1/images/generations", &body).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        status == 200,
        "a picture was not drawn: {status} {}\n{}",
        String::from_utf8_lossy(&body[..body.len().min(500)]),
        gateway.log()
    );
    Ok(())
}

/// A PNG that can not be made smaller.
fn noise() -> anyhow::Result<Vec<u8>> {
    let mut pixels = vec![0; (EDGE * EDGE * 3) as usize];
    getrandom::fill(&mut pixels).map_err(std::io::Error::other)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, EDGE, EDGE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}
