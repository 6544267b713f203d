//! What can go wrong, divided by what a caller can do about it.

use std::error::Error;

use crate::ResponseId;

/// Why something was not stored or not read. "It is not there" is `None` or `false` instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer; trying again later may help.
    #[error("the store is not available")]
    Unavailable {
        /// What the database or its driver said, for the log only.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No room is left; reading still works. [`shrink`](crate::Responses::shrink) makes room up to a limit that was
    /// set. On a disk that is full to the last byte it fails like every write, for SQLite writes before it removes:
    /// then the operator has to free some 10 MiB first.
    #[error("the store is full")]
    Full,
    /// The database holds what no version of this program wrote; only the operator can help.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// The id has been given out before, perhaps to another principal.
    #[error("the id `{id}` is taken")]
    Taken {
        /// The id.
        id: String,
    },
    /// What was to be stored cannot be: see [`check_id`](crate::check_id) and [`check_text`](crate::check_text).
    #[error("{what} cannot be stored")]
    Unstorable {
        /// Which part of it.
        what: &'static str,
    },
    /// The page was to begin after an item that is not in the list.
    #[error("the list has no item with the id that the page should begin after")]
    UnknownCursor,
    /// The chain of responses, or the items of a conversation, are more than is read at once.
    #[error("the history is longer than {}", limits())]
    TooLong,
    /// The question asks for more sums than are read at once.
    #[error("the answer has more than {} sums", crate::MAX_SUMS)]
    TooManySums,
    /// An earlier response of the chain has been deleted or has expired.
    #[error("the earlier response `{id}` is gone")]
    BrokenChain {
        /// The response that is missing.
        id: ResponseId,
    },
}

fn limits() -> String {
    format!("{} responses or {} MiB", crate::MAX_CHAIN, crate::MAX_HISTORY_BYTES >> 20)
}
