//! What the memory holds, and how it makes room.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::ledger::Sums;
use crate::{
    ConversationId, Order, Page, PageOf, ResponseId, StoreError, StoredConversation, StoredItem,
    StoredResponse,
};

#[derive(Debug)]
pub(super) struct State {
    max_bytes: u64,
    /// Counts responses, so that those with the same time keep their order.
    next_serial: u64,
    responses: HashMap<ResponseId, Held>,
    response_bytes: u64,
    pub(super) conversations: HashMap<ConversationId, HeldConversation>,
    /// Kept by whoever changes `conversations`.
    pub(super) conversation_bytes: u64,
    pub(super) ledger: Sums,
}

/// A response with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) serial: u64,
    pub(super) response: StoredResponse,
    pub(super) input: Vec<StoredItem>,
    pub(super) output: Vec<StoredItem>,
    pub(super) events: BTreeMap<u64, String>,
    /// The size of all of these texts.
    bytes: u64,
}

/// A conversation with its items.
#[derive(Debug)]
pub(super) struct HeldConversation {
    pub(super) conversation: StoredConversation,
    pub(super) items: Vec<StoredItem>,
}

impl State {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            next_serial: 0,
            responses: HashMap::new(),
            response_bytes: 0,
            conversations: HashMap::new(),
            conversation_bytes: 0,
            ledger: Sums::new(),
        }
    }

    pub(super) fn responses(&self) -> impl Iterator<Item = &Held> {
        self.responses.values()
    }

    pub(super) fn response(&self, id: &ResponseId) -> Option<&Held> {
        self.responses.get(id)
    }

    pub(super) fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    pub(super) fn insert(&mut self, response: StoredResponse, input: Vec<StoredItem>) {
        self.next_serial += 1;
        let bytes = response.body.len() as u64 + bytes_of(&input);
        self.response_bytes += bytes;
        let id = response.id.clone();
        let (output, events) = (Vec::new(), BTreeMap::new());
        let held = Held { serial: self.next_serial, response, input, output, events, bytes };
        self.responses.insert(id, held);
    }

    pub(super) fn remove(&mut self, id: &ResponseId) -> bool {
        let removed = self.responses.remove(id);
        self.response_bytes -= removed.as_ref().map_or(0, |held| held.bytes);
        removed.is_some()
    }

    /// Changes a response, which loses `less` bytes of text and gets `more`, if there is room.
    pub(super) fn change(
        &mut self,
        id: &ResponseId,
        (less, more): (u64, u64),
        change: impl FnOnce(&mut Held),
    ) -> Result<bool, StoreError> {
        self.make_room(more.saturating_sub(less), Some(id))?;
        let Some(held) = self.responses.get_mut(id) else { return Ok(false) };
        change(held);
        held.bytes = held.bytes - less + more;
        self.response_bytes = self.response_bytes - less + more;
        Ok(true)
    }

    /// Makes room for `more` bytes without forgetting `keep`.
    pub(super) fn make_room(&mut self, more: u64, keep: Option<&ResponseId>) -> Result<(), StoreError> {
        let fixed = self.conversation_bytes.saturating_add(more);
        let Some(left) = self.max_bytes.checked_sub(fixed) else { return Err(StoreError::Full) };
        if self.response_bytes <= left {
            return Ok(());
        }
        self.shrink(left, keep);
        if self.response_bytes <= left { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Forgets the oldest finished responses but `keep` until the others fit.
    pub(super) fn shrink(&mut self, max_bytes: u64, keep: Option<&ResponseId>) -> u64 {
        let mut finished: Vec<(Timestamp, u64, ResponseId)> = self
            .responses
            .values()
            .filter(|held| Some(&held.response.id) != keep)
            .filter_map(|held| Some((held.response.finished?, held.serial, held.response.id.clone())))
            .collect();
        finished.sort_unstable();
        let mut removed = 0;
        for (_, _, id) in finished {
            if self.response_bytes <= max_bytes {
                break;
            }
            removed += u64::from(self.remove(&id));
        }
        removed
    }
}

impl HeldConversation {
    pub(super) fn bytes(&self) -> u64 {
        self.conversation.metadata.len() as u64 + bytes_of(&self.items)
    }
}

pub(super) fn bytes_of(items: &[StoredItem]) -> u64 {
    items.iter().map(StoredItem::bytes).sum()
}

pub(super) fn page_of(items: &[StoredItem], page: &Page) -> Result<PageOf<StoredItem>, StoreError> {
    let start = match &page.after {
        None => None,
        Some(id) => Some(items.iter().position(|item| item.id == *id).ok_or(StoreError::UnknownCursor)?),
    };
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let (items, rest): (Vec<StoredItem>, usize) = match page.order {
        Order::Ascending => {
            let rest = &items[start.map_or(0, |at| at + 1)..];
            (rest.iter().take(limit).cloned().collect(), rest.len())
        }
        Order::Descending => {
            let rest = &items[..start.unwrap_or(items.len())];
            (rest.iter().rev().take(limit).cloned().collect(), rest.len())
        }
    };
    let has_more = rest > items.len();
    Ok(PageOf { items, has_more })
}
