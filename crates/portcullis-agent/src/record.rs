//! `Record<A>`: an agent whose turns leave one line in the log, whatever way they end.

use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use tracing::{info, warn};

use crate::{
    Agent, AgentError, Capabilities, ErrorKind, Model, ModelId, Outcome, PrincipalId, Readiness, RequestId,
    ThreadId, ToolOutput, Turn, TurnEvent, TurnId, TurnRequest, TurnSource, Usage,
};

/// Writes one line per turn when it ends: who, which thread and model, the outcome, tokens and timings. Never a
/// prompt, never an answer.
#[derive(Debug)]
pub struct Record<A> {
    inner: A,
}

impl<A> Record<A> {
    /// Wraps an agent.
    pub fn new(inner: A) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<A: Agent> Agent for Record<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        self.inner.readiness().await
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let started = Instant::now();
        let (id, principal, model) =
            (request.request.clone(), request.principal.clone(), request.options.model.clone());
        match self.inner.start_turn(request).await {
            Ok(turn) => {
                let (thread, turn_id) = (turn.thread().clone(), turn.id().clone());
                Ok(turn.map_source(|inner| Recorded {
                    inner,
                    line: Line {
                        request: id,
                        principal,
                        model,
                        thread,
                        turn: turn_id,
                        started,
                        first_event: None,
                        usage: Usage::default(),
                        steps: 0,
                        written: false,
                    },
                }))
            }
            Err(error) => {
                warn!(
                    request.id = %id, principal = %principal, model = %model,
                    error.kind = error.kind.word(), error.cause = error.cause_chain(),
                    "Turn of `{principal}` was not started: {}", error.kind
                );
                Err(error)
            }
        }
    }
}

struct Recorded {
    inner: Box<dyn TurnSource>,
    line: Line,
}

struct Line {
    request: RequestId,
    principal: PrincipalId,
    model: ModelId,
    thread: ThreadId,
    turn: TurnId,
    started: Instant,
    first_event: Option<Instant>,
    usage: Usage,
    steps: u32,
    written: bool,
}

impl TurnSource for Recorded {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let polled = self.inner.poll_next(cx);
        if let Poll::Ready(Some(event)) = &polled {
            self.line.see(event);
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}

impl Line {
    fn see(&mut self, event: &TurnEvent) {
        self.first_event.get_or_insert_with(Instant::now);
        match event {
            TurnEvent::StepCompleted(usage) => {
                self.usage += *usage;
                self.steps += 1;
            }
            TurnEvent::Ended(outcome) => self.write(outcome),
            _ => {}
        }
    }

    fn write(&mut self, outcome: &Outcome) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        let duration_ms = millis(self.started.elapsed());
        let first_event_ms = self.first_event.map(|at| millis(at - self.started));
        let (kind, cause) = match outcome {
            Outcome::Failed(error) => (error.kind.word(), error.cause_chain()),
            Outcome::Completed | Outcome::Interrupted => ("", String::new()),
        };
        let failed_here = matches!(outcome, Outcome::Failed(e) if matches!(e.kind, ErrorKind::WorkerLost | ErrorKind::Internal));
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request.id = %self.request, principal = %self.principal, model = %self.model,
                    thread.id = %self.thread, turn.id = %self.turn,
                    outcome = outcome.word(), error.kind = kind, error.cause = cause,
                    usage.input = self.usage.input, usage.cached_input = self.usage.cached_input,
                    usage.output = self.usage.output, usage.reasoning = self.usage.reasoning,
                    steps = self.steps, first_event_ms, duration_ms,
                    "Turn of `{}` {} after {duration_ms} ms", self.principal, outcome.word()
                )
            };
        }
        if failed_here {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

/// A turn that is dropped before its end was interrupted by its reader.
impl Drop for Line {
    fn drop(&mut self) {
        self.write(&Outcome::Interrupted);
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
