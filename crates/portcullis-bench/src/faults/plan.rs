//! What happens when, and what each request asks: all of it from the seed.

use std::time::Duration;

use crate::wish::{Fault, Wish};

/// Which worker stands behind the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Worker {
    /// The real one.
    Codex,
    /// The scripted one, which does what the real one does not.
    Scripted,
}

/// How many workers serve.
pub(super) const SERVING: usize = 2;
/// How many wait for one of them to fail.
pub(super) const SPARES: usize = 1;
const WORKERS: usize = SERVING + SPARES;

/// Something that is done to the gateway's surroundings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    /// KILL to the innermost process of the worker of this number: those that serve, then the spare.
    Kill(usize),
    /// STOP to every process of these workers, and CONT after this long.
    Stop(Victims, Duration),
    /// The disk is full for so long.
    FillDisk(Duration),
    /// The gateway runs out of descriptors for so long.
    Descriptors(Duration),
}

/// Whom it is done to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Victims {
    /// The worker of this number.
    One(usize),
    /// Every worker.
    All,
}

/// What the model does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Its stream breaks.
    Cut,
    /// It says that it failed.
    Failed,
    /// Status 500.
    Refused,
    /// Status 429.
    Busy,
    /// It falls silent.
    Hang,
}

const TROUBLES: [(&str, Trouble); 5] = [
    ("cut", Trouble::Cut),
    ("failed", Trouble::Failed),
    ("refused", Trouble::Refused),
    ("busy", Trouble::Busy),
    ("hang", Trouble::Hang),
];

impl Trouble {
    pub(super) fn of_prompt(prompt: &str) -> Option<Self> {
        let word = prompt.split_whitespace().find_map(|word| word.strip_prefix("trouble="))?;
        TROUBLES.iter().find(|(name, _)| *name == word).map(|(_, trouble)| *trouble)
    }

    pub(super) fn word(self) -> &'static str {
        TROUBLES.iter().find(|(_, trouble)| *trouble == self).map_or("", |(name, _)| name)
    }
}

/// What one request asks, and how its client behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) trouble: Option<Trouble>,
    pub(super) kind: Kind,
    /// The client leaves after so long.
    pub(super) leaves: Option<Duration>,
}

/// Which API is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Chat,
    ChatStream,
    /// Kept in the store.
    Response,
}

/// What happens when.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    worker: Worker,
    pub(super) length: Duration,
    /// In order of time.
    pub(super) acts: Vec<(Duration, Act)>,
}

impl Plan {
    pub(super) fn new(seed: u64, worker: Worker, length: Duration) -> Self {
        let mut chance = Chance(seed ^ 0xac75);
        let mut acts = Vec::new();
        let mut at = Duration::ZERO;
        // Everybody's turn comes.
        let mut killed = chance.small(WORKERS);
        let mut kill = || {
            killed += 1;
            Act::Kill(1 + killed % WORKERS)
        };
        loop {
            at += Duration::from_millis(1000 + chance.below(4000));
            if at + Duration::from_secs(2) > length {
                break;
            }
            // The scripted worker breaks by itself; what is around it was broken with the real one.
            let act = match (worker, chance.below(10)) {
                (_, 0..4) => kill(),
                (Worker::Codex, 4..6) => Act::FillDisk(Duration::from_millis(500 + chance.below(1500))),
                (Worker::Codex, 6..8) => Act::Descriptors(Duration::from_millis(500 + chance.below(1000))),
                // Short ones are slept through. Long ones are found out, by a call that is not answered in 15 s.
                (Worker::Codex, _) => {
                    let victims = match chance.small(2 + WORKERS) {
                        0 | 1 => Victims::All,
                        more => Victims::One(more - 1),
                    };
                    Act::Stop(victims, Duration::from_millis(if chance.below(2) == 0 { 500 } else { 25_000 }))
                }
                (Worker::Scripted, _) => continue,
            };
            acts.push((at, act));
        }
        Self { seed, worker, length, acts }
    }

    pub(super) fn question(&self, number: u64) -> Asked {
        let mut chance = Chance(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let mut wish = Wish {
            deltas: 2 + chance.small(8),
            bytes: chance.small(40),
            every: Duration::from_millis(chance.below(30)),
            echo: Some(number),
            ..Wish::default()
        };
        let mut trouble = None;
        let dice = chance.below(100);
        match self.worker {
            Worker::Codex if dice < 20 => trouble = Some(TROUBLES[chance.small(TROUBLES.len())].1),
            Worker::Scripted if dice < 3 => wish.bytes = 1 << 20,
            Worker::Scripted if dice < 5 => wish.fault = Some(Fault::ALL[chance.small(Fault::ALL.len())].1),
            _ => {}
        }
        let kind = [Kind::Chat, Kind::ChatStream, Kind::ChatStream, Kind::Response][chance.small(4)];
        let silent = trouble == Some(Trouble::Hang);
        let leaves = (silent || chance.below(8) == 0).then(|| Duration::from_millis(chance.below(1500)));
        Asked { wish, trouble, kind, leaves }
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn small(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_the_schedule() {
        let plan = |seed| Plan::new(seed, Worker::Codex, Duration::from_mins(1));
        assert_eq!(plan(7).acts, plan(7).acts);
        assert_ne!(plan(7).acts, plan(8).acts);
        let asked = |seed| (0..50).map(|number| plan(seed).question(number)).collect::<Vec<_>>();
        assert_eq!(asked(7), asked(7));
        assert_ne!(asked(7), asked(8));
    }

    /// In the time that `make faults` takes by default nobody is spared, whatever the seed.
    #[test]
    fn every_worker_is_killed() {
        for (seed, worker) in (0..50).flat_map(|seed| [(seed, Worker::Codex), (seed, Worker::Scripted)]) {
            let plan = Plan::new(seed, worker, Duration::from_secs(90));
            for number in 1..=WORKERS {
                assert!(plan.acts.iter().any(|(_, act)| *act == Act::Kill(number)), "{number} with {seed}");
            }
        }
    }
}
