//! One answer, written by one and read by any number, each from its beginning.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

/// The largest answer that is kept, in bytes.
const LARGEST: usize = 32 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Recording {
    told: Mutex<Told>,
    /// Says that there is more.
    more: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Told {
    head: Option<Head>,
    pieces: Vec<Bytes>,
    bytes: usize,
    over: Option<Over>,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    /// It is whole, and of this size.
    Whole {
        /// Its status.
        status: StatusCode,
        /// Its size.
        bytes: usize,
    },
    /// Whoever wrote it broke down.
    Broken,
}

impl Recording {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { told: Mutex::default(), more: watch::Sender::new(0) })
    }

    /// The head, once it is there; `None` if there never will be one. Cancel safe.
    pub(crate) async fn head(&self) -> Option<Head> {
        let mut more = self.more.subscribe();
        loop {
            more.borrow_and_update();
            {
                let told = self.lock();
                if told.head.is_some() || told.over.is_some() {
                    return told.head.clone();
                }
            }
            more.changed().await.ok()?;
        }
    }

    /// The piece of this number, once it is there; `None` after the last. Cancel safe.
    pub(crate) async fn piece(&self, number: usize) -> Option<io::Result<Bytes>> {
        let mut more = self.more.subscribe();
        loop {
            more.borrow_and_update();
            {
                let told = self.lock();
                if let Some(piece) = told.pieces.get(number) {
                    return Some(Ok(piece.clone()));
                }
                match told.over {
                    Some(Over::Whole { .. }) => return None,
                    // Told once: after an error nobody asks on.
                    Some(Over::Broken) => return Some(Err(io::Error::other("the answer broke off"))),
                    None => {}
                }
            }
            more.changed().await.ok()?;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        let changed = change(&mut self.lock());
        self.more.send_modify(|version| *version += 1);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who writes an answer. Dropped before its end, the answer is broken.
#[derive(Debug)]
pub(crate) struct Ending(Arc<Recording>);

impl Ending {
    pub(crate) fn new(recording: Arc<Recording>) -> Self {
        Self(recording)
    }

    pub(crate) fn head(&self, head: Parts) {
        let Parts { status, headers, .. } = head;
        self.0.change(|told| told.head = Some(Head { status, headers }));
    }

    /// Writes a piece, and says whether the answer is still small enough to be kept.
    pub(crate) fn piece(&self, piece: Bytes) -> bool {
        self.0.change(|told| {
            told.bytes += piece.len();
            told.pieces.push(piece);
            told.bytes <= LARGEST
        })
    }

    pub(crate) fn end(self) -> Over {
        self.0.change(|told| {
            let head = told.head.as_ref();
            let over =
                head.map_or(Over::Broken, |head| Over::Whole { status: head.status, bytes: told.bytes });
            told.over = Some(over);
            over
        })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.change(|told| *told.over.get_or_insert(Over::Broken));
    }
}
