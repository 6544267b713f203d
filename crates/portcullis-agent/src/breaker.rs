//! `Breaker<A>`: an agent that does not begin turns while the model's provider fails every one of them.

mod circuit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::circuit::BreakerLimits;
use self::circuit::{Circuit, Pass, Shown};
use crate::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Outcome, Readiness, ToolOutput, Turn,
    TurnEvent, TurnRequest, TurnSource, WorkerReport,
};

/// Refuses turns as [`ErrorKind::ProviderDown`] for a while after the provider has failed several in a row, instead of
/// having each wait for what fails; then lets one at a time try. Those that have not begun by then, because the agent
/// behind has them wait, are refused as well. What the caller did wrong, what was interrupted and what broke off after its
/// first word counts for nothing.
#[derive(Debug)]
pub struct Breaker<A> {
    inner: A,
    shared: Arc<Shared>,
}

/// Who watches the circuit.
pub trait BreakerWatcher: Send + Sync {
    /// The circuit of this name is open, or it is closed: told when it is made, and whenever that changes.
    fn circuit(&self, name: &'static str, open: bool);
}

struct Shared {
    name: &'static str,
    circuit: Mutex<Circuit>,
    /// Told each time it opens.
    opened: watch::Sender<()>,
    watcher: Arc<dyn BreakerWatcher>,
}

impl<A> Breaker<A> {
    /// Wraps an agent. The name is that of the provider among what `readiness` tells.
    pub fn new(
        inner: A,
        name: &'static str,
        limits: BreakerLimits,
        watcher: Arc<dyn BreakerWatcher>,
    ) -> Self {
        watcher.circuit(name, false);
        let (circuit, opened) = (Mutex::new(Circuit::new(limits)), watch::Sender::new(()));
        Self { inner, shared: Arc::new(Shared { name, circuit, opened, watcher }) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Result<Ticket, AgentError> {
        let mut circuit = self.lock();
        let pass = circuit.enter(Instant::now()).map_err(down)?;
        // Under the lock: it can not be opened unheard in between.
        let opened = self.opened.subscribe();
        drop(circuit);
        Ok(Ticket { shared: Arc::clone(self), pass: Some(pass), opened })
    }

    fn told(&self, pass: Pass, shown: Shown) {
        let mut circuit = self.lock();
        let before = circuit.is_open();
        circuit.told(pass, shown, Instant::now());
        let open = circuit.is_open();
        if open == before {
            return;
        }
        self.watcher.circuit(self.name, open);
        if open {
            self.opened.send_replace(());
        }
        drop(circuit);
        let circuit = self.name;
        if open {
            tracing::warn!(circuit, "The provider fails turn after turn: new ones are refused for a while");
        } else {
            tracing::info!(circuit, "The provider answers again");
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
            name: self.shared.name,
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
        let mut ticket = self.shared.enter()?;
        let turn = tokio::select! {
            // First: who is let in at the very moment is refused like the others.
            biased;
            refused = ticket.refused() => return Err(refused),
            turn = self.inner.start_turn(request) => turn?,
        };
        Ok(turn.map_source(|inner| Watched { inner, ticket }))
    }
}

fn down(retry_after: Duration) -> AgentError {
    ErrorKind::ProviderDown { retry_after }.into()
}

/// A turn that has not shown yet whether the provider works. Dropped before, it has shown nothing.
struct Ticket {
    shared: Arc<Shared>,
    /// Gone when it has.
    pass: Option<Pass>,
    opened: watch::Receiver<()>,
}

impl Ticket {
    /// Waits until the circuit is opened while the turn has not begun yet. Whoever tries is not refused: it may be the one
    /// that finds out. Cancel safe.
    async fn refused(&mut self) -> AgentError {
        while self.pass == Some(Pass::Ordinary) && self.opened.changed().await.is_ok() {
            let pass = self.shared.lock().enter(Instant::now());
            match pass {
                Ok(pass) => self.pass = Some(pass),
                Err(wait) => return down(wait),
            }
        }
        std::future::pending().await
    }

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
        if let Poll::Ready(Some(event)) = &polled
            && let Some(shown) = shown(event)
        {
            self.ticket.show(shown);
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}

/// What an event shows of the provider, if it does. What a step has cost does not: the model may have called for a picture
/// that is not drawn yet.
fn shown(event: &TurnEvent) -> Option<Shown> {
    match event {
        TurnEvent::Ended(Outcome::Failed(error)) => Some(match error.kind {
            ErrorKind::Upstream | ErrorKind::RateLimited { .. } | ErrorKind::Timeout => Shown::Fails,
            _ => Shown::Nothing,
        }),
        TurnEvent::Ended(Outcome::Interrupted) => Some(Shown::Nothing),
        TurnEvent::StepCompleted(_) => None,
        _ => Some(Shown::Works),
    }
}

#[cfg(test)]
mod tests;
