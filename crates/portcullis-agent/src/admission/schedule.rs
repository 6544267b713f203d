//! Who runs next: places, a bounded queue, and turns taken in fair order. A pure state machine; [`super::Admission`]
//! gives it the clock and does what it says.
//!
//! A request waits when its principal, its profile or everybody together has as many turns as may run at once. Places
//! that become free go round the principals that wait, one each, whoever asked first: a principal with a thousand
//! requests takes no more of them than one with a single request. Within a principal the order is that of asking.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::{PrincipalId, Profile};

/// How much runs and waits at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdmissionLimits {
    /// Turns that run at once. At most as many as the agent behind can run.
    pub turns: usize,
    /// Of these, turns in each profile, in the order of [`Profile::ALL`].
    pub profiles: [usize; 3],
    /// Requests that wait at once; one more is refused.
    pub queue: usize,
    /// How long one waits before it is refused.
    pub wait: Duration,
}

/// Stands for a request that waits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket(u64);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// It runs now.
    Runs,
    /// It waits.
    Waits(Ticket),
    /// The queue is full.
    Full,
}

/// Before any turn has ended, turns are taken to last so long.
const FIRST_GUESS: Duration = Duration::from_secs(5);

/// The state.
#[derive(Debug)]
pub(super) struct Schedule {
    limits: AdmissionLimits,
    running: usize,
    running_in: [usize; 3],
    waiting: usize,
    /// Everybody who has a turn or a request. Gone with the last of both.
    parties: HashMap<PrincipalId, Party>,
    /// The principals that wait, whose turn it is in front.
    ring: VecDeque<PrincipalId>,
    next: u64,
    /// How long turns have lasted lately.
    lasting: Option<Duration>,
}

#[derive(Debug, Default)]
struct Party {
    running: usize,
    /// As many of its turns may run at once; what its last request said.
    most: usize,
    waiting: VecDeque<(Ticket, Profile)>,
}

impl Schedule {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            running: 0,
            running_in: [0; 3],
            waiting: 0,
            parties: HashMap::new(),
            ring: VecDeque::new(),
            next: 0,
            lasting: None,
        }
    }

    /// A principal, of whose turns at most `most` may run at once, asks for a turn.
    pub(super) fn ask(&mut self, principal: &PrincipalId, profile: Profile, most: usize) -> Decision {
        let free = self.running < self.limits.turns && self.has_room(profile);
        let full = self.waiting >= self.limits.queue;
        // Looked up first: under overload nothing is allocated for who is refused.
        let known = self.parties.get(principal);
        let admissible = free && known.map_or(0, |party| party.running) < most;
        if full && !admissible {
            return Decision::Full;
        }
        let party = self.parties.entry(principal.clone()).or_default();
        party.most = most;
        // Whoever waits could not run a moment ago, and can not now: nobody is overtaken.
        if admissible {
            party.running += 1;
            self.running += 1;
            self.running_in[profile as usize] += 1;
            return Decision::Runs;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        if party.waiting.is_empty() {
            self.ring.push_back(principal.clone());
        }
        party.waiting.push_back((ticket, profile));
        self.waiting += 1;
        Decision::Waits(ticket)
    }

    /// A request waits no longer. Nothing happens if it does not wait any more.
    pub(super) fn leave(&mut self, principal: &PrincipalId, ticket: Ticket) {
        let Some(party) = self.parties.get_mut(principal) else { return };
        let Some(at) = party.waiting.iter().position(|(waiting, _)| *waiting == ticket) else { return };
        party.waiting.remove(at);
        self.waiting -= 1;
        self.tidy(principal);
    }

    /// A turn has ended after so long. Says which requests run now.
    pub(super) fn ended(
        &mut self,
        principal: &PrincipalId,
        profile: Profile,
        after: Duration,
    ) -> Vec<(PrincipalId, Ticket, Profile)> {
        let Some(party) = self.parties.get_mut(principal) else { return Vec::new() };
        party.running -= 1;
        self.running -= 1;
        self.running_in[profile as usize] -= 1;
        // An eighth of the newest: a handful of turns sets it, one that is odd does not.
        self.lasting = Some(self.lasting.map_or(after, |lasting| lasting * 7 / 8 + after / 8));
        let mut runs = Vec::new();
        while let Some(next) = self.next_to_run() {
            runs.push(next);
        }
        self.tidy(principal);
        runs
    }

    /// Other limits from now on. Says which requests run now.
    pub(super) fn set_limits(&mut self, limits: AdmissionLimits) -> Vec<(PrincipalId, Ticket, Profile)> {
        self.limits = limits;
        let runs: Vec<_> = std::iter::from_fn(|| self.next_to_run()).collect();
        for (principal, ..) in &runs {
            self.tidy(principal);
        }
        runs
    }

    /// The limits that hold.
    pub(super) fn limits(&self) -> AdmissionLimits {
        self.limits
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// When a request that is refused now has a chance: the time in which everything that waits and runs before it
    /// is done, if turns last as they did lately.
    pub(super) fn retry_after(&self, principal: &PrincipalId) -> Duration {
        let lasting = self.lasting.unwrap_or(FIRST_GUESS);
        let rounds = |before: usize, places: usize| (before + 1).div_ceil(places.max(1));
        let everybody = rounds(self.waiting, self.limits.turns);
        let own = self.parties.get(principal).map_or(0, |party| rounds(party.waiting.len(), party.most));
        lasting.saturating_mul(u32::try_from(everybody.max(own)).unwrap_or(u32::MAX))
    }

    fn has_room(&self, profile: Profile) -> bool {
        self.running_in[profile as usize] < self.limits.profiles[profile as usize]
    }

    /// Takes the next request that can run: the first of the first principal in the ring that has one.
    fn next_to_run(&mut self) -> Option<(PrincipalId, Ticket, Profile)> {
        if self.running >= self.limits.turns {
            return None;
        }
        for turn in 0..self.ring.len() {
            let principal = self.ring[turn].clone();
            let Some(party) = self.parties.get(&principal) else { continue };
            if party.running >= party.most {
                continue;
            }
            let Some(at) = party.waiting.iter().position(|(_, profile)| self.has_room(*profile)) else {
                continue;
            };
            let party = self.parties.get_mut(&principal)?;
            let (ticket, profile) = party.waiting.remove(at)?;
            party.running += 1;
            self.running += 1;
            self.running_in[profile as usize] += 1;
            self.waiting -= 1;
            // Behind all others that wait, if it waits for more.
            self.ring.remove(turn);
            if !party.waiting.is_empty() {
                self.ring.push_back(principal.clone());
            }
            return Some((principal, ticket, profile));
        }
        None
    }

    /// Forgets a principal that has nothing any more, or its place in the ring if it does not wait.
    fn tidy(&mut self, principal: &PrincipalId) {
        let Some(party) = self.parties.get(principal) else { return };
        if party.waiting.is_empty() {
            self.ring.retain(|waits| waits != principal);
            if party.running == 0 {
                self.parties.remove(principal);
            }
        }
    }
}

#[cfg(test)]
mod tests;
