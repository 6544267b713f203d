//! An agent for tests of what wraps agents, here and in other crates (feature `testing`).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;

use crate::{
    Agent, AgentError, Capabilities, EventReceiver, Model, Readiness, ToolOutput, Turn, TurnEvent,
    TurnRequest, TurnSource, WorkerReport,
};

type Begun = Pin<Box<dyn Future<Output = Result<Turn, AgentError>> + Send>>;

/// Begins turns as a function says, and offers nothing else.
pub struct ByHand(Box<dyn Fn(TurnRequest) -> Begun + Send + Sync>);

impl ByHand {
    /// With this function.
    pub fn new<F>(begin: impl Fn(TurnRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Turn, AgentError>> + Send + 'static,
    {
        Self(Box::new(move |request| Box::pin(begin(request))))
    }
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand").finish_non_exhaustive()
    }
}

#[async_trait]
impl Agent for ByHand {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: true, tools: true }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        Ok(Vec::new())
    }

    async fn readiness(&self) -> Readiness {
        Readiness::of(Vec::new())
    }

    fn workers(&self) -> Vec<WorkerReport> {
        Vec::new()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        self.0(request).await
    }
}

/// A turn whose events a test sends.
pub fn turn(events: EventReceiver) -> Turn {
    Turn::new("thread".into(), "turn".into(), Source(events))
}

struct Source(EventReceiver);

impl TurnSource for Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.0.poll_next(cx)
    }

    fn answer(&mut self, _outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        Ok(())
    }
}
