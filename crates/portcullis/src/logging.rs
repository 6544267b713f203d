//! The log: lines on stderr, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::environment::Environment;

/// Starts logging. Called once, by commands that run for a while.
pub(crate) fn start(log: &Log, environment: &Environment) {
    let colours = std::io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log.level.as_str()))
        .with_writer(std::io::stderr)
        // A line that can not be written is lost. To complain about it on the same stderr would be a panic, and with
        // the log on a full disk the end of the gateway.
        .log_internal_errors(false)
        .with_ansi(colours);
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
