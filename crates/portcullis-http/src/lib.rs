//! The HTTP frontend: `/v1` in OpenAI's shape, and health.
//!
//! Knows: routes, keys, statuses, streams. Does not know: which agent answers. The list of routes is in
//! `router.rs`, the walk through one completion in docs/ARCHITECTURE.md.

mod account;
mod app;
mod attic;
mod auth;
mod body;
mod choices;
mod door;
mod error;
mod images;
mod metrics;
mod model_names;
mod once;
mod parked;
mod rates;
mod remote_images;
mod request_id;
mod responses;
mod router;
mod routes;
mod server;
mod sse;
mod tracer;
mod usage;

pub use account::account_as_json;
pub use app::{Alias, Entrance, Gateway, Keep, Settings};
pub use images::{Backend, PictureSettings, Pictures, SizePolicy};
pub use metrics::Metrics;
pub use parked::Parking;
pub use server::{bind, serve};
pub use tracer::{EndedRequest, Tracer};
pub use usage::{Bookkeeper, usage_as_csv, usage_as_json};
