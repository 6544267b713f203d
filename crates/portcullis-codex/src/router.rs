//! Which turn a notification belongs to. By thread id and turn id, and nothing else: there is no fallback.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_agent::{
    AgentError, ApprovalKind, Approvals, CallId, ErrorKind, EventReceiver, EventSender, Outcome, Question,
    ThreadId, ToolOutput, TurnEvent, TurnId, event_queue,
};
use portcullis_app_server_protocol::{
    ApprovalRequest, LoginCompleted, Notification, ToolCallRequest, reply_line,
};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::account_limits::AccountLimits;
use crate::hands::HandsInUse;
use crate::history::tool_response;
use crate::running::HeldPlaces;
use crate::turn_state::TurnState;

/// How much text of one turn may wait for a slow client, in bytes. Past it the turn ends.
const UNREAD_BYTES: usize = 64 * 1024 * 1024;

/// What must be told to the app-server about a thread, in its own time.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Stop this turn.
    Interrupt { thread: ThreadId, turn: TurnId },
    /// Nobody waits for this thread's turn, and whether it runs is not known.
    GiveUp { thread: ThreadId },
    /// Nobody needs this thread any more.
    Release { thread: ThreadId },
    /// Codex waits for an answer to a question; it ends unanswered with its turn's hands.
    Ask { approvals: Approvals, question: Question, reply_to: Box<RawValue>, over: CancellationToken },
}

/// The running turns of one app-server.
pub(crate) struct Router {
    turns: Mutex<HashMap<ThreadId, Entry>>,
    /// Bounded by the running turns: each is given up once, interrupted once and released once.
    chores: mpsc::UnboundedSender<Chore>,
    /// How the last sign-in through this app-server ended.
    sign_in: watch::Sender<Option<LoginCompleted>>,
    /// What the provider said of its account.
    pub(crate) account: AccountLimits,
}

struct Entry {
    thread: ThreadId,
    /// Known from what comes first, the reply to `turn/start` or `turn/started`. Codex writes replies and notifications side by side:
    /// with 64 turns at once 9 % had begun to speak before their reply, and 2 % were over (measured on 0.169.0). Before either,
    /// the items that were injected are told, as those of another turn.
    turn: Option<TurnId>,
    state: TurnState,
    events: EventSender,
    /// Nobody waits for it any more.
    unwanted: bool,
    /// Whether the interrupt was already asked for.
    interrupting: bool,
    /// What its commands run in; gone as soon as nobody waits for the turn any more.
    hands: Option<HandsInUse>,
    /// Its places; free again when the app-server says that the turn is over.
    _places: HeldPlaces,
}

impl Entry {
    fn is_of(&self, turn: &str) -> bool {
        self.turn.as_ref().is_some_and(|known| known.as_str() == turn)
    }
}

