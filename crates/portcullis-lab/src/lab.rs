//! The state that the server's connections share with the test: the script, the journal, and who waits for a change.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Received,
    journal::{Fate, Journal},
    script::{Script, Turn},
};

/// When and how an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Closed {
    /// When the server noticed.
    pub at: Instant,
    /// How.
    pub how: HowClosed,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HowClosed {
    /// Everything was sent.
    Answered,
    /// The client left before that.
    ClientGone,
    /// The server broke the connection, because of the script or because it was shut down.
    Cut,
}

/// Why waiting was in vain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WaitError {
    /// Too few requests came.
    #[error("only {seen} of {wanted} requests had arrived after {waited:?}")]
    TooFewRequests {
        /// How many were waited for.
        wanted: usize,
        /// How many there were.
        seen: usize,
        /// How long it took to give up.
        waited: Duration,
    },
    /// The request never came.
    #[error("request {index} had not arrived after {waited:?}")]
    NotReceived {
        /// Which request.
        index: usize,
        /// How long it took to give up.
        waited: Duration,
    },
    /// The answer went on.
    #[error("the answer to request {index} was still open after {waited:?}")]
    StillOpen {
        /// Which request.
        index: usize,
        /// How long it took to give up.
        waited: Duration,
    },
    /// So many requests came later that this one is no longer known.
    #[error("request {index} is so old that the lab has forgotten it")]
    Forgotten {
        /// Which request.
        index: usize,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Lab {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    pub(crate) stop: CancellationToken,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    responses: Lane,
    pictures: Lane,
}

/// What is asked for: each has a script and a journal of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `POST …/responses`.
    Response,
    /// `POST …/images/generations` and `…/edits`.
    Picture,
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) script: Script,
    pub(crate) journal: Journal,
}

impl State {
    pub(crate) fn of(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Response => &mut self.responses,
            Kind::Picture => &mut self.pictures,
        }
    }
}

impl Lab {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere in a test is reported there; what was recorded before it is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request and takes its answer from the script, in one step, so that the n-th request gets the n-th
    /// answer however many arrive at once.
    pub(crate) fn admit(
        self: &Arc<Self>,
        kind: Kind,
        mut received: Received,
        bytes: usize,
    ) -> (Arc<Received>, Turn, Exchange) {
        let mut state = self.state();
        let lane = state.of(kind);
        received.index = lane.journal.seen();
        let received = Arc::new(received);
        lane.journal.add(Arc::clone(&received), bytes);
        let turn = lane.script.next();
        drop(state);
        self.changed.send_replace(());
        let exchange = Exchange { lab: Arc::clone(self), kind, index: received.index, open: true };
        (received, turn, exchange)
    }

    pub(crate) async fn wait_for_requests(
        &self,
        kind: Kind,
        wanted: usize,
        limit: Duration,
    ) -> Result<(), WaitError> {
        let arrived = || (self.state().of(kind).journal.seen() >= wanted).then_some(());
        self.wait_for(arrived, limit).await.ok_or_else(|| WaitError::TooFewRequests {
            wanted,
            seen: self.state().of(kind).journal.seen(),
            waited: limit,
        })
    }

    pub(crate) async fn wait_for_close(
        &self,
        kind: Kind,
        index: usize,
        limit: Duration,
    ) -> Result<Closed, WaitError> {
        let ended = || match self.state().of(kind).journal.fate(index) {
            Fate::Closed(closed) => Some(Ok(closed)),
            Fate::Forgotten => Some(Err(WaitError::Forgotten { index })),
            Fate::Open | Fate::NotReceived => None,
        };
        let in_vain = || match self.state().of(kind).journal.fate(index) {
            Fate::NotReceived => Err(WaitError::NotReceived { index, waited: limit }),
            _ => Err(WaitError::StillOpen { index, waited: limit }),
        };
        self.wait_for(ended, limit).await.unwrap_or_else(in_vain)
    }

    async fn wait_for<T>(&self, mut found: impl FnMut() -> Option<T>, limit: Duration) -> Option<T> {
        // Subscribed before the first look, so that no change falls between the two.
        let mut changes = self.changed.subscribe();
        let look = async {
            loop {
                if let Some(found) = found() {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, look).await.ok().flatten()
    }
}

/// An answer under way. Dropping it records that it ended early.
#[derive(Debug)]
pub(crate) struct Exchange {
    lab: Arc<Lab>,
    kind: Kind,
    index: usize,
    open: bool,
}

impl Exchange {
    /// Only the first end counts.
    pub(crate) fn end(&mut self, how: HowClosed) {
        if std::mem::take(&mut self.open) {
            self.lab.state().of(self.kind).journal.close(self.index, Closed { at: Instant::now(), how });
            self.lab.changed.send_replace(());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let stopped = self.lab.stop.is_cancelled();
        self.end(if stopped { HowClosed::Cut } else { HowClosed::ClientGone });
    }
}
