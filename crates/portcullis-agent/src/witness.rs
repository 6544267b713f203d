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
}

/// Who writes such facts down. It must not wait.
pub trait WorkerWitness: Send + Sync {
    /// It has happened.
    fn saw(&self, fact: WorkerFact);
}
