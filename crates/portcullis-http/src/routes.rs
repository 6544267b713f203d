//! One file per resource.

pub(crate) mod approvals;
pub(crate) mod chat;
pub(crate) mod conversations;
pub(crate) mod health;
pub(crate) mod models;
pub(crate) mod responses;
pub(crate) mod usage;
