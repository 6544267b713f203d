//! The one who writes: at once where somebody waits, otherwise what has gathered in some milliseconds; syncs within a second.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

use crate::audit::{Message, Shared};
use crate::error::{AuditError, Unwritten};
use crate::fact::{Entry, Fact};
use crate::journal::Journal;

/// How many facts go into one write.
const BATCH: usize = 256;
/// How long facts that nobody waits for gather, so that many go into one write. Each write takes the lock of the log and looks
/// whether its file is still in its place, which at a thousand turns a second were a tenth of all that the gateway did.
const GATHER: Duration = Duration::from_millis(5);
/// How long what was written may wait for its sync.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// How long refusals are counted before they are written.
const REFUSALS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Writer {
    journal: Journal,
    messages: mpsc::Receiver<Message>,
    /// Told when somebody waits for what is in the queue.
    awaited: Arc<Notify>,
    shared: Weak<Shared>,
    /// When what was written is synced.
    sync_at: Option<Instant>,
    /// When refusals are written.
    refusals_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(
        journal: Journal,
        messages: mpsc::Receiver<Message>,
        awaited: Arc<Notify>,
        shared: Weak<Shared>,
    ) -> Self {
        Self { journal, messages, awaited, shared, sync_at: None, refusals_at: None }
    }

    /// Runs until it is told to end, or until nobody is left who could tell it anything. Blocks.
    pub(crate) fn run(mut self, runtime: &Handle) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            runtime.block_on(self.wait(&mut batch));
            let Some(shared) = self.shared.upgrade() else {
                // Nobody is left to be told whether it worked.
                let _ = self.journal.sync();
                return;
            };
            let closing = batch.iter().any(|message| matches!(message, Message::Close));
            self.write(&mut batch, closing, &shared);
            if closing || self.sync_at.is_some_and(|at| at <= Instant::now()) {
                self.sync_at = None;
                if let Err(error) = self.journal.sync() {
                    self.tell(Some(&error), &shared);
                }
            }
            if closing {
                return;
            }
        }
    }

    /// Until there is something to do.
    async fn wait(&mut self, batch: &mut Vec<Message>) {
        let due = self.sync_at.into_iter().chain(self.refusals_at).min();
        let taking = self.messages.recv_many(batch, BATCH);
        match due {
            // Late is no failure here: what is due is done then.
            Some(due) => drop(timeout_at(due, taking).await),
            None => drop(taking.await),
        }
        if batch.len() < BATCH && !batch.is_empty() && !batch.iter().any(Message::is_awaited) {
            // Told or not, what there is by then is written.
            let _early = tokio::time::timeout(GATHER, self.awaited.notified()).await;
            while batch.len() < BATCH
                && let Ok(more) = self.messages.try_recv()
            {
                batch.push(more);
            }
        }
    }

    fn write(&mut self, batch: &mut Vec<Message>, closing: bool, shared: &Shared) {
        let (mut entries, mut waiting) = (Vec::new(), Vec::new());
        for message in batch.drain(..) {
            match message {
                Message::Entry(entry, written) => {
                    entries.push(*entry);
                    waiting.extend(written);
                }
                Message::Refusals => {
                    self.refusals_at.get_or_insert_with(|| Instant::now() + REFUSALS_WITHIN);
                }
                Message::Close => {}
            }
        }
        if closing || self.refusals_at.is_some_and(|at| at <= Instant::now()) {
            self.refusals_at = None;
            entries.extend(shared.refusals.take());
        }
        // Whoever waits learns of the failure; only of the others nobody would.
        let unawaited = (entries.len() - waiting.len()) as u64;
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            entries.push(Entry::of_gateway(Fact::Lost { count: lost }));
        }
        if entries.is_empty() {
            return;
        }
        let done = self.journal.append(&entries);
        match &done {
            Ok(()) => {
                self.sync_at.get_or_insert_with(|| Instant::now() + SYNC_WITHIN);
            }
            Err(_) => {
                shared.lost.fetch_add(lost + unawaited, Ordering::Relaxed);
            }
        }
        self.tell(done.as_ref().err(), shared);
        for waiting in waiting {
            // Whoever no longer waits does not mind.
            let _ = waiting.send(if done.is_ok() { Ok(()) } else { Err(Unwritten) });
        }
    }

    /// Keeps the state, and says in the program's log when it changes.
    fn tell(&self, failure: Option<&AuditError>, shared: &Shared) {
        let failure = failure.map(|error| match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&state.failure, &failure) {
            (None, Some(why)) => error!(error = why, "The audit log can not be written: {why}"),
            (Some(_), None) => info!("The audit log can be written again"),
            _ => {}
        }
        state.failure = failure;
        state.last = self.journal.last();
    }
}
