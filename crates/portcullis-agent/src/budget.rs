//! `Budget<A>`: an agent whose turns with hands may not go on for ever.

use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    Agent, AgentError, Capabilities, ErrorKind, Model, Outcome, Readiness, ToolOutput, Turn, TurnEvent,
    TurnRequest, TurnSource, WorkerReport,
};

/// Ends turns with hands that take more steps or tokens than they may, as [`ErrorKind::OverBudget`]. Without hands every step
/// is one that the caller asked for.
#[derive(Debug)]
pub struct Budget<A> {
    inner: A,
    bounds: watch::Receiver<TurnBounds>,
}

/// What a turn with hands may take.
#[derive(Clone, Copy, Debug)]
pub struct TurnBounds {
    /// Answers of the model.
    pub steps: u64,
    /// Tokens, read and written.
    pub tokens: u64,
}

impl<A> Budget<A> {
    /// Wraps an agent. A turn keeps the bounds that it began with.
    pub fn new(inner: A, bounds: watch::Receiver<TurnBounds>) -> Self {
        Self { inner, bounds }
    }
}

#[async_trait]
impl<A: Agent> Agent for Budget<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        self.inner.readiness().await
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let has_hands = request.profile.has_hands();
        let bounds = *self.bounds.borrow();
        let turn = self.inner.start_turn(request).await?;
        if !has_hands {
            return Ok(turn);
        }
        Ok(turn.map_source(|inner| Counted { inner: Some(inner), bounds, over: None, steps: 0, tokens: 0 }))
    }
}

struct Counted {
    /// Gone once the budget is used up: dropping it interrupts the turn.
    inner: Option<Box<dyn TurnSource>>,
    bounds: TurnBounds,
    /// What is used up; told with the next event, after the step that did it.
    over: Option<&'static str>,
    steps: u64,
    tokens: u64,
}

impl TurnSource for Counted {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        if let Some(what) = self.over {
            self.inner = None;
            let outcome = Outcome::Failed(ErrorKind::OverBudget { what }.into());
            return Poll::Ready(Some(TurnEvent::Ended(outcome)));
        }
        let polled = inner.poll_next(cx);
        if let Poll::Ready(Some(TurnEvent::StepCompleted(usage))) = &polled {
            self.steps += 1;
            self.tokens += usage.input + usage.output;
            if self.steps > self.bounds.steps {
                self.over = Some("steps");
            } else if self.tokens > self.bounds.tokens {
                self.over = Some("tokens");
            }
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        match &mut self.inner {
            Some(inner) => inner.answer(outputs),
            None => Err(ErrorKind::OverBudget { what: "steps" }.into()),
        }
    }
}
