//! [`portcullis_agent::Agent`] over the real `codex app-server`.
//!
//! Knows: how Codex is started, configured, spoken to and signed in, and what its errors mean. Does not know: HTTP,
//! keys, platforms. Children are started by the supervisor only; this crate never opens a connection itself.

mod app_server;
mod binary;
mod catalog;
mod connection;
mod errors;
mod history;
mod home;
mod login;
mod provider;
mod replies;
mod router;
mod running;
mod tools;
mod turn_state;
mod worker;
mod worker_config;

pub use app_server::{AppServer, Settings};
pub use binary::{BinaryError, CodexBinary, PINNED_VERSION};
pub use home::HomeError;
pub use login::{LoginError, LoginPrompt, login};
pub use provider::{CustomProvider, Provider};
