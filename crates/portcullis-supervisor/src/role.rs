//! What a supervised process is for: the port that knows what to start and how to talk to it.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::process::{ChildStdin, ChildStdout};

use crate::Launch;

/// The part of a supervised process that the supervisor does not know.
///
/// Both methods may be dropped at any await, when the supervisor is asked to stop or the time to become ready
/// is over. A panic in one ends the supervisor.
#[async_trait]
pub trait Role: Send + Sync + 'static {
    /// What other code uses while the process is ready.
    type Handle: Clone + Send + Sync + 'static;

    /// A short name that tells this worker from others in logs.
    fn name(&self) -> &str;

    /// Prepares the files that the process needs and describes it; called before every start.
    async fn launch(&self) -> Result<Launch, LaunchError>;

    /// Shakes hands with a process that was just started.
    async fn connect(
        &self,
        stdin: ChildStdin,
        stdout: ChildStdout,
    ) -> Result<Connected<Self::Handle>, ConnectError>;
}

/// A connection that is ready for use.
pub struct Connected<H> {
    /// What other code uses while the process is ready.
    pub handle: H,
    /// Resolves to the reason when the pipes are broken or the protocol is violated.
    ///
    /// It is polled until the process is gone and then dropped, so it may do the connection's work or own its
    /// tasks.
    pub closed: BoxFuture<'static, String>,
}

impl<H> fmt::Debug for Connected<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

/// Why a role could not prepare or describe its process.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LaunchError(Box<dyn Error + Send + Sync>);

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ConnectError(Box<dyn Error + Send + Sync>);

impl LaunchError {
    /// From an error or a sentence; it and its sources are logged and shown to the operator.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl ConnectError {
    /// From an error or a sentence; it and its sources are logged and shown to the operator.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}