impl Router {
    pub(crate) fn new(chores: mpsc::UnboundedSender<Chore>) -> Self {
        Self {
            turns: Mutex::default(),
            chores,
            sign_in: watch::Sender::default(),
            account: AccountLimits::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Entry>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many turns run.
    pub(crate) fn running(&self) -> usize {
        self.lock().len()
    }

    /// Makes a thread's turn known, before it is started.
    pub(crate) fn register(
        &self,
        thread: ThreadId,
        state: TurnState,
        places: HeldPlaces,
        hands: Option<HandsInUse>,
    ) -> EventReceiver {
        let (events, receiver) = event_queue(UNREAD_BYTES);
        let entry = Entry {
            thread: thread.clone(),
            turn: None,
            state,
            events,
            unwanted: false,
            interrupting: false,
            hands,
            _places: places,
        };
        self.lock().insert(thread, entry);
        receiver
    }

    /// The thread's turn is this one; it has one.
    pub(crate) fn started(&self, thread: &str, turn: &str) {
        let mut turns = self.lock();
        let Some(entry) = turns.get_mut(thread) else { return };
        let known = entry.turn.get_or_insert_with(|| TurnId::from(turn));
        if known.as_str() == turn {
            if entry.unwanted {
                self.interrupt(entry);
            }
            return;
        }
        let why = "a thread has two turns";
        entry.events.end(Outcome::Failed(AgentError::new(ErrorKind::Upstream).because(why)));
        self.interrupt(entry);
    }

    /// Forgets a thread whose turn never started.
    pub(crate) fn forget(&self, thread: &ThreadId) {
        if self.lock().remove(thread).is_some() {
            self.chore(Chore::Release { thread: thread.clone() });
        }
    }

    /// Whether no turn runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    /// How the last sign-in through this app-server ended.
    pub(crate) fn sign_in(&self) -> watch::Receiver<Option<LoginCompleted>> {
        self.sign_in.subscribe()
    }

    /// Gives a notification to its turn. One that belongs to no running turn is not ours to interpret.
    pub(crate) fn notify(&self, notification: Notification) {
        if let Notification::LoginCompleted(completed) = notification {
            self.sign_in.send_replace(Some(completed));
            return;
        }
        if let Notification::RateLimitsUpdated(updated) = notification {
            self.account.saw(updated.rate_limits);
            return;
        }
        if let Notification::TurnStarted(started) = notification {
            return self.started(&started.thread_id, &started.turn.id);
        }
        let Some((thread, turn)) = address(&notification) else { return };
        let mut turns = self.lock();
        let Some(entry) = turns.get_mut(thread) else { return };
        if !entry.is_of(turn) {
            return;
        }
        let over = matches!(notification, Notification::TurnCompleted(_));
        let Entry { state, events, .. } = entry;
        let mut ended_here = false;
        state.on(notification, &mut |event| ended_here |= deliver(events, event));
        if !over && !ended_here {
            return;
        }
        if over {
            let thread = entry.thread.clone();
            turns.remove(&thread);
            drop(turns);
            self.chore(Chore::Release { thread });
        } else {
            self.interrupt(entry);
        }
    }

    /// The app-server waits for a tool's output. Says whether somebody will answer.
    pub(crate) fn tool_request(&self, request: &ToolCallRequest, id: &RawValue) -> bool {
        let mut turns = self.lock();
        let Some(entry) = turns.get_mut(request.thread_id.as_str()) else { return false };
        if !entry.is_of(&request.turn_id) {
            return false;
        }
        let Entry { state, events, .. } = entry;
        let call = CallId::from(request.call_id.as_str());
        state.on_tool_request(call, id.to_owned(), &mut |event| {
            deliver(events, event);
        });
        true
    }

    /// Codex asks before it acts. Says whether somebody will answer.
    pub(crate) fn approval_request(&self, kind: ApprovalKind, asked: ApprovalRequest, id: &RawValue) -> bool {
        let turns = self.lock();
        let Some(entry) = turns.get(asked.thread_id.as_str()) else { return false };
        let ours = entry.is_of(&asked.turn_id);
        let Some(hands) = entry.hands.as_ref().filter(|_| ours) else { return false };
        let (approvals, question) = hands.question(kind, asked);
        self.chore(Chore::Ask { approvals, question, reply_to: id.to_owned(), over: hands.over() });
        true
    }

    /// The lines that answer every waiting tool call of a turn. All or nothing: a call without an output
    /// would leave the turn waiting.
    pub(crate) fn answer(
        &self,
        thread: &ThreadId,
        outputs: &[ToolOutput],
    ) -> Result<Vec<Vec<u8>>, AgentError> {
        let mut turns = self.lock();
        let state = &mut turns.get_mut(thread).ok_or_else(|| AgentError::new(ErrorKind::WorkerLost))?.state;
        let answered = |call: &CallId| outputs.iter().any(|output| output.call == *call);
        if !state.waiting().all(answered) {
            return Err(
                AgentError::new(ErrorKind::Internal).because("a tool call was left without an output")
            );
        }
        let lines = outputs.iter().filter_map(|output| {
            let request = state.take_request(&output.call)?;
            Some(reply_line(&request, &tool_response(output)))
        });
        Ok(lines.collect())
    }

    /// Ends a turn for a reason of ours: its hands are gone at once, and it is stopped.
    pub(crate) fn fail(&self, thread: &ThreadId, error: AgentError) {
        if let Some(entry) = self.lock().get_mut(thread) {
            entry.events.end(Outcome::Failed(error));
            self.interrupt(entry);
        }
    }

    /// The reader of a turn is gone: stops the turn unless it is over, also one that is yet to say that it runs. The entry stays,
    /// and with it the place in the worker, until the app-server says that the turn has ended.
    pub(crate) fn abandon(&self, thread: &ThreadId) {
        if let Some(entry) = self.lock().get_mut(thread) {
            entry.events.end(Outcome::Interrupted);
            self.interrupt(entry);
            if entry.turn.is_none() {
                self.chore(Chore::GiveUp { thread: thread.clone() });
            }
        }
    }

    /// The worker is gone, and every turn with it.
    pub(crate) fn fail_all(&self, why: &str) {
        for (_thread, entry) in std::mem::take(&mut *self.lock()) {
            entry.events.end(Outcome::Failed(AgentError::new(ErrorKind::WorkerLost).because(why)));
        }
    }

    /// Stops a turn, as soon as it has an id.
    fn interrupt(&self, entry: &mut Entry) {
        entry.hands = None;
        entry.unwanted = true;
        if let Some(turn) = &entry.turn
            && !std::mem::replace(&mut entry.interrupting, true)
        {
            self.chore(Chore::Interrupt { thread: entry.thread.clone(), turn: turn.clone() });
        }
    }

    fn chore(&self, chore: Chore) {
        // Fails only when the connection is gone, and every thread with it.
        let _gone = self.chores.send(chore);
    }
}

/// Queues an event; says whether the turn is over for its reader though the app-server does not know it yet.
fn deliver(events: &EventSender, event: TurnEvent) -> bool {
    let ended = matches!(event, TurnEvent::Ended(_));
    if events.send(event).is_err() {
        events.end(Outcome::Failed(ErrorKind::SlowReader.into()));
        return true;
    }
    ended
}

fn address(notification: &Notification) -> Option<(&str, &str)> {
    match notification {
        Notification::AgentMessageDelta(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::ReasoningSummaryDelta(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::ItemStarted(n) | Notification::ItemCompleted(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::RawItemCompleted(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::RawResponseCompleted(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::Error(n) => Some((&n.thread_id, &n.turn_id)),
        Notification::TurnCompleted(n) => Some((&n.thread_id, &n.turn.id)),
        Notification::TurnStarted(_)
        | Notification::LoginCompleted(_)
        | Notification::AccountUpdated
        | Notification::RateLimitsUpdated(_)
        | Notification::Warning(_)
        | Notification::Other => None,
    }
}

#[cfg(test)]
mod tests;
