//! Whether a turn could start now, and if not, what is missing.

use serde::Serialize;

/// The state of an agent as its operator may read it: no secrets, no paths, no prompts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether a turn could start now.
    pub ready: bool,
    /// Every condition that was looked at.
    pub conditions: Vec<Condition>,
}

/// One thing that must hold, or should.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Condition {
    /// A short permanent word, such as `worker` or `login`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Whether the agent can not run turns without it.
    pub required: bool,
    /// What is so, and what to do about it.
    pub message: String,
}

impl Readiness {
    /// Ready when every required condition holds.
    pub fn of(conditions: Vec<Condition>) -> Self {
        Self { ready: conditions.iter().all(|c| c.ok || !c.required), conditions }
    }
}
