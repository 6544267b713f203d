//! How a turn is interrupted by somebody who does not read it: while it waits, while it runs, and while nobody polls it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::{AgentError, ErrorKind, ToolOutput, TurnEvent, TurnSource};

/// Holds a turn's source for its reader, and can take it away.
#[derive(Default)]
pub(crate) struct Interrupt {
    slot: Mutex<Slot>,
    /// For the time before there is a source.
    waiting: Notify,
}

#[derive(Default)]
struct Slot {
    source: Option<Box<dyn TurnSource>>,
    reader: Option<Waker>,
    stopped: bool,
}

impl Interrupt {
    /// Ends the turn, and says whether it still ran.
    pub(crate) fn now(&self) -> bool {
        let (source, reader) = {
            let mut slot = self.lock();
            if std::mem::replace(&mut slot.stopped, true) {
                return false;
            }
            (slot.source.take(), slot.reader.take())
        };
        // Dropping a source interrupts its turn.
        drop(source);
        self.waiting.notify_one();
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Resolves when the turn is interrupted before it began. Cancel safe.
    pub(crate) async fn while_waiting(&self) {
        self.waiting.notified().await;
    }

    /// The turn has begun. A source that comes after the interruption is dropped.
    pub(crate) fn began(&self, source: Box<dyn TurnSource>) {
        let mut slot = self.lock();
        if !slot.stopped {
            slot.source = Some(source);
        }
    }

    /// The next event; `Ready(None)` also when the turn was interrupted.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let mut slot = self.lock();
        let Some(source) = &mut slot.source else { return Poll::Ready(None) };
        let polled = source.poll_next(cx);
        if polled.is_pending() && slot.reader.as_ref().is_none_or(|reader| !reader.will_wake(cx.waker())) {
            slot.reader = Some(cx.waker().clone());
        }
        polled
    }

    pub(crate) fn answer(&self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        match &mut self.lock().source {
            Some(source) => source.answer(outputs),
            None => Err(AgentError::new(ErrorKind::Internal).because("the turn was interrupted")),
        }
    }

    /// Its reader is gone.
    pub(crate) fn left(&self) {
        let source = {
            let mut slot = self.lock();
            slot.stopped = true;
            slot.source.take()
        };
        drop(source);
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt").finish_non_exhaustive()
    }
}
