//! What a gateway remembers between requests: the state of `/v1/responses` and `/v1/conversations`, and
//! what was used.
//!
//! [`Responses`], [`Conversations`] and [`Ledger`] are the traits, [`Memory`] keeps everything in this process, and
//! `portcullis-store-sql` keeps it in SQLite or PostgreSQL. All three pass one suite, `contract`.
//!
//! Three rules hold everywhere. Every text is opaque JSON whose shape is the caller's business. What is said belongs to
//! a principal, and to any other principal it is not there: `None` or `false`, the same answer as for an id that was
//! never given out. Ids and times are made by the caller.

mod checks;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod conversations;
mod error;
mod ids;
mod items;
mod ledger;
mod memory;
mod responses;
mod status;

pub use checks::{MAX_CHAIN, MAX_HISTORY_BYTES, MAX_ID_BYTES, check_id, check_text, is_storable_id};
pub use conversations::{Conversations, NewConversation, StoredConversation};
pub use error::StoreError;
pub use ids::{ConversationId, ResponseId};
pub use items::{Order, Page, PageOf, StoredEvent, StoredItem};
pub use ledger::{
    Grouping, Ledger, LedgerEntry, LedgerQuestion, LedgerSum, MAX_SUMS, Tally, UnknownGrouping,
};
pub use memory::Memory;
pub use responses::{NewResponse, Responses, StoredResponse};
pub use status::{Status, UnknownStatus};
