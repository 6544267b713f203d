//! What happens to an agent's workers that matters to security, for whoever writes it down.

use crate::Profile;

/// Such a fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WorkerFact {
    /// A worker's process was started.
    Started {
        /// Its name.
        worker: String,
        /// For which profile, where it serves only one.
        profile: Option<Profile>,
        /// What the kernel enforces on it, as a short word of the confinement's own.
        level: String,
    },
    /// A worker runs without a barrier that it should have.
    BarrierMissing {
        /// Its name.
        worker: String,
        /// Which barrier.
        barrier: String,
    },
    /// After a turn the hands were emptied of what it had left running.
    HandsEmptied {
        /// The worker's name.
        worker: String,
        /// How many processes were ended.
        ended: u32,
    },
    /// The hands could not be emptied, and were ended as a whole.
    HandsKilled {
        /// The worker's name.
        worker: String,
    },
}

/// Who writes such facts down. It must not wait.
pub trait WorkerWitness: Send + Sync {
    /// It has happened.
    fn saw(&self, fact: WorkerFact);
}
