//! The log as the rest of the gateway has it: a handle, and one writer behind a bounded queue.
//!
//! What an answer depends on is written before it is given ([`Audit::append`]): the file has it then, though the disk
//! may not; it is synced within a second. What has already happened is only handed over ([`Audit::note`]), and nobody
//! waits. When the queue is full or the disk is, such facts are lost, and the log says how many as soon as it can.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8Path;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{AuditError, Unwritten};
use crate::fact::Entry;
use crate::files::Limits;
use crate::hash::Hash;
use crate::journal::Journal;
use crate::refusals::{Refusal, Refusals};
use crate::writer::Writer;

/// How many facts may wait for the writer; about a megabyte.
const QUEUE: usize = 2048;

/// The handle; clones write to the same log.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Shared>>);

/// What handles and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: mpsc::Sender<Message>,
    /// Somebody waits for what is in the queue.
    awaited: Arc<Notify>,
    pub(crate) refusals: Refusals,
    /// Facts that could not be written and are not yet told.
    pub(crate) lost: AtomicU64,
    pub(crate) state: Mutex<State>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(crate) enum Message {
    /// Somebody may wait for it to be written.
    Entry(Box<Entry>, Option<oneshot::Sender<Result<(), Unwritten>>>),
    /// There are refusals to be written in a while.
    Refusals,
    /// Write everything and end.
    Close,
}

impl Message {
    /// Whether somebody waits until it is done.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Entry(_, Some(_)) | Self::Close)
    }
}

/// How the log is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Why it can not be written, if so.
    pub failure: Option<String>,
    /// The number and hash of the last line that was written.
    pub last: Option<(u64, Hash)>,
}

impl Audit {
    /// Opens the log in `dir` and starts its writer, which lives until [`Audit::close`]. Within a runtime.
    pub fn start(dir: &Utf8Path, limits: Limits) -> Result<Self, AuditError> {
        let journal = Journal::open(dir, limits)?;
        let (queue, messages) = mpsc::channel(QUEUE);
        let awaited = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            queue,
            awaited: Arc::clone(&awaited),
            refusals: Refusals::default(),
            lost: AtomicU64::new(0),
            state: Mutex::default(),
            writer: Mutex::default(),
        });
        let writer = Writer::new(journal, messages, awaited, Arc::downgrade(&shared));
        let runtime = tokio::runtime::Handle::current();
        let writing = tokio::task::spawn_blocking(move || writer.run(&runtime));
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writing);
        Ok(Self(Some(shared)))
    }

    /// No log: nothing is written and nothing fails.
    pub fn off() -> Self {
        Self(None)
    }

    /// Writes a fact and waits until it is in the file.
    pub async fn append(&self, entry: Entry) -> Result<(), Unwritten> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let (written, wait) = oneshot::channel();
        shared
            .queue
            .send(Message::Entry(Box::new(entry), Some(written)))
            .await
            .map_err(|_closed| Unwritten)?;
        shared.awaited.notify_one();
        wait.await.unwrap_or(Err(Unwritten))
    }

    /// Hands a fact over; never waits. It is in the file a few milliseconds later, with others of that time.
    pub fn note(&self, entry: Entry) {
        let Some(shared) = &self.0 else { return };
        if shared.queue.try_send(Message::Entry(Box::new(entry), None)).is_err() {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a refused request; never waits. Refusals alike become one line every ten seconds.
    pub fn refused(&self, refusal: Refusal) {
        let Some(shared) = &self.0 else { return };
        if shared.refusals.count(refusal) {
            // Where the queue is full the writer is awake, and looks by itself.
            let _ = shared.queue.try_send(Message::Refusals);
        }
    }

    /// How the log is; `None` when there is none.
    pub fn state(&self) -> Option<State> {
        let shared = self.0.as_ref()?;
        Some(shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Writes and syncs what was handed over before, and ends the writer.
    pub async fn close(&self) {
        let Some(shared) = &self.0 else { return };
        let writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = shared.queue.send(Message::Close).await;
            shared.awaited.notify_one();
            // A panic in there has been told by then.
            let _ = writer.await;
        }
    }
}
