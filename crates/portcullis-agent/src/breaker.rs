//! `Breaker<A>`: an agent that does not begin turns while the model's provider fails every one of them.

mod circuit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::time::Instant;

pub use self::circuit::BreakerLimits;
use self::circuit::{Circuit, Pass, Shown};
use crate::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Outcome, Readiness, ToolOutput, Turn,
    TurnEvent, TurnRequest, TurnSource, WorkerReport,
};

/// Refuses turns as [`ErrorKind::ProviderDown`] for a while after the provider has failed several in a row, instead of
/// having each wait for what fails; then lets one at a time try. What the caller did wrong, what was interrupted and what
/// broke off after its first word counts for nothing.
#[derive(Debug)]
pub struct Breaker<A> {
    inner: A,
    shared: Arc<Shared>,
}

/// Who watches the circuit.
pub trait BreakerWatcher: Send + Sync {
    /// It was opened or closed.
    fn circuit(&self, open: bool);
}

struct Shared {
    circuit: Mutex<Circuit>,
    watcher: Arc<dyn BreakerWatcher>,
}

impl<A> Breaker<A> {
    /// Wraps an agent.
    pub fn new(inner: A, limits: BreakerLimits, watcher: Arc<dyn BreakerWatcher>) -> Self {
        Self { inner, shared: Arc::new(Shared { circuit: Mutex::new(Circuit::new(limits)), watcher }) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, pass: Pass, shown: Shown) {
        let mut circuit = self.lock();
        let before = circuit.is_open();
        circuit.told(pass, shown, Instant::now());
        let open = circuit.is_open();
        if open == before {
            return;
        }
        self.watcher.circuit(open);
        drop(circuit);
        if open {
            tracing::warn!("The model's provider fails turn after turn: new ones are refused for a while");
        } else {
            tracing::info!("The model's provider answers again");
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}

#[async_trait]
impl<A: Agent> Agent for Breaker<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        let mut conditions = self.inner.readiness().await.conditions;
        let circuit = self.shared.lock();
        conditions.push(Condition {
            name: "provider",
            ok: !circuit.is_open(),
            // The gateway is alive, and somebody has to try.
            required: false,
            message: circuit.words(Instant::now()),
        });
        drop(circuit);
        Readiness::of(conditions)
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let pass = self.shared.lock().enter(Instant::now());
        let pass = pass.map_err(|retry_after| AgentError::new(ErrorKind::ProviderDown { retry_after }))?;
        // Dropped on the way, it has shown nothing.
        let ticket = Ticket { shared: Arc::clone(&self.shared), pass: Some(pass) };
        let turn = self.inner.start_turn(request).await?;
        Ok(turn.map_source(|inner| Watched { inner, ticket }))
    }
}

/// A turn that has not shown yet whether the provider works.
struct Ticket {
    shared: Arc<Shared>,
    /// Gone when it has.
    pass: Option<Pass>,
}

impl Ticket {
    fn show(&mut self, shown: Shown) {
        if let Some(pass) = self.pass.take() {
            self.shared.told(pass, shown);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.show(Shown::Nothing);
    }
}

struct Watched {
    inner: Box<dyn TurnSource>,
    ticket: Ticket,
}

impl TurnSource for Watched {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let polled = self.inner.poll_next(cx);
        if let Poll::Ready(Some(event)) = &polled {
            self.ticket.show(shown(event));
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}

/// What a turn's first event shows: there is none before the provider has said something.
fn shown(event: &TurnEvent) -> Shown {
    match event {
        TurnEvent::Ended(Outcome::Failed(error)) => match error.kind {
            ErrorKind::Upstream | ErrorKind::RateLimited { .. } | ErrorKind::Timeout => Shown::Fails,
            _ => Shown::Nothing,
        },
        TurnEvent::Ended(Outcome::Interrupted) => Shown::Nothing,
        _ => Shown::Works,
    }
}
