//! `make bench`, and the servers that it measures against.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use anyhow::{anyhow, ensure};
use camino::Utf8PathBuf;
use clap::Parser;
use portcullis_bench::{
    FaultOptions, Options, Report, beside, break_one_by_one, break_under_load, measure, passthrough,
    upstream, wish,
};
use tokio::signal::unix::{SignalKind, signal};

/// Measures the gateway.
#[derive(Parser)]
enum Cli {
    /// Run every measurement, print the tables and write them to a directory.
    Measure {
        /// A run of a minute that shows that everything works; its figures say little.
        #[arg(long)]
        quick: bool,
        /// The pinned Codex.
        #[arg(long, default_value = "tools/codex/node_modules/.bin/codex")]
        codex: Utf8PathBuf,
        /// LiteLLM's program, with its proxy extra. Left out where it is not there.
        #[arg(long, default_value = "target/bench-venv/bin/litellm")]
        litellm: Utf8PathBuf,
        /// Where the results are written to.
        #[arg(long, default_value = "docs/benchmarks")]
        out: Utf8PathBuf,
        /// The commit that is measured, for the page's head.
        #[arg(long, default_value = "unknown")]
        commit: String,
        /// Only the measurements whose names contain one of these, separated by commas.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Break things under load, as a seed says.
    Faults {
        /// The same seed is the same schedule. A new one is chosen, and printed, where none is given.
        #[arg(long)]
        seed: Option<u64>,
        /// How long, for each of the two kinds of worker.
        #[arg(long, default_value_t = 90)]
        seconds: u64,
        /// The pinned Codex.
        #[arg(long, default_value = "tools/codex/node_modules/.bin/codex")]
        codex: Utf8PathBuf,
    },
    /// A scripted chat server; prints its address.
    Upstream,
    /// A minimal proxy before a chat server; prints its address.
    Passthrough {
        /// The chat server, as `HOST:PORT`.
        #[arg(long)]
        upstream: String,
        /// The key that is asked for.
        #[arg(long)]
        key: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    // Dropping what runs ends the processes that it has started.
    tokio::select! {
        done = run(Cli::parse()) => done,
        _ = interrupted.recv() => Err(anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow!("terminated")),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli {
        Cli::Measure { quick, codex, litellm, out, commit, only } => {
            let write = |report: &Report| report.write(&out, &commit);
            let report = measure(Options { quick, codex, litellm, only }, write).await?;
            println!("{}", report.markdown(&commit));
            Ok(())
        }
        Cli::Faults { seed, seconds, codex } => {
            let seed = seed.unwrap_or_else(|| wish::now() % 1_000_000);
            println!("seed {seed}");
            let (gateway, fake) = (beside("portcullis")?, beside("fake-app-server")?);
            let options = FaultOptions { seed, seconds, gateway, fake, codex };
            let mut wrong = 0;
            for found in [break_one_by_one(&options).await?, break_under_load(&options).await?] {
                println!("{}", found.lines.join("\n"));
                wrong += found.wrong.len();
            }
            ensure!(wrong == 0, "{wrong} things went wrong (again with --seed {seed})");
            Ok(())
        }
        Cli::Upstream => upstream(|address| println!("{address}")).await,
        Cli::Passthrough { upstream, key } => {
            passthrough(upstream, key, |address| println!("{address}")).await
        }
    }
}
