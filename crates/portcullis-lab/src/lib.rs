//! A scripted model server: the built-in demo model, and what every test runs the real Codex against.
//!
//! [`ModelServer`] speaks the part of OpenAI's Responses API that Codex uses, on loopback. A test scripts
//! [`Answer`]s and then looks at what was [`Received`]; `make demo` lets [`demo::answer`] do the talking.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use portcullis_lab::{Answer, ModelServer};
//!
//! let server = ModelServer::start().await?;
//! server.enqueue(Answer::text(["Hel", "lo"]));
//! // … let a client POST to `{server.base_url()}/responses` …
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod demo;
pub mod draw;

mod answer;
mod journal;
mod lab;
mod login;
mod playback;
mod received;
mod script;
mod server;
mod service;

pub use answer::{Answer, Step, ToolCall, Usage};
pub use lab::{Closed, HowClosed, WaitError};
pub use login::nobodys_login;
pub use received::Received;
pub use server::ModelServer;
