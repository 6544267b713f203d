//! OpenAI's wire and the pure translation to and from turns.
//!
//! Knows: the shapes that clients send and read. Does not know: sockets, statuses, keys, agents. Everything here
//! takes values and returns values; no I/O, no clock.

pub mod chat;
mod error_body;
mod invalid;
mod models;
mod read;
pub mod responses;
mod tokens;

pub use error_body::error_body;
pub use invalid::InvalidRequest;
pub use models::{model_list, model_object};
