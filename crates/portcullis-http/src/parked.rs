//! Turns that wait for the outputs of their caller's tools.
//!
//! A chat client gets the model's calls as an answer, runs its tools, and comes back with the whole conversation.
//! If it is the very conversation that the parked turn holds, the turn goes on: no second prompt, the provider's
//! cache stays warm. In every other case (too late, restarted, another key, an edited history) the conversation is
//! replayed on a new thread, and nothing is lost. So parking is never needed for correctness, and a turn may be
//! given up at any time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_agent::{Author, CallId, HistoryItem, Message, Part, ToolCall, ToolOutput, Turn, TurnRequest};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::app::Settings;
use crate::metrics::{Metrics, Unparked};

/// How turns wait for the outputs of their caller's tools.
#[derive(Clone, Copy, Debug)]
pub struct Parking {
    /// How many may wait; one more and the oldest is given up. Each holds a place in the worker.
    pub most: usize,
    /// For how long.
    pub wait: Duration,
}

/// What the caller's conversation must be for a parked turn to go on: who, in which profile, how, and every item up to the calls.
/// A digest, so that a parked turn does not keep the conversation a second time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Conversation([u8; 32]);

/// Parked turns.
pub(crate) struct ParkedTurns {
    table: Mutex<HashMap<Conversation, Parked>>,
    settings: watch::Receiver<Arc<Settings>>,
    metrics: Arc<Metrics>,
}

struct Parked {
    turn: Turn,
    withheld: Vec<CallId>,
    since: Instant,
}

/// What the caller is told of a call that did not go out.
const NOT_RUN: &str =
    "This call was not run: the application allows one call at a time. Call again if it is still needed.";

impl ParkedTurns {
    pub(crate) fn new(settings: watch::Receiver<Arc<Settings>>, metrics: Arc<Metrics>) -> Self {
        Self { table: Mutex::default(), settings, metrics }
    }

    fn limits(&self) -> Parking {
        self.settings.borrow().parking
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Conversation, Parked>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parks a turn that waits for outputs. `withheld` are calls that the caller does not know of.
    pub(crate) fn park(&self, conversation: Conversation, turn: Turn, withheld: &[CallId]) {
        let most = self.limits().most;
        if most == 0 {
            return;
        }
        let mut table = self.lock();
        if table.len() >= most
            && let Some(oldest) = table.iter().min_by_key(|(_, parked)| parked.since).map(|(key, _)| *key)
        {
            table.remove(&oldest);
            self.metrics.unparked(Unparked::Evicted);
        }
        let parked = Parked { turn, withheld: withheld.to_vec(), since: Instant::now() };
        if table.insert(conversation, parked).is_some() {
            self.metrics.unparked(Unparked::Evicted);
        }
        self.metrics.parked.inc();
    }

    /// Goes on with the turn that waits for exactly this request, if there is one.
    pub(crate) fn resume(&self, request: &TurnRequest) -> Option<Turn> {
        let (before, outputs) = split_outputs(&request.history)?;
        let conversation = Conversation::of(request, before, &[]);
        let Parked { mut turn, withheld, .. } = self.lock().remove(&conversation)?;
        let not_run =
            withheld.into_iter().map(|call| ToolOutput { call, parts: vec![Part::Text(NOT_RUN.to_owned())] });
        match turn.answer(outputs.into_iter().chain(not_run).collect()) {
            Ok(()) => {
                self.metrics.unparked(Unparked::Resumed);
                Some(turn)
            }
            Err(error) => {
                tracing::debug!(
                    error.cause = error.cause_chain(),
                    "A parked turn could not go on and is replayed"
                );
                self.metrics.unparked(Unparked::Lost);
                None
            }
        }
    }

    /// Gives up turns that have waited too long; dropping one interrupts it.
    pub(crate) fn give_up_late(&self, now: Instant) {
        let wait = self.limits().wait;
        self.lock().retain(|_, parked| {
            let in_time = now.saturating_duration_since(parked.since) < wait;
            if !in_time {
                self.metrics.unparked(Unparked::Expired);
            }
            in_time
        });
    }

    /// Gives up all.
    pub(crate) fn give_up_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        for _parked in all {
            self.metrics.unparked(Unparked::Lost);
        }
    }
}

impl Conversation {
    /// The conversation that the caller has after an answer: what it sent, what the model said, what it called.
    pub(crate) fn after(request: &TurnRequest, said: &str, called: &[ToolCall]) -> Self {
        let mut answer = Vec::new();
        if !said.is_empty() {
            let parts = vec![Part::Text(said.to_owned())];
            answer.push(HistoryItem::Message(Message { author: Author::Assistant, parts }));
        }
        answer.extend(called.iter().cloned().map(HistoryItem::ToolCall));
        Self::of(request, &request.history, &answer)
    }

    #[expect(clippy::use_debug, reason = "a digest, never shown: `Debug` writes every field of every item")]
    fn of(request: &TurnRequest, history: &[HistoryItem], more: &[HistoryItem]) -> Self {
        struct Hash(Sha256);
        impl std::fmt::Write for Hash {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let mut hash = Hash(Sha256::new());
        // `Debug` escapes and quotes every text, so two different values never write the same.
        let TurnRequest { principal, profile, options, tools, .. } = request;
        let _written = write!(hash, "{principal:?} {profile:?} {options:?} {tools:?}");
        // The turn has the model's reasoning in its thread; whether a client sends it back makes no difference.
        let kept = |item: &&HistoryItem| !matches!(item, HistoryItem::Reasoning(_));
        for item in history.iter().chain(more).filter(kept) {
            let _written = match item {
                HistoryItem::ToolCall(call) => write!(hash, "\n{:?}", unspaced(call)),
                item => write!(hash, "\n{item:?}"),
            };
        }
        Self(hash.0.finalize().into())
    }
}

/// A call with its arguments written without spaces: some clients parse them and write them anew.
fn unspaced(call: &ToolCall) -> ToolCall {
    let value = serde_json::from_str::<serde_json::Value>(&call.arguments);
    ToolCall {
        arguments: value.map_or_else(|_| call.arguments.clone(), |value| value.to_string()),
        ..call.clone()
    }
}

/// A conversation that ends with outputs: what stands before them, and them.
fn split_outputs(history: &[HistoryItem]) -> Option<(&[HistoryItem], Vec<ToolOutput>)> {
    let count = history.iter().rev().take_while(|item| matches!(item, HistoryItem::ToolOutput(_))).count();
    let (before, outputs) = history.split_at(history.len() - count);
    let outputs = outputs.iter().filter_map(|item| match item {
        HistoryItem::ToolOutput(output) => Some(output.clone()),
        _ => None,
    });
    (count > 0).then(|| (before, outputs.collect()))
}
