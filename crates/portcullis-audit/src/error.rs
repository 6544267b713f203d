//! Why a fact could not be written or the log could not be read.

use camino::{Utf8Path, Utf8PathBuf};

/// What went wrong with the audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file operation failed.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the log.
    #[error("`{path}` is held by another process for too long")]
    Held {
        /// The lock.
        path: Utf8PathBuf,
    },
    /// A line would be longer than any may be.
    #[error("a line of the audit log would have {bytes} bytes")]
    TooLong {
        /// How long.
        bytes: usize,
    },
}

impl AuditError {
    /// For `map_err`: names the action and the path.
    pub(crate) fn io(action: &'static str, path: &Utf8Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A fact is not in the log. Why is told once in the program's log and by [`crate::Audit::state`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the audit log can not be written")]
pub struct Unwritten;
