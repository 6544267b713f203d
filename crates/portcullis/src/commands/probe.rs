//! `portcullis probe`: tries what a hostile program would. To be run inside a cell.

use anyhow::Context as _;
use portcullis_confine::probe::{self, Targets};

use crate::print;

/// Try, inside a cell, what must be refused there, and print one line of JSON for each attempt.
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// What to go for, as JSON.
    targets: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let targets: Targets = serde_json::from_str(&args.targets).context("these are no targets")?;
    for trial in probe::run(&targets) {
        print::out(&serde_json::to_string(&trial)?)?;
    }
    Ok(())
}
