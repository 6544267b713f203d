//! [`portcullis_agent::Agent`] over the real `codex app-server`.
//!
//! Knows: how Codex is started, configured, spoken to and signed in, and what its errors mean. Does not know: HTTP,
//! keys, platforms. Children are started by the supervisor only; this crate never opens a connection itself.

mod account;
mod account_limits;
mod app_server;
mod barriers;
mod binary;
mod catalog;
mod cells;
mod codex;
mod connection;
mod errors;
mod exec;
mod hands;
mod history;
mod home;
mod image_worker;
mod login;
mod outbox;
mod painter;
mod picture_errors;
mod picture_state;
mod pool;
mod provider;
mod read_back;
mod references;
mod relay;
mod replies;
mod requirements;
mod router;
mod running;
mod to_its_end;
mod tools;
mod turn_state;
mod watch;
mod worker;
mod worker_config;

pub use account::{AccountNow, account, account_now, logout};
pub use barriers::{Barriers, BarriersError, Fault, Tried, try_barriers};
pub use binary::{BinaryError, CodexBinary, PINNED_VERSION};
pub use cells::{Cells, Confinement, HandsBounds, Users};
pub use codex::{Codex, Runner, Settings};
pub use hands::HandsSettings;
pub use home::{HomeError, give};
pub use login::{LoginError, LoginPrompt, login};
pub use painter::{MOST_REFERENCES, Painter, PainterSettings};
pub use pool::{Lifespan, WorkersSettings};
pub use provider::{CustomProvider, Provider};
pub use read_back::{Effective, ReadBack, ReadBackError};
