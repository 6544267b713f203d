//! What can be stored, the same for every implementation.
//!
//! PostgreSQL has no NUL in its texts and no index entry beyond 2,704 bytes. Both are refused here, so that a hostile
//! id is a refused request with every implementation and a failing database with none.

use crate::StoreError;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The most responses that [`history`](crate::Responses::history) follows.
pub const MAX_CHAIN: usize = 1_000;

/// The most text that [`history`](crate::Responses::history) and [`all_items`](crate::Conversations::all_items) read
/// into memory.
pub const MAX_HISTORY_BYTES: usize = 64 << 20;

/// Whether anything can have this id.
pub fn is_storable_id(id: &str) -> bool {
    id.len() <= MAX_ID_BYTES && !id.contains('\0')
}

/// Refuses an id that cannot be stored; `what` names it in the error.
pub fn check_id(what: &'static str, id: &str) -> Result<(), StoreError> {
    if is_storable_id(id) { Ok(()) } else { Err(StoreError::Unstorable { what }) }
}

/// Refuses a text that cannot be stored. JSON always can be: it escapes control characters.
pub fn check_text(what: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') { Err(StoreError::Unstorable { what }) } else { Ok(()) }
}
