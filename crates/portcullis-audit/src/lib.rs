//! The audit log: one line per fact that matters to security, appended, never changed, each chained to the one
//! before by its hash.
//!
//! Knows: facts, lines, files, the chain. Does not know: HTTP, Codex, who decides what. No line holds a prompt, an
//! answer or a secret: there is no field for the first two, and text that a model wrote goes through [`Text::masked`].
//!
//! A line is a JSON object without white space between its parts:
//!
//! ```text
//! {"seq":7,"at":"…","who":"…","request":"…","thread":"…","turn":"…","event":"…",…,"prev":"<64 hex>","hash":"<64 hex>"}
//! ```
//!
//! `hash` is the SHA-256 of the line's bytes before `,"hash":`; `prev` is the `hash` of the line before, or 64 zeros in the
//! very first line. `seq` counts from 1. So one line is checked with `sed 's/,"hash":.*//' | tr -d '\n' | sha256sum`.

mod audit;
mod audited;
mod error;
mod fact;
mod files;
mod hash;
mod head;
mod journal;
mod line;
mod mask;
mod read;
mod refusals;
mod tail;
mod text;
mod verify;
mod witness;
mod writer;

pub use audit::{Audit, State};
pub use audited::Audited;
pub use error::{AuditError, Unwritten};
pub use fact::{ChangedPath, Entry, Fact, GATEWAY, OPERATOR};
pub use files::Limits;
pub use hash::Hash;
pub use journal::Journal;
pub use read::{Line, read, read_last};
pub use refusals::{Refusal, Why};
pub use text::Text;
pub use verify::{Broken, Checked, Whole, verify, verify_file};
