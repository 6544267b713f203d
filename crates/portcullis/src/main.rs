//! The portcullis binary: reads arguments, configuration and environment, builds the parts, waits for them.
//!
//! - `commands`: what can be asked for, one file each.
//! - `config`, `flags`, `environment`: what was configured, and where.
//! - `gateway`: the parts of a running gateway, and their orderly end.
//! - `print`, `logging`, `exit`, `signals`, `systemd`: how the program speaks, ends, and is told to end.
//!
//! This file is the only one in the workspace that reads the arguments and the environment of the process; listening
//! sockets that are handed over there, a library takes (`gateway/handed.rs`).

mod commands;
mod config;
mod environment;
mod exit;
mod flags;
mod gateway;
mod logging;
mod print;
mod signals;
mod systemd;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::Cli;
use crate::environment::Environment;

/// A seventh of the processor time of a short turn was the system's allocator (docs/design/allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The panic hook has said by then what happened; only the exit code is left to choose.
    let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(exit::INTERNAL);
    ExitCode::from(code)
}

fn run() -> u8 {
    let cli = match Cli::try_parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and versions are "errors" to clap. If nobody reads them, nothing is lost.
            let _ = told.print();
            return if told.use_stderr() { exit::USAGE } else { exit::FINE };
        }
    };
    let done = Environment::of(std::env::vars_os())
        .map_err(anyhow::Error::from)
        .and_then(|environment| commands::run(cli, &environment));
    match done {
        Ok(()) => exit::FINE,
        Err(error) => {
            print::error(&error);
            exit::code(&error)
        }
    }
}
