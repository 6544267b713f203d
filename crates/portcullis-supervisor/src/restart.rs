//! What follows the end of a process: another start at once, or a delay. Pure given the random number.

use std::time::Duration;

use rustix::process::Signal;

use crate::{Backoff, ExitReason};

/// How far a process had come when it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lived {
    /// It was never ready.
    Unready,
    /// It was ready, for less than a stable time.
    Briefly,
    /// It was ready for a stable time.
    Long,
}

/// What the ends so far mean for the next start.
#[derive(Debug)]
pub(crate) struct Restarts {
    backoff: Backoff,
    /// Kills from outside in a row, none after a stable time.
    killed: u32,
}

/// So many kills from outside in a row say nothing of the process; more may be the kernel, for which it is too large.
const FORGIVEN: u32 = 8;

impl Restarts {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, killed: 0 }
    }

    /// How long to wait before the next start; `None` for not at all. A process that was ready and that somebody else
    /// killed did nothing wrong, however short it was ready.
    pub(crate) fn delay(&mut self, lived: Lived, reason: &ExitReason, random: f64) -> Option<Duration> {
        if lived == Lived::Long {
            self.backoff.reset();
            self.killed = 0;
            return None;
        }
        if lived == Lived::Briefly && from_outside(reason) && self.killed < FORGIVEN {
            self.killed += 1;
            return None;
        }
        Some(self.backoff.next_delay(random))
    }

    /// How many delays there were in a row.
    pub(crate) fn attempts(&self) -> u32 {
        self.backoff.attempts()
    }
}

/// Whether a process ended by what others send, not by what its own faults raise.
fn from_outside(reason: &ExitReason) -> bool {
    let others = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    matches!(reason, ExitReason::Signal(signal) if others.iter().any(|other| other.as_raw() == *signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_kill_from_outside_is_forgiven_and_a_crash_loop_is_not() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 0.0).expect("valid");
        let mut restarts = Restarts::new(backoff);
        let (killed, crashed) = (ExitReason::Signal(9), ExitReason::Signal(11));
        let mut next = |lived, reason: &ExitReason| restarts.delay(lived, reason, 0.0);
        // Crashes, and kills before it is ready, double the delay; kills of a ready one between them do not count.
        assert_eq!(next(Lived::Briefly, &crashed), Some(ms(100)));
        assert_eq!(next(Lived::Briefly, &killed), None);
        assert_eq!(next(Lived::Briefly, &ExitReason::Code(1)), Some(ms(200)));
        assert_eq!(next(Lived::Unready, &killed), Some(ms(400)));
        assert_eq!(next(Lived::Long, &crashed), None);
        assert_eq!(next(Lived::Unready, &crashed), Some(ms(100)));
        assert_eq!(next(Lived::Long, &crashed), None);
        for _ in 0..FORGIVEN {
            assert_eq!(next(Lived::Briefly, &killed), None);
        }
        assert_eq!(
            next(Lived::Briefly, &killed),
            Some(ms(100)),
            "a row of kills without an end is slowed down"
        );
        assert_eq!(next(Lived::Long, &killed), None);
        assert_eq!(next(Lived::Briefly, &killed), None);
    }
}
