//! What a supervisor publishes, and the one place that publishes and logs it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::ExitReason;

/// Where a supervised process is in its life.
#[derive(Clone)]
pub enum State<H> {
    /// It is being prepared, started, or shaken hands with.
    Starting,
    /// It may be used.
    Ready(H),
    /// It was asked to exit and may still finish what it does.
    Draining,
    /// There is no process. Final when the channel is closed; otherwise another state follows at once.
    Exited,
    /// There is no process until the next start.
    Backoff {
        /// When the next start begins.
        until: Instant,
        /// How many failures in a row were not preceded by a stable time.
        attempts: u32,
        /// Why the last process ended.
        last: ExitReason,
    },
}

/// A supervised process as others see it.
#[derive(Clone)]
pub struct Status<H> {
    /// Where it is in its life.
    pub state: State<H>,
    /// How many starts followed the first one.
    pub restarts: u64,
    /// The pid, while there is a process.
    pub pid: Option<u32>,
    /// When that process was started.
    pub since: Option<Instant>,
    /// Why the last process ended.
    pub last_exit: Option<ExitReason>,
    /// How often a process or a start has ended, by [`ExitReason::word`].
    pub ended: BTreeMap<&'static str, u64>,
    /// The last 64 KiB of stderr of the last process that failed. May quote anything: for the operator's eyes
    /// only.
    pub stderr_tail: Option<Arc<str>>,
}

impl<H> State<H> {
    /// One word, for logs, metrics and pages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready(_) => "ready",
            Self::Draining => "draining",
            Self::Exited => "exited",
            Self::Backoff { .. } => "backoff",
        }
    }

    /// The handle, when ready.
    pub fn handle(&self) -> Option<&H> {
        match self {
            Self::Ready(handle) => Some(handle),
            _ => None,
        }
    }
}

// Not derived: a handle need not be `Debug`, and stderr must not slip into a log.
impl<H> fmt::Debug for State<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<H> fmt::Debug for Status<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("state", &self.state)
            .field("restarts", &self.restarts)
            .field("pid", &self.pid)
            .field("since", &self.since)
            .field("last_exit", &self.last_exit)
            .field("ended", &self.ended)
            .field("stderr_tail_bytes", &self.stderr_tail.as_ref().map(|tail| tail.len()))
            .finish()
    }
}

/// The writing end of a status. Every change of state is one log line that reads alone.
///
/// When it is dropped without a word, by a panic or an abort, it says `Exited`, so that nobody keeps using a
/// handle.
pub(crate) struct Board<H> {
    name: String,
    status: watch::Sender<Status<H>>,
    starts: u64,
}

impl<H> Board<H> {
    pub(crate) fn new(name: String) -> Self {
        let status = Status {
            state: State::Starting,
            restarts: 0,
            pid: None,
            since: None,
            last_exit: None,
            ended: BTreeMap::new(),
            stderr_tail: None,
        };
        Self { name, status: watch::Sender::new(status), starts: 0 }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Status<H>> {
        self.status.subscribe()
    }

    pub(crate) fn starting(&mut self) {
        self.status.send_modify(|status| {
            status.state = State::Starting;
            status.restarts = self.starts;
        });
        self.starts += 1;
        tracing::info!(worker.name = self.name, worker.restarts = self.starts - 1, "worker is starting");
    }

    /// Not a change of state, so it is published and logged for debugging only.
    pub(crate) fn spawned(&self, pid: u32) {
        self.status.send_modify(|status| {
            status.pid = Some(pid);
            status.since = Some(Instant::now());
        });
        tracing::debug!(worker.name = self.name, worker.pid = pid, "worker process started");
    }

    pub(crate) fn ready(&self, handle: H) {
        self.status.send_modify(|status| status.state = State::Ready(handle));
        tracing::info!(worker.name = self.name, worker.pid = self.pid(), "worker is ready");
    }

    pub(crate) fn draining(&self, why: &str) {
        self.status.send_modify(|status| status.state = State::Draining);
        tracing::info!(worker.name = self.name, worker.pid = self.pid(), why, "worker is draining");
    }

    /// The end of a process that was asked to end.
    pub(crate) fn left(&self, reason: ExitReason) {
        let pid = self.pid();
        tracing::info!(worker.name = self.name, worker.pid = pid, exit.reason = %reason, "worker has left as asked");
        self.exited(reason, None);
    }

    /// The end of a process that was not asked to end, or of a start.
    pub(crate) fn failed(&self, reason: ExitReason, stderr_tail: Option<String>) {
        let pid = self.pid();
        tracing::warn!(worker.name = self.name, worker.pid = pid, exit.reason = %reason, "worker has failed");
        self.exited(reason, stderr_tail);
    }

    pub(crate) fn backoff(&self, until: Instant, attempts: u32, last: ExitReason) {
        let delay_ms = until.saturating_duration_since(Instant::now()).as_millis();
        tracing::warn!(
            worker.name = self.name,
            exit.reason = %last,
            backoff.attempts = attempts,
            backoff.delay_ms = u64::try_from(delay_ms).unwrap_or(u64::MAX),
            "worker waits before its next start"
        );
        self.status.send_modify(|status| status.state = State::Backoff { until, attempts, last });
    }

    /// The end of the supervisor.
    pub(crate) fn close(&self) {
        let last = self.status.borrow().last_exit.as_ref().map(ToString::to_string);
        tracing::info!(worker.name = self.name, exit.reason = last, "worker is stopped for good");
        self.status.send_modify(|status| status.state = State::Exited);
    }

    fn exited(&self, reason: ExitReason, stderr_tail: Option<String>) {
        self.status.send_modify(|status| {
            status.state = State::Exited;
            status.pid = None;
            status.since = None;
            *status.ended.entry(reason.word()).or_default() += 1;
            status.last_exit = Some(reason);
            if let Some(tail) = stderr_tail {
                status.stderr_tail = Some(tail.into());
            }
        });
    }

    fn pid(&self) -> Option<u32> {
        self.status.borrow().pid
    }
}

impl<H> Drop for Board<H> {
    fn drop(&mut self) {
        if matches!(self.status.borrow().state, State::Exited) {
            return;
        }
        let pid = self.pid();
        if std::thread::panicking() {
            tracing::error!(worker.name = self.name, worker.pid = pid, "worker is killed: its role panicked");
        } else {
            tracing::warn!(
                worker.name = self.name,
                worker.pid = pid,
                "worker is killed: its supervisor was dropped"
            );
        }
        self.status.send_modify(|status| {
            status.state = State::Exited;
            status.pid = None;
        });
    }
}
