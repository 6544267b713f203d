//! Whether the provider is asked at all: a state machine without a clock.

use std::time::Duration;

use tokio::time::Instant;

/// When the provider is given a rest, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerLimits {
    /// So many failures in a row, of a turn each, open the circuit; with zero it never opens.
    pub failures: u64,
    /// How long it is open at first. Each failed trial doubles it, up to 2 minutes or this, whichever is longer.
    pub wait: Duration,
}

/// What a turn showed of the provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shown {
    /// It answered.
    Works,
    /// It failed, for everybody as it seems.
    Fails,
    /// Nothing: the turn ended for another reason.
    Nothing,
}

/// A turn that was let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pass {
    /// As one of many.
    Ordinary,
    /// To try whether the provider works again.
    Trial,
}

#[derive(Debug)]
pub(super) struct Circuit {
    limits: BreakerLimits,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        /// In a row.
        failures: u64,
    },
    Open {
        /// When the next trial may begin.
        until: Instant,
        /// How long after a trial another may begin.
        wait: Duration,
    },
}

/// Longer than this nobody waits for a provider that works again.
const LONGEST: Duration = Duration::from_mins(2);

impl Circuit {
    pub(super) fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: State::Closed { failures: 0 } }
    }

    /// Whether a turn may begin, or how long it is refused. An open circuit lets one through each time its wait is over.
    pub(super) fn enter(&mut self, now: Instant) -> Result<Pass, Duration> {
        match &mut self.state {
            State::Closed { .. } => Ok(Pass::Ordinary),
            State::Open { until, wait } if *until <= now => {
                *until = now + *wait;
                Ok(Pass::Trial)
            }
            State::Open { until, .. } => Err(*until - now),
        }
    }

    /// What came of a turn. To be told once of each.
    pub(super) fn told(&mut self, pass: Pass, shown: Shown, now: Instant) {
        let longest = LONGEST.max(self.limits.wait);
        self.state = match (self.state, shown, pass) {
            // Whoever got an answer, even one that had begun before.
            (_, Shown::Works, _) => State::Closed { failures: 0 },
            (State::Closed { failures }, Shown::Fails, _) => {
                let failures = failures + 1;
                if self.limits.failures > 0 && failures >= self.limits.failures {
                    State::Open { until: now + self.limits.wait, wait: self.limits.wait }
                } else {
                    State::Closed { failures }
                }
            }
            (State::Open { wait, .. }, Shown::Fails, Pass::Trial) => {
                let wait = (wait * 2).min(longest);
                State::Open { until: now + wait, wait }
            }
            // A trial that showed nothing leaves its place to the next.
            (State::Open { wait, .. }, Shown::Nothing, Pass::Trial) => State::Open { until: now, wait },
            (same, _, _) => same,
        };
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// What is so, for an operator.
    pub(super) fn words(&self, now: Instant) -> String {
        match self.state {
            State::Closed { failures: 0 } => "it answers, or was not asked yet".to_owned(),
            State::Closed { failures } => format!("it failed {failures} turns in a row"),
            State::Open { until, .. } => format!(
                "it failed turn after turn: new ones are refused, the next may try in {} s",
                until.saturating_duration_since(now).as_secs_f64().ceil()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn circuit() -> Circuit {
        Circuit::new(BreakerLimits { failures: 3, wait: s(10) })
    }

    #[tokio::test]
    async fn failures_in_a_row_open_it_and_one_turn_at_a_time_tries_again() {
        let (mut circuit, zero) = (circuit(), Instant::now());
        let at = |seconds| zero + s(seconds);
        for shown in [Shown::Fails, Shown::Fails, Shown::Works, Shown::Fails, Shown::Nothing, Shown::Fails] {
            circuit.told(Pass::Ordinary, shown, zero);
            assert_eq!(circuit.enter(zero), Ok(Pass::Ordinary), "not three in a row yet");
        }
        circuit.told(Pass::Ordinary, Shown::Fails, zero);
        assert_eq!(circuit.enter(at(4)), Err(s(6)));
        // Turns that had begun before say nothing new by failing.
        circuit.told(Pass::Ordinary, Shown::Fails, at(5));
        assert_eq!(circuit.enter(at(10)), Ok(Pass::Trial));
        assert_eq!(circuit.enter(at(10)), Err(s(10)), "one tries");
        circuit.told(Pass::Trial, Shown::Fails, at(11));
        assert_eq!(circuit.enter(at(12)), Err(s(19)), "a failed trial doubles the wait");
        assert_eq!(circuit.enter(at(31)), Ok(Pass::Trial));
        circuit.told(Pass::Trial, Shown::Nothing, at(32));
        assert_eq!(circuit.enter(at(32)), Ok(Pass::Trial), "a trial that showed nothing is no trial");
        assert!(circuit.is_open());
        circuit.told(Pass::Trial, Shown::Works, at(33));
        assert_eq!((circuit.is_open(), circuit.enter(at(33))), (false, Ok(Pass::Ordinary)));
    }

    proptest! {
        /// Whatever turns show and when: nobody is refused before enough failures in a row, nor for longer than the
        /// longest wait, and while it is open at most one turn begins in each first wait unless one showed nothing.
        #[test]
        fn nobody_is_refused_too_early_or_for_too_long(
            steps in proptest::collection::vec((0_u64..20, 0_u8..3, any::<bool>()), 1..200),
        ) {
            let mut circuit = circuit();
            let (mut now, mut failures, mut passes) = (Instant::now(), 0, Vec::new());
            let mut last_trial: Option<Instant> = None;
            for (pause, shown, asks) in steps {
                now += s(pause);
                if asks {
                    match circuit.enter(now) {
                        Ok(pass) => {
                            if pass == Pass::Trial {
                                prop_assert!(last_trial.is_none_or(|last| now >= last + s(10)));
                                last_trial = Some(now);
                            }
                            passes.push(pass);
                        }
                        Err(wait) => prop_assert!(failures >= 3 && !wait.is_zero() && wait <= LONGEST),
                    }
                } else if let Some(pass) = passes.pop() {
                    let shown = [Shown::Works, Shown::Fails, Shown::Nothing][usize::from(shown)];
                    circuit.told(pass, shown, now);
                    match shown {
                        Shown::Works => failures = 0,
                        Shown::Fails => failures += 1,
                        Shown::Nothing => {}
                    }
                    if shown != Shown::Fails {
                        last_trial = None;
                    }
                }
            }
        }
    }
}
