//! How durations are spread, in a bounded space: counts on a scale on which each step is a quarter longer than the one before.

use std::time::Duration;

/// From a millisecond on; the last step is about 25 minutes.
const STEPS: usize = 64;
const RATIO: f64 = 1.25;

/// Durations, counted. What it tells is at most a quarter too long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spread {
    counts: [u32; STEPS],
}

impl Default for Spread {
    fn default() -> Self {
        Self { counts: [0; STEPS] }
    }
}

impl Spread {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let millis = duration.as_secs_f64() * 1e3;
        let at = (0..STEPS - 1).find(|step| millis <= longest(*step)).unwrap_or(STEPS - 1);
        self.counts[at] = self.counts[at].saturating_add(1);
    }

    /// The duration below which so many of a hundred lie; `None` of nothing.
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        let all: u64 = self.counts.iter().copied().map(u64::from).sum();
        let mut left = (all * u64::from(percent)).div_ceil(100).max(1);
        for (step, count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(u64::from(*count));
            if all > 0 && left == 0 {
                return Some(Duration::from_secs_f64(longest(step) / 1e3));
            }
        }
        None
    }
}

/// In milliseconds.
fn longest(step: usize) -> f64 {
    RATIO.powi(i32::try_from(step).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_at_most_a_quarter_too_long() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(50), None);
        for millis in 1..=1000_u32 {
            spread.add(Duration::from_millis(millis.into()));
        }
        for percent in [1, 50, 95, 100] {
            let (told, really) =
                (spread.percentile(percent).unwrap().as_secs_f64(), f64::from(percent) / 100.0);
            assert!(really <= told && told <= really * 1.25, "{percent}: {told}");
        }
        spread.add(Duration::from_hours(30));
        assert!(spread.percentile(100).unwrap() > Duration::from_mins(20));
    }
}
