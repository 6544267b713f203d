//! `make bench`: the time to the first byte of a streamed answer, through the gateway and by driving an app-server
//! directly, interleaved in one run against the same scripted model.
#![expect(clippy::print_stdout, reason = "its output is the result")]

mod direct;
mod gateway;
mod percentiles;

use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer};

use crate::direct::Direct;
use crate::gateway::Gate;
use crate::percentiles::Percentiles;

/// Counted rounds; the first ones are not.
const ROUNDS: usize = 200;
const WARM_UP: usize = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let launcher = Utf8PathBuf::from("tools/codex/node_modules/.bin/codex");
    let binary = CodexBinary::find(&launcher).await?;
    let dir = camino_tempfile::tempdir()?;
    let model = ModelServer::start().await?;
    model.respond_with(|_| Answer::text(["Hello ", "world."]));

    let gate = Gate::start(&binary, &dir.path().join("gate"), &model).await?;
    // The very same worker configuration: the direct app-server gets a copy of the home that the gateway's worker has.
    let mut direct = Direct::start(&binary, &dir.path().join("gate"), &dir.path().join("direct")).await?;

    let (mut through, mut straight, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let (gate_first, direct_first) = if round % 2 == 0 {
            let gate_first = gate.first_byte().await?;
            (gate_first, direct.first_delta().await?)
        } else {
            let direct_first = direct.first_delta().await?;
            (gate.first_byte().await?, direct_first)
        };
        if round >= WARM_UP {
            through.push(gate_first);
            straight.push(direct_first);
            extra.push(gate_first.as_secs_f64() - direct_first.as_secs_f64());
        }
    }
    println!("time to the first byte, {ROUNDS} interleaved rounds, ms        p10     p50     p90     p99");
    println!("through the gateway                                  {}", Percentiles::of(&through));
    println!("app-server driven directly                           {}", Percentiles::of(&straight));
    extra.sort_by(f64::total_cmp);
    println!("gateway minus direct, median of the pairs            {:+.3} ms", extra[extra.len() / 2] * 1e3);

    direct.stop().await;
    gate.stop().await?;
    model.shutdown().await;
    Ok(())
}

/// How long the worker may take to be ready.
const READY: Duration = Duration::from_secs(30);
