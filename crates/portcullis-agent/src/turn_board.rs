//! The turns that wait and run, the last ones that ended, and how the last hour went: what an operator looks at. Nothing of
//! what was said in them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::interrupt::Interrupt;
use crate::{ModelId, PrincipalId, Profile, RequestId, Spread, TurnRequest, Usage};

/// How many turns that ended are remembered.
const REMEMBERED: usize = 200;
/// How many minutes are.
const MINUTES: usize = 60;

/// The turns of a gateway. Clones are of one board.
#[derive(Clone, Debug, Default)]
pub struct TurnBoard(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    next: u64,
    running: BTreeMap<u64, Running>,
    ended: VecDeque<PastTurn>,
    minutes: VecDeque<Minute>,
}

#[derive(Debug)]
struct Running {
    turn: RunningTurn,
    interrupt: Arc<Interrupt>,
}

/// Whose turn, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TurnHead {
    /// The client's request.
    pub request: RequestId,
    /// Who asked.
    pub principal: PrincipalId,
    /// What it may touch.
    pub profile: Profile,
    /// Which model.
    pub model: ModelId,
    /// It makes a picture.
    pub draws: bool,
}

/// A turn that is not over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunningTurn {
    /// Names it on this board.
    pub number: u64,
    /// Whose, and for what.
    pub head: TurnHead,
    /// What it does now.
    pub phase: TurnPhase,
    /// Since when it is here.
    pub since: SystemTime,
}

/// What a turn that is not over does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnPhase {
    /// It waits for a place, or for its worker to begin.
    Waiting,
    /// It runs.
    Running,
    /// It waits for the outputs of its caller's tools.
    Parked,
    /// It was interrupted here, and its caller has not read that yet.
    Interrupted,
}

/// A turn that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct PastTurn {
    /// Whose, and for what.
    pub head: TurnHead,
    /// When it ended.
    pub ended: SystemTime,
    /// `completed`, `interrupted` or `failed`.
    pub outcome: &'static str,
    /// The kind of failure; empty where there was none.
    pub error: &'static str,
    /// What it cost, as far as it is known.
    pub usage: Usage,
    /// From the request to the first event.
    pub first_event: Option<Duration>,
    /// From the request to the end.
    pub duration: Duration,
}

/// The turns that ended within one minute.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Minute {
    /// Which, counted from the beginning of 1970.
    pub number: u64,
    /// How many turns.
    pub turns: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How long until their first events.
    pub first_event: Spread,
    /// How long they took.
    pub duration: Spread,
}

impl TurnPhase {
    /// The phase as a short permanent word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Interrupted => "interrupted",
        }
    }
}

impl TurnHead {
    pub(crate) fn of(request: &TurnRequest) -> Self {
        Self {
            request: request.request.clone(),
            principal: request.principal.clone(),
            profile: request.profile,
            model: request.options.model.clone(),
            draws: request.picture.is_some(),
        }
    }
}

impl TurnBoard {
    /// What is not over, oldest first.
    pub fn running(&self) -> Vec<RunningTurn> {
        self.lock().running.values().map(|running| running.turn.clone()).collect()
    }

    /// The last turns that ended, the newest first.
    pub fn ended(&self) -> Vec<PastTurn> {
        self.lock().ended.iter().rev().cloned().collect()
    }

    /// The minutes of the last hour in which a turn ended, oldest first.
    pub fn minutes(&self, now: SystemTime) -> Vec<Minute> {
        let oldest = minute(now).saturating_sub(MINUTES as u64 - 1);
        self.lock().minutes.iter().filter(|minute| minute.number >= oldest).cloned().collect()
    }

    /// Interrupts a turn, and says which one it was; `None` if it is over or already told to end.
    pub fn interrupt(&self, number: u64) -> Option<TurnHead> {
        let (head, interrupt) = {
            let mut board = self.lock();
            let Running { turn, interrupt } = board.running.get_mut(&number)?;
            turn.phase = TurnPhase::Interrupted;
            (turn.head.clone(), Arc::clone(interrupt))
        };
        // Not under the lock: what ends may want to leave the board.
        interrupt.now().then_some(head)
    }

    pub(crate) fn begin(&self, head: TurnHead, interrupt: Arc<Interrupt>, now: SystemTime) -> u64 {
        let mut board = self.lock();
        let number = board.next;
        board.next += 1;
        let turn = RunningTurn { number, head, phase: TurnPhase::Waiting, since: now };
        board.running.insert(number, Running { turn, interrupt });
        number
    }

    pub(crate) fn phase(&self, number: u64, phase: TurnPhase) {
        if let Some(running) = self.lock().running.get_mut(&number) {
            running.turn.phase = phase;
        }
    }

    /// It is over.
    pub(crate) fn end(&self, number: u64, past: PastTurn) {
        let mut board = self.lock();
        board.running.remove(&number);
        board.count(&past);
        if board.ended.len() >= REMEMBERED {
            board.ended.pop_front();
        }
        board.ended.push_back(past);
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn count(&mut self, past: &PastTurn) {
        let number = minute(past.ended);
        // A clock that was put back a little goes on in the last minute. After a jump, what lies ahead is of another time.
        if self.minutes.back().is_some_and(|last| last.number > number + 1) {
            self.minutes.retain(|minute| minute.number <= number);
        }
        if self.minutes.back().is_none_or(|last| last.number < number) {
            if self.minutes.len() >= MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { number, ..Minute::default() });
        }
        let Some(minute) = self.minutes.back_mut() else { return };
        minute.turns += 1;
        minute.failed += u64::from(past.outcome == "failed");
        minute.duration.add(past.duration);
        if let Some(first_event) = past.first_event {
            minute.first_event.add(first_event);
        }
    }
}

fn minute(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a jump ahead and back the hour goes on as if nothing had been.
    #[test]
    fn a_clock_that_jumps_leaves_an_hour() {
        let began = UNIX_EPOCH + Duration::from_hours(24 * 365 * 50);
        let year = Duration::from_hours(24 * 365);
        let minutes = |number: u64| began + Duration::from_mins(number);
        let mut board = Board::default();
        let times = [
            minutes(0),
            minutes(1),
            minutes(1) + year,
            minutes(3),
            minutes(2),
            minutes(4),
            minutes(4) - year,
        ];
        for ended in times {
            board.count(&PastTurn {
                head: TurnHead {
                    request: "r".into(),
                    principal: "p".into(),
                    profile: Profile::Chat,
                    model: "m".into(),
                    draws: false,
                },
                ended,
                outcome: "completed",
                error: "",
                usage: Usage::default(),
                first_event: None,
                duration: Duration::ZERO,
            });
            if ended == minutes(4) {
                let turns: Vec<_> =
                    board.minutes.iter().map(|of| (of.number - minute(began), of.turns)).collect();
                assert_eq!(turns, [(0, 1), (1, 1), (3, 2), (4, 1)]);
            }
        }
        let left: Vec<_> = board.minutes.iter().map(|of| of.number).collect();
        assert_eq!(left, [minute(minutes(4) - year)]);
    }
}
