//! Items, events, and pages of them.

use crate::{StoreError, check_id, check_text};

/// An item of a response or a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredItem {
    /// The id inside of `json`, for cursors.
    pub id: String,
    /// The item as it stands on the wire.
    pub json: String,
}

/// One event of a response's stream, kept so that the stream can be resumed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredEvent {
    /// Its number in the stream; at most `i64::MAX`.
    pub sequence: u64,
    /// The event as it stands on the wire.
    pub json: String,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Begin behind the item with this id; `None` is the beginning.
    pub after: Option<String>,
    /// At most so many items.
    pub limit: u32,
    /// From which end.
    pub order: Order,
}

/// From which end a list is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Part of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageOf<T> {
    /// The part, in the order that was asked for.
    pub items: Vec<T>,
    /// Whether more follow in that order.
    pub has_more: bool,
}

impl StoredItem {
    /// Refuses what cannot be stored.
    pub fn check(&self) -> Result<(), StoreError> {
        check_id("the id of an item", &self.id)?;
        check_text("an item", &self.json)
    }

    /// What it counts towards the size of the store.
    pub fn bytes(&self) -> u64 {
        self.json.len() as u64
    }
}

impl StoredEvent {
    /// Refuses what cannot be stored.
    pub fn check(&self) -> Result<(), StoreError> {
        if i64::try_from(self.sequence).is_err() {
            return Err(StoreError::Unstorable { what: "the number of an event" });
        }
        check_text("an event", &self.json)
    }

    /// What it counts towards the size of the store.
    pub fn bytes(&self) -> u64 {
        self.json.len() as u64
    }
}
