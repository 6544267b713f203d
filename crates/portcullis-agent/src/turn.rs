//! A running turn.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::{AgentError, ThreadId, ToolOutput, TurnEvent, TurnId};

/// A running turn: a stream of events that ends with exactly one outcome. Dropping it interrupts it.
pub struct Turn {
    thread: ThreadId,
    id: TurnId,
    source: Box<dyn TurnSource>,
}

/// Where a turn's events come from. Dropping the source before it has ended interrupts the turn.
pub trait TurnSource: Send {
    /// The next event, in order; `None` after [`TurnEvent::Ended`] and only then. Cancel safe.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>>;

    /// Gives the outputs that the turn waits for after [`TurnEvent::ToolCalls`].
    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError>;
}

impl Turn {
    /// A turn over a source of events.
    pub fn new(thread: ThreadId, id: TurnId, source: impl TurnSource + 'static) -> Self {
        Self { thread, id, source: Box::new(source) }
    }

    /// The thread it runs on.
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }

    /// Its id.
    pub fn id(&self) -> &TurnId {
        &self.id
    }

    /// Wraps the source, for agents that wrap agents.
    #[must_use]
    pub fn map_source<S: TurnSource + 'static>(self, wrap: impl FnOnce(Box<dyn TurnSource>) -> S) -> Self {
        Self { thread: self.thread, id: self.id, source: Box::new(wrap(self.source)) }
    }

    /// The next event; `None` after the outcome. Cancel safe.
    pub async fn next(&mut self) -> Option<TurnEvent> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event, for streams.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.source.poll_next(cx)
    }

    /// Gives the outputs that the turn waits for after [`TurnEvent::ToolCalls`].
    pub fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.source.answer(outputs)
    }
}

impl TurnSource for Box<dyn TurnSource> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        (**self).poll_next(cx)
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        (**self).answer(outputs)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("thread", &self.thread).field("id", &self.id).finish_non_exhaustive()
    }
}
