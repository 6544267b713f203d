//! `Admission<A>`: an agent that runs no more turns at once than it may, and lets the others wait in fair order.

mod schedule;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use self::schedule::AdmissionLimits;
use self::schedule::{Decision, Schedule, Ticket};
use crate::{
    Agent, AgentError, Capabilities, ErrorKind, Model, PrincipalId, Profile, Readiness, Turn, TurnRequest,
    WorkerReport,
};

/// Gives every turn a [`Place`] before it starts, and has it wait for one where need be. What waits is bounded in number
/// and time; beyond that a request is refused as [`ErrorKind::Busy`], with the time after which it may come back. A
/// request that is dropped while it waits leaves the queue.
#[derive(Debug)]
pub struct Admission<A> {
    inner: A,
    gate: Arc<Gate>,
}

/// A turn's place among those that run at once. The agent that runs the turn keeps it until the turn has really ended,
/// whatever its reader does; then the next one is let in.
#[derive(Clone, Debug, Default)]
pub struct Place {
    most: Option<NonZeroU32>,
    held: Option<Arc<Held>>,
    queued: Queued,
}

/// Where a request had to queue, for whoever tells its caller. Clones are of the same request.
#[derive(Clone, Debug, Default)]
pub struct Queued(Arc<AtomicUsize>);

/// Who watches queues, each of which has a name.
pub trait QueueWatcher: Send + Sync {
    /// So many requests wait now: told when the queue is made, and whenever that changes.
    fn waiting(&self, queue: &'static str, count: usize);
    /// A request waited so long, and runs.
    fn waited(&self, queue: &'static str, time: Duration);
    /// A request was refused: `full` or `late`.
    fn refused(&self, queue: &'static str, why: &'static str);
}

/// What all turns of an admission share.
struct Gate {
    name: &'static str,
    state: Mutex<State>,
    watcher: Arc<dyn QueueWatcher>,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    /// Whom to tell that they run. One for each that waits.
    waiting: HashMap<Ticket, oneshot::Sender<Held>>,
}

/// A place that is taken. Dropping it gives it back.
#[derive(Debug)]
struct Held {
    gate: Arc<Gate>,
    principal: PrincipalId,
    profile: Profile,
    since: Instant,
}

/// A request that waits. Dropping it leaves the queue.
struct Waiting<'a> {
    gate: &'a Gate,
    principal: &'a PrincipalId,
    ticket: Ticket,
}

impl Place {
    /// For a principal of whose turns at most so many may run at once.
    pub fn within(most: Option<NonZeroU32>) -> Self {
        Self { most, ..Self::default() }
    }

    /// Has it noted where the request queues.
    #[must_use]
    pub fn noting(self, queued: &Queued) -> Self {
        Self { queued: queued.clone(), ..self }
    }
}

impl Queued {
    /// How many requests waited when this one began to, itself included; `None` if it did not have to. Of a request with
    /// several turns, the last of them. Turns are let in fairly between principals, so it may run before others.
    pub fn position(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|position| *position > 0)
    }

    fn note(&self, position: usize) {
        self.0.fetch_max(position, Ordering::Relaxed);
    }
}

impl<A> Admission<A> {
    /// Wraps an agent. The name is that of its queue for the watcher.
    pub fn new(
        inner: A,
        name: &'static str,
        limits: AdmissionLimits,
        watcher: Arc<dyn QueueWatcher>,
    ) -> Self {
        watcher.waiting(name, 0);
        let state = State { schedule: Schedule::new(limits), waiting: HashMap::new() };
        Self { inner, gate: Arc::new(Gate { name, state: Mutex::new(state), watcher }) }
    }

    /// Whoever changes the limits later.
    pub fn limiter(&self) -> AdmissionLimiter {
        AdmissionLimiter(Arc::clone(&self.gate))
    }
}

/// Changes the limits of an admission that is in use.
#[derive(Clone, Debug)]
pub struct AdmissionLimiter(Arc<Gate>);

