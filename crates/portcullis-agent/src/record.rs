//! `Record<A>`: an agent whose turns leave one line in the log, whatever way they end, and are counted.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::{info, warn};

use crate::{
    Agent, AgentError, Capabilities, ErrorKind, Item, Model, ModelId, Outcome, PictureCost, PrincipalId,
    Profile, Readiness, RequestId, Span, ThreadId, ToolOutput, TraceContext, Turn, TurnEvent, TurnId,
    TurnRequest, TurnSource, Usage, WorkerReport,
};

/// Writes one line per turn when it ends: who, which thread and model, the outcome, tokens and timings. Never a
/// prompt, never an answer.
pub struct Record<A> {
    inner: A,
    counter: Arc<dyn TurnCounter>,
}

/// Who counts turns.
pub trait TurnCounter: Send + Sync {
    /// A turn has ended, or was not even started.
    fn ended(&self, turn: &EndedTurn);
}

impl TurnCounter for Vec<Arc<dyn TurnCounter>> {
    fn ended(&self, turn: &EndedTurn) {
        for counter in self {
            counter.ended(turn);
        }
    }
}

/// A turn that is over, without anything that was said in it.
#[derive(Clone, Debug)]
pub struct EndedTurn {
    /// The request that it was a part of.
    pub request: RequestId,
    /// Its place in a trace, if somebody keeps our spans.
    pub span: Option<Span>,
    /// Its ids with the agent, if it was started.
    pub ids: Option<(ThreadId, TurnId)>,
    /// Who asked for it.
    pub principal: PrincipalId,
    /// The model that was to answer.
    pub model: ModelId,
    /// What it could touch.
    pub profile: Profile,
    /// `completed`, `interrupted` or `failed`.
    pub outcome: &'static str,
    /// The kind of failure; empty where there was none.
    pub error: &'static str,
    /// What it cost, as far as it is known; nothing but zeros where nobody reported it.
    pub usage: Usage,
    /// How many pictures it made.
    pub pictures: u64,
    /// From the request to the first event.
    pub first_event: Option<Duration>,
    /// From the request to the end.
    pub duration: Duration,
}

impl<A> Record<A> {
    /// Wraps an agent.
    pub fn new(inner: A, counter: Arc<dyn TurnCounter>) -> Self {
        Self { inner, counter }
    }
}

impl<A: std::fmt::Debug> std::fmt::Debug for Record<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("inner", &self.inner).finish_non_exhaustive()
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

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, mut request: TurnRequest) -> Result<Turn, AgentError> {
        let started = Instant::now();
        let span = request.trace.as_mut().and_then(TraceContext::enter);
        let trace = request.trace.as_ref().map(TraceContext::trace_id);
        let (id, principal, model) =
            (request.request.clone(), request.principal.clone(), request.options.model.clone());
        let profile = request.profile;
        match self.inner.start_turn(request).await {
            Ok(turn) => {
                let (thread, turn_id) = (turn.thread().clone(), turn.id().clone());
                let counter = Arc::clone(&self.counter);
                Ok(turn.map_source(|inner| Recorded {
                    inner,
                    line: Line {
                        counter,
                        request: id,
                        trace,
                        span,
                        principal,
                        profile,
                        model,
                        thread,
                        turn: turn_id,
                        started,
                        first_event: None,
                        usage: Usage::default(),
                        steps: 0,
                        pictures: 0,
                        written: false,
                    },
                }))
            }
            Err(error) => {
                warn!(
                    request.id = %id, trace.id = trace, principal = %principal, profile = profile.word(), model = %model,
                    error.kind = error.kind.word(), error.cause = error.cause_chain(),
                    "Turn of `{principal}` was not started: {}", error.kind
                );
                self.counter.ended(&EndedTurn {
                    request: id,
                    span,
                    ids: None,
                    principal,
                    model,
                    profile,
                    outcome: "failed",
                    error: error.kind.word(),
                    usage: Usage::default(),
                    pictures: 0,
                    first_event: None,
                    duration: started.elapsed(),
                });
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
    counter: Arc<dyn TurnCounter>,
    request: RequestId,
    trace: Option<String>,
    span: Option<Span>,
    principal: PrincipalId,
    profile: Profile,
    model: ModelId,
    thread: ThreadId,
    turn: TurnId,
    started: Instant,
    first_event: Option<Instant>,
    usage: Usage,
    steps: u32,
    pictures: u64,
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
            TurnEvent::ItemCompleted(Item::Picture(picture)) => {
                self.pictures += 1;
                self.usage += picture.cost.map_or_else(Usage::default, PictureCost::usage);
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
        self.counter.ended(&EndedTurn {
            request: self.request.clone(),
            span: self.span.take(),
            ids: Some((self.thread.clone(), self.turn.clone())),
            principal: self.principal.clone(),
            model: self.model.clone(),
            profile: self.profile,
            outcome: outcome.word(),
            error: kind,
            usage: self.usage,
            pictures: self.pictures,
            first_event: self.first_event.map(|at| at - self.started),
            duration: self.started.elapsed(),
        });
        let failed_here = matches!(outcome, Outcome::Failed(e) if matches!(e.kind, ErrorKind::WorkerLost | ErrorKind::Internal));
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request.id = %self.request, trace.id = self.trace, principal = %self.principal, profile = self.profile.word(),
                    model = %self.model,
                    thread.id = %self.thread, turn.id = %self.turn,
                    outcome = outcome.word(), error.kind = kind, error.cause = cause,
                    usage.input = self.usage.input, usage.cached_input = self.usage.cached_input,
                    usage.output = self.usage.output, usage.reasoning = self.usage.reasoning,
                    steps = self.steps, pictures = self.pictures, first_event_ms, duration_ms,
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
