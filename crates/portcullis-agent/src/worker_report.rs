//! The processes behind an agent, as its operator may see them.

use std::collections::BTreeMap;
use std::time::Duration;

/// One worker, as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkerReport {
    /// What it is called in the log.
    pub name: String,
    /// One permanent word: `starting`, `ready`, `draining`, `exited`, `backoff`.
    pub state: &'static str,
    /// How long its process has been running, if there is one.
    pub age: Option<Duration>,
    /// How many turns it runs.
    pub turns: usize,
    /// Its memory, with that of everything below it, in bytes.
    pub resident_bytes: Option<u64>,
    /// How often its processes have ended, by why: a permanent word each.
    pub ended: BTreeMap<&'static str, u64>,
    /// How much of its account's limits was used when the provider last said so, by the limit's name and its window: `primary`
    /// or `secondary`.
    pub account: BTreeMap<(String, &'static str), AccountWindow>,
}

/// A window of time in which an account may use so much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AccountWindow {
    /// How much of it is used.
    pub used_percent: i32,
    /// How long it is.
    pub length: Option<Duration>,
    /// When it is over, in Unix seconds.
    pub resets_at: Option<i64>,
}
