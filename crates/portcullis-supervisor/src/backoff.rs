//! How long to wait before the next start: exponential, jittered, and pure given the random number.

use std::time::Duration;

/// Exponential delays between `min` and `max`, shortened at random so that workers which died together do not
/// return together.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    jitter: f64,
    attempts: u32,
}

/// Why three numbers do not make a [`Backoff`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidBackoff {
    /// `min` is zero, so a crash loop would not be slowed down.
    #[error("the shortest delay must be longer than zero")]
    Zero,
    /// `min` is longer than `max`.
    #[error("the shortest delay must not exceed the longest")]
    MinExceedsMax,
    /// `max` is longer than a day.
    #[error("the longest delay must not exceed one day")]
    TooLong,
    /// `jitter` is not a number from 0 to 1.
    #[error("the jitter must be a number from 0 to 1")]
    Jitter,
}

impl Backoff {
    /// The first delay is `min`; each further one doubles, up to `max` (at most a day). `jitter`, from 0 to
    /// 1, is the share of a delay that may be taken off at random; no delay becomes shorter than `min`.
    pub fn new(min: Duration, max: Duration, jitter: f64) -> Result<Self, InvalidBackoff> {
        if min.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if min > max {
            return Err(InvalidBackoff::MinExceedsMax);
        }
        if max > LONGEST {
            return Err(InvalidBackoff::TooLong);
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidBackoff::Jitter);
        }
        Ok(Self { min, max, jitter, attempts: 0 })
    }

    /// The next delay. `random` is from 0 (inclusive) to 1 (exclusive); anything else counts as 0, which is
    /// no jitter.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let random = if (0.0..1.0).contains(&random) { random } else { 0.0 };
        let factor = 2_u32.saturating_pow(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let full = self.min.saturating_mul(factor).min(self.max);
        // Taken off rather than added: added jitter would vanish at `max`, where a long outage puts
        // everybody.
        full.mul_f64(1.0 - self.jitter * random).clamp(self.min, self.max)
    }

    /// How many delays were given since the start or the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The shortest delay.
    pub fn min(&self) -> Duration {
        self.min
    }

    /// Begins again at the shortest delay.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Keeps every sum with an `Instant` far from overflow.
const LONGEST: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn delays_double_up_to_the_longest_and_begin_again_after_reset() {
        let mut backoff = Backoff::new(ms(100), ms(1_000), 0.5).expect("valid");
        let delays: Vec<_> = (0..6).map(|_| backoff.next_delay(0.0)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000].map(ms));
        assert_eq!(backoff.next_delay(0.5), ms(750), "jitter still works at the longest delay");
        backoff.reset();
        assert_eq!((backoff.attempts(), backoff.next_delay(0.9)), (0, ms(100)));
    }

    #[test]
    fn numbers_that_make_no_backoff_are_refused() {
        let day = Duration::from_hours(24);
        for (min, max, jitter, expected) in [
            (ms(0), ms(1), 0.0, InvalidBackoff::Zero),
            (ms(2), ms(1), 0.0, InvalidBackoff::MinExceedsMax),
            (ms(1), day + ms(1), 0.0, InvalidBackoff::TooLong),
            (ms(1), ms(1), -0.1, InvalidBackoff::Jitter),
            (ms(1), ms(1), 1.1, InvalidBackoff::Jitter),
            (ms(1), ms(1), f64::NAN, InvalidBackoff::Jitter),
        ] {
            assert_eq!(Backoff::new(min, max, jitter), Err(expected));
        }
    }

    proptest! {
        #[test]
        fn delays_stay_within_bounds_and_never_shrink_without_jitter(
            min in 1_u64..10_000, span in 0_u64..80_000_000, jitter in 0.0..=1.0_f64,
            randoms in proptest::collection::vec(proptest::num::f64::ANY, 1..80),
        ) {
            let (min, max) = (ms(min), ms(min.saturating_add(span)));
            let mut jittered = Backoff::new(min, max, jitter).expect("valid");
            let mut plain = jittered.clone();
            let mut last = Duration::ZERO;
            for random in randoms {
                let delay = jittered.next_delay(random);
                prop_assert!((min..=max).contains(&delay));
                let full = plain.next_delay(0.0);
                prop_assert!(delay <= full && last <= full);
                last = full;
            }
        }
    }
}
