//! Responses that run: each on a task of its own, so that one can go on without a connection, be read again from any
//! event on, and be cancelled. A response that is not in the background is cancelled when its client leaves.

mod live;
mod prepare;
mod run;

pub(crate) use live::{CancelOnDrop, Live, LiveResponses, Reader, frame};
pub(crate) use prepare::{Prepared, prepare};
pub(crate) use run::{Job, spawn};
