//! The owner's end of a supervised process.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::status::Board;
use crate::task::spawn_owned;
use crate::worker::{Asks, Worker};
use crate::{Backoff, ExitReason, Role, Status};

/// How patient a supervisor is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// From the beginning of a start (the role's `launch` included) to the end of the handshake.
    pub ready_within: Duration,
    /// From TERM to KILL.
    pub stop_grace: Duration,
    /// The delays after failures.
    pub backoff: Backoff,
    /// A process that was ready for this long (and at least for the shortest backoff) was stable: what ended
    /// it is not a crash loop, the delays begin again, and the next start is immediate. So it is, too, after the first few
    /// kills from outside of a process that was ready.
    pub stable_after: Duration,
}

/// Keeps one process of a role running until it is shut down. Dropping it kills the group.
pub struct Supervisor<H> {
    name: String,
    status: watch::Receiver<Status<H>>,
    restarts: mpsc::Sender<String>,
    shutdown: CancellationToken,
    /// Taken by whoever shuts down.
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// Why there is no handle.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("worker `{name}` is not ready ({state}{})", last_exit.as_ref().map_or(String::new(), |last| {
    format!(", the last one {last}")
}))]
pub struct NotReady {
    /// The role's name.
    pub name: String,
    /// The state's [name](crate::State::name).
    pub state: &'static str,
    /// Why the last process ended.
    pub last_exit: Option<ExitReason>,
}

impl<H: Clone + Send + Sync + 'static> Supervisor<H> {
    /// Begins the first start. Must be called within a tokio runtime.
    pub fn start<R: Role<Handle = H>>(role: R, settings: Settings) -> Self {
        let name = role.name().to_owned();
        let board = Board::new(name.clone());
        let status = board.subscribe();
        let shutdown = CancellationToken::new();
        // One is enough: a start answers every request before it, so a second one while the first waits is
        // the same.
        let (restarts, requests) = mpsc::channel(1);
        let asks = Asks { requests, shutdown: shutdown.clone() };
        let task = spawn_owned(Worker { role, settings, asks, board }.run());
        Self { name, status, restarts, shutdown, task: Mutex::new(Some(task)) }
    }

    /// The role's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The status, now and as it changes. Intermediate states may be skipped. Closed after the end of the
    /// supervisor.
    pub fn status(&self) -> watch::Receiver<Status<H>> {
        self.status.clone()
    }

    /// The handle, when ready. The process may be gone by the time it is used.
    pub fn handle(&self) -> Option<H> {
        self.status.borrow().state.handle().cloned()
    }

    /// Waits for the process to be ready, `within` at most. Cancel safe.
    pub async fn ready(&self, within: Duration) -> Result<H, NotReady> {
        let mut status = self.status.clone();
        let ready = status.wait_for(|status| status.state.handle().is_some());
        if let Ok(Ok(status)) = tokio::time::timeout(within, ready).await
            && let Some(handle) = status.state.handle()
        {
            return Ok(handle.clone());
        }
        let status = self.status.borrow();
        Err(NotReady {
            name: self.name.clone(),
            state: status.state.name(),
            last_exit: status.last_exit.clone(),
        })
    }

    /// Asks for a replacement: TERM, grace, KILL, and an immediate start that does not count as a failure.
    /// During backoff it ends the wait. Requests that arrive together are one.
    pub fn restart(&self, why: impl Into<String>) {
        // Full: a replacement is already due. Closed: the task is gone and its status says so.
        let _ = self.restarts.try_send(why.into());
    }

    /// TERM, grace, KILL; returns when the process is reaped. Dropping the future kills the group at once.
    pub async fn shutdown(&self) {
        self.shutdown.cancel();
        let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Err(error) = task.await {
            tracing::error!(
                worker.name = self.name,
                error = &error as &dyn std::error::Error,
                "supervisor panicked"
            );
        }
    }
}

impl<H> fmt::Debug for Supervisor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.name)
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}
