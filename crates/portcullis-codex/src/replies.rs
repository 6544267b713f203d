//! The calls that wait for a reply of the app-server.
//!
//! "The worker is gone" and "a reply is awaited" stand under one lock: a call made after the worker's death fails
//! at once instead of waiting for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_app_server_protocol::RpcError;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the app-server refused `{method}`")]
    Refused {
        method: &'static str,
        #[source]
        error: RpcError,
    },
    #[error("the app-server did not answer `{method}` in time")]
    Late { method: &'static str },
    #[error("the app-server answered `{method}` with something else than its schema says: {why}")]
    Shape { method: &'static str, why: String },
    #[error("the worker is gone: {why}")]
    Gone { why: Arc<str> },
}

type Reply = Result<Box<RawValue>, ReplyFault>;

/// What can take the place of a result.
#[derive(Debug)]
pub(crate) enum ReplyFault {
    Refused(RpcError),
    Gone(Arc<str>),
}

/// The calls that wait for a reply.
#[derive(Default)]
pub(crate) struct Replies {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    gone: Option<Arc<str>>,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
}

/// A reply that somebody waits for; dropping it gives the place back.
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) reply: oneshot::Receiver<Reply>,
    replies: Arc<Replies>,
}

impl Replies {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether replies can still come.
    pub(crate) fn are_expected(&self) -> bool {
        self.lock().gone.is_none()
    }

    /// Makes a place for a reply; fails when the worker is gone.
    pub(crate) fn expect(self: &Arc<Self>) -> Result<Waiting, Arc<str>> {
        let mut table = self.lock();
        if let Some(why) = &table.gone {
            return Err(Arc::clone(why));
        }
        table.next += 1;
        let id = table.next;
        let (to, reply) = oneshot::channel();
        table.waiting.insert(id, to);
        Ok(Waiting { id, reply, replies: Arc::clone(self) })
    }

    /// Hands a reply to whoever waits for it; one that nobody waits for any more is dropped.
    pub(crate) fn deliver(&self, id: u64, result: Result<&RawValue, RpcError>) {
        let Some(to) = self.lock().waiting.remove(&id) else {
            tracing::debug!(rpc.id = id, "A reply came for a call that nobody waits for");
            return;
        };
        // The caller may have given up in this moment; then nobody needs it.
        let _unclaimed = to.send(result.map(ToOwned::to_owned).map_err(ReplyFault::Refused));
    }

    /// Fails every waiting call and every later one. Only the first reason counts.
    pub(crate) fn fail_all(&self, why: &str) {
        let mut table = self.lock();
        let why = Arc::clone(table.gone.get_or_insert_with(|| why.into()));
        let waiting = std::mem::take(&mut table.waiting);
        drop(table);
        for (_id, to) in waiting {
            let _unclaimed = to.send(Err(ReplyFault::Gone(Arc::clone(&why))));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.replies.lock().waiting.remove(&self.id);
    }
}
