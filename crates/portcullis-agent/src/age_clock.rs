//! By which time kept things are old: the wall clock, doubted when it jumps.

use std::time::{Duration, Instant, SystemTime};

/// How long a clock that jumped ahead must stay there until it is believed.
const DOUBT: Duration = Duration::from_hours(24);

/// The time for whoever removes what is old. A wall clock that is suddenly a year ahead would make everything old at once; so
/// one that runs ahead of the time that has really passed is believed only when it still does so after a day. One that is
/// set back is believed at once: nothing is removed by it.
///
/// A process that starts while the clock is wrong can not know it.
#[derive(Clone, Copy, Debug)]
pub struct AgeClock {
    /// The time that was last believed, and when that was.
    believed: (SystemTime, Instant),
    /// Since when it has been ahead.
    ahead: Option<Instant>,
}

impl AgeClock {
    /// Begins with a time that is believed.
    pub fn new(wall: SystemTime, now: Instant) -> Self {
        Self { believed: (wall, now), ahead: None }
    }

    /// By which time things are old, given what the wall clock says.
    pub fn time(&mut self, wall: SystemTime, now: Instant) -> SystemTime {
        let (believed, at) = self.believed;
        let expected = believed + now.saturating_duration_since(at);
        if wall > expected {
            let since = *self.ahead.get_or_insert(now);
            if now.saturating_duration_since(since) < DOUBT {
                return expected;
            }
        }
        *self = Self::new(wall, now);
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    #[test]
    fn a_jump_ahead_makes_nothing_old_before_it_has_lasted_a_day() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let mut clock = AgeClock::new(wall, now);
        assert_eq!(clock.time(wall + HOUR, now + HOUR), wall + HOUR);
        for hours in 2..26 {
            let passed = hours * HOUR;
            assert_eq!(clock.time(wall + passed + YEAR, now + passed), wall + passed, "after {hours} h");
        }
        let passed = 26 * HOUR;
        assert_eq!(clock.time(wall + passed + YEAR, now + passed), wall + passed + YEAR);
        // From here on it goes with it.
        assert_eq!(clock.time(wall + passed + YEAR + HOUR, now + passed + HOUR), wall + passed + YEAR + HOUR);
    }

    #[test]
    fn a_clock_that_is_set_back_or_put_right_is_believed_at_once() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let mut clock = AgeClock::new(wall, now);
        assert_eq!(clock.time(wall - YEAR, now + HOUR), wall - YEAR);
        // Put right again it seems to jump ahead: what was kept meanwhile is safe for a day.
        assert_eq!(clock.time(wall + 2 * HOUR, now + 2 * HOUR), wall - YEAR + HOUR);
        assert_eq!(clock.time(wall + 26 * HOUR, now + 26 * HOUR), wall + 26 * HOUR);

        let mut clock = AgeClock::new(wall, now);
        assert_eq!(clock.time(wall + YEAR, now + HOUR), wall + HOUR);
        assert_eq!(clock.time(wall + 2 * HOUR, now + 2 * HOUR), wall + 2 * HOUR);
        // The doubt of before is forgotten.
        assert_eq!(clock.time(wall + YEAR, now + 30 * HOUR), wall + 30 * HOUR);
        // Before 1970, too.
        assert_eq!(clock.time(SystemTime::UNIX_EPOCH - HOUR, now + 31 * HOUR), SystemTime::UNIX_EPOCH - HOUR);
    }
}