impl AdmissionLimiter {
    /// From now on these hold. Turns that run go on and requests that wait keep waiting, also where they are more than may
    /// from now on; who waits and now may, runs. A request waits at most as long as it was to when it began to.
    pub fn set(&self, limits: AdmissionLimits) {
        let mut state = self.0.lock();
        let runs = state.schedule.set_limits(limits);
        self.0.let_in(state, runs);
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: &Arc<Self>, request: &TurnRequest) -> Result<Held, AgentError> {
        let TurnRequest { principal, profile, place, .. } = request;
        let most = place.most.map_or(usize::MAX, |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        let asked = Instant::now();
        let (waiting, mut admitted, patience) = {
            let mut state = self.lock();
            match state.schedule.ask(principal, *profile, most) {
                Decision::Runs => return Ok(self.hold(principal.clone(), *profile)),
                Decision::Full => {
                    let retry_after = state.schedule.retry_after(principal);
                    drop(state);
                    return Err(self.refuse("full", retry_after));
                }
                Decision::Waits(ticket) => {
                    let (sender, admitted) = oneshot::channel();
                    state.waiting.insert(ticket, sender);
                    place.queued.note(state.schedule.waiting());
                    self.watcher.waiting(self.name, state.schedule.waiting());
                    let patience = state.schedule.limits().wait;
                    (Waiting { gate: self, principal, ticket }, admitted, patience)
                }
            }
        };
        let told = tokio::time::timeout(patience, &mut admitted).await;
        // From here on nobody else can let it in.
        drop(waiting);
        let held = match told {
            Ok(told) => told.ok(),
            // In the last moment, perhaps.
            Err(_late) => admitted.try_recv().ok(),
        };
        if let Some(held) = held {
            self.watcher.waited(self.name, asked.elapsed());
            return Ok(held);
        }
        let retry_after = self.lock().schedule.retry_after(principal);
        Err(self.refuse("late", retry_after))
    }

    fn refuse(&self, why: &'static str, retry_after: Duration) -> AgentError {
        self.watcher.refused(self.name, why);
        AgentError::new(ErrorKind::Busy { retry_after: Some(retry_after) })
    }

    fn hold(self: &Arc<Self>, principal: PrincipalId, profile: Profile) -> Held {
        Held { gate: Arc::clone(self), principal, profile, since: Instant::now() }
    }

    fn give_back(self: &Arc<Self>, held: &Held) {
        let mut state = self.lock();
        let runs = state.schedule.ended(&held.principal, held.profile, held.since.elapsed());
        self.let_in(state, runs);
    }

    /// Tells requests that they run.
    fn let_in(self: &Arc<Self>, mut state: MutexGuard<'_, State>, runs: Vec<(PrincipalId, Ticket, Profile)>) {
        if runs.is_empty() {
            return;
        }
        let mut unwanted = Vec::new();
        for (principal, ticket, profile) in runs {
            let held = self.hold(principal, profile);
            // Never dropped under the lock, which giving it back takes.
            match state.waiting.remove(&ticket) {
                Some(sender) => unwanted.extend(sender.send(held).err()),
                None => unwanted.push(held),
            }
        }
        self.watcher.waiting(self.name, state.schedule.waiting());
        drop(state);
        drop(unwanted);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        Arc::clone(&self.gate).give_back(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.schedule.leave(self.principal, self.ticket);
            self.gate.watcher.waiting(self.gate.name, state.schedule.waiting());
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("state", &self.state).finish_non_exhaustive()
    }
}

#[async_trait]
impl<A: Agent> Agent for Admission<A> {
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
        let held = self.gate.enter(&request).await?;
        request.place.held = Some(Arc::new(held));
        let principal = request.principal.clone();
        self.inner.start_turn(request).await.map_err(|mut error| {
            // The agent behind has fewer places for the moment: a worker is being replaced.
            if let ErrorKind::Busy { retry_after } = &mut error.kind {
                retry_after.get_or_insert_with(|| self.gate.lock().schedule.retry_after(&principal));
            }
            error
        })
    }
}

#[cfg(test)]
mod tests;
