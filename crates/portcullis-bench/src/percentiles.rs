//! Percentiles of durations, for a table.

use std::fmt;
use std::time::Duration;

/// Percentiles, in milliseconds.
pub(crate) struct Percentiles([f64; 4]);

impl Percentiles {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        Self([at(10), at(50), at(90), at(99)])
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|value| write!(f, "{value:8.2}"))
    }
}
