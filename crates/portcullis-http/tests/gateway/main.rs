//! The gateway as its clients see it: the real pinned Codex behind it, a scripted model behind that.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod access;
mod account;
mod chat;
mod clients;
mod codex_client;
mod exec;
mod fake;
mod faults;
mod grants;
mod half_closed;
mod hostile;
mod image_clients;
mod images;
mod once;
mod operator;
mod overload;
mod provider;
mod reload;
mod responses;
mod shape;
mod support;
mod tools;
mod usage;
