//! Measures a gateway, and breaks it on purpose.
//!
//! The gateway is the real program in a process of its own, so that its time, memory and descriptors are its own. What
//! it is measured against runs in the same interleaved rounds: an app-server driven directly, a minimal proxy, and
//! LiteLLM's proxy where it is installed. The worker is the real Codex against the scripted model, or a scripted
//! app-server that is never the bottleneck.
//!
//! - [`wish`]: how a scripted answer is to be; it travels in the prompt.
//! - [`fake`]: the scripted app-server. `upstream`, `passthrough`: a scripted chat server, and a plain proxy before it.
//! - `gateway`, `direct`, `http`, `target`: who is asked, and how. `load`: how often. `proc`: what it costs.
//! - `faults`: what must hold while things break.
//! - `measure`: one file for each table. `report`: tables as Markdown and JSON.
#![expect(clippy::cast_precision_loss, reason = "figures for people: nobody counts to 2^53")]

mod direct;
pub mod fake;
mod faults;
mod gateway;
mod http;
mod load;
mod measure;
mod passthrough;
mod proc;
mod report;
mod target;
mod upstream;
pub mod wish;

pub use faults::{FaultOptions, Found, break_one_by_one, break_under_load};
pub use measure::{Options, beside, measure};
pub use passthrough::passthrough;
pub use report::Report;
pub use upstream::upstream;
