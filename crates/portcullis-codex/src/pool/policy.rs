//! Which worker a turn goes to, and which one is replaced next: values in, a choice out.

use std::time::Duration;

use crate::watch::Used;

/// When workers are replaced.
#[derive(Clone, Copy, Debug)]
pub struct Lifespan {
    /// After so many turns.
    pub turns: u64,
    /// At this age.
    pub age: Duration,
    /// Above so much memory, in bytes, with that of everything below it.
    pub memory: u64,
    /// How long one that takes no new turns may still finish its own.
    pub drain: Duration,
}

/// A worker as it is now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    /// It is ready, whether or not it takes new turns.
    pub(super) ready: bool,
    /// It takes no new turns, for so long already.
    pub(super) drains: Option<Duration>,
    /// Turns that hold a place in it.
    pub(super) turns: usize,
    /// Why it should be replaced.
    pub(super) due: Option<&'static str>,
}

impl Seen {
    fn serves(&self) -> bool {
        self.ready && self.drains.is_none()
    }

    fn has_drained(&self, bound: Duration) -> bool {
        self.drains.is_some_and(|since| self.turns == 0 || since >= bound)
    }
}

/// The worker for a new turn: of the first `count` that serve, the one with the fewest turns. Those behind them are spares.
pub(super) fn choose(workers: &[Seen], count: usize) -> Option<usize> {
    let serving = workers.iter().enumerate().filter(|(_, worker)| worker.serves());
    serving.take(count).min_by_key(|(_, worker)| worker.turns).map(|(place, _)| place)
}

/// What is to be done for the workers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// Start one more, which stands in while another is replaced.
    StartStandIn,
    /// Give this one no more turns: another one serves.
    Drain(usize, &'static str),
    /// Nothing is left in this one, or it has had its time.
    Restart(usize),
    /// Give the one that stands in no more turns: all others serve again.
    DrainStandIn,
    /// End it.
    EndStandIn,
}

/// The next step. One worker at a time, and never the last one that serves.
pub(super) fn next_step(workers: &[Seen], stands_in: Option<&Seen>, drain: Duration) -> Step {
    if let Some(place) = workers.iter().position(|worker| worker.has_drained(drain)) {
        return Step::Restart(place);
    }
    if stands_in.is_some_and(|worker| worker.has_drained(drain)) {
        return Step::EndStandIn;
    }
    if workers.iter().chain(stands_in).any(|worker| worker.drains.is_some()) {
        return Step::Wait;
    }
    let due = workers.iter().enumerate().find_map(|(place, worker)| Some((place, worker.due?)));
    match (due, stands_in) {
        (Some((place, why)), _) => {
            let others = workers.iter().enumerate().filter(|(other, _)| *other != place);
            let another_serves = others.map(|(_, worker)| worker).chain(stands_in).any(Seen::serves);
            match stands_in {
                _ if another_serves => Step::Drain(place, why),
                None => Step::StartStandIn,
                Some(_) => Step::Wait,
            }
        }
        (None, Some(worker)) if workers.iter().all(Seen::serves) => {
            if worker.ready {
                Step::DrainStandIn
            } else {
                Step::EndStandIn
            }
        }
        (None, _) => Step::Wait,
    }
}

/// Why a worker should be replaced, if it should.
pub(super) fn due(used: Used, age: Duration, turns: u64, life: &Lifespan) -> Option<&'static str> {
    if used.memory > life.memory {
        Some("it holds too much memory")
    } else if turns >= life.turns {
        Some("it has run as many turns as it may")
    } else if age >= life.age {
        Some("it is as old as it may become")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTING: Seen = Seen { ready: false, drains: None, turns: 0, due: None };
    const DRAIN: Duration = Duration::from_mins(1);

    const fn with(turns: usize) -> Seen {
        Seen { ready: true, turns, ..STARTING }
    }

    const fn draining(turns: usize, seconds: u64) -> Seen {
        Seen { drains: Some(Duration::from_secs(seconds)), ..with(turns) }
    }

    #[test]
    fn a_turn_goes_to_the_serving_worker_with_the_fewest_turns() {
        let table: [(&[Seen], usize, Option<usize>); 8] = [
            (&[], 1, None),
            (&[STARTING, draining(0, 1)], 2, None),
            (&[with(2), with(1), with(1)], 3, Some(1)),
            (&[draining(0, 1), with(5)], 2, Some(1)),
            // The second is a spare as long as the first serves, and serves when it does not.
            (&[with(9), with(0)], 1, Some(0)),
            (&[STARTING, with(0)], 1, Some(1)),
            (&[with(9), STARTING, with(3)], 2, Some(2)),
            (&[with(4), with(3), with(0)], 2, Some(1)),
        ];
        for (workers, count, chosen) in table {
            assert_eq!(choose(workers, count), chosen, "of {workers:?}, {count} of them");
        }
    }

    #[test]
    fn one_is_replaced_at_a_time_and_never_the_last_that_serves() {
        let due = |turns| Seen { due: Some("old"), ..with(turns) };
        let table: [(&[Seen], Option<Seen>, Step); 14] = [
            (&[with(1)], None, Step::Wait),
            (&[STARTING], None, Step::Wait),
            (&[due(1), with(0)], None, Step::Drain(0, "old")),
            (&[due(1), due(1)], None, Step::Drain(0, "old")),
            (&[draining(1, 5), due(1)], None, Step::Wait),
            (&[draining(1, 60), due(1)], None, Step::Restart(0)),
            (&[draining(0, 1), due(1)], None, Step::Restart(0)),
            // Alone, it waits for one that stands in.
            (&[due(1)], None, Step::StartStandIn),
            (&[due(1)], Some(STARTING), Step::Wait),
            (&[due(1)], Some(with(0)), Step::Drain(0, "old")),
            (&[STARTING], Some(with(3)), Step::Wait),
            (&[with(0)], Some(with(3)), Step::DrainStandIn),
            (&[with(0)], Some(draining(1, 3)), Step::Wait),
            (&[with(0)], Some(draining(0, 3)), Step::EndStandIn),
        ];
        for (workers, stands_in, step) in table {
            assert_eq!(next_step(workers, stands_in.as_ref(), DRAIN), step, "{workers:?}, {stands_in:?}");
        }
    }

    #[test]
    fn turns_age_and_memory_are_each_enough() {
        let life = Lifespan { turns: 10, age: Duration::from_secs(100), memory: 1000, drain: DRAIN };
        let due = |memory, age, turns| {
            due(Used { memory, ..Used::default() }, Duration::from_secs(age), turns, &life)
        };
        assert_eq!(due(1000, 99, 9), None);
        assert_eq!(due(1001, 99, 9), Some("it holds too much memory"));
        assert_eq!(due(1000, 99, 10), Some("it has run as many turns as it may"));
        assert_eq!(due(1000, 100, 9), Some("it is as old as it may become"));
    }
}
