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
}
