//! Why a cell could not be entered. All of it is for the operator: nothing runs in a cell that is not whole.

use std::io;

use camino::Utf8PathBuf;

/// Why a cell could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The argument is not what [`Cell::launch`](crate::Cell::launch) writes.
    #[error("this is not a cell (hint: `portcullis serve` calls this by itself)")]
    NotACell(#[from] serde_json::Error),
    /// Who asked for it died meanwhile.
    #[error("the process that asked for this cell is gone")]
    ParentGone,
    /// There is nobody to run as.
    #[error("a cell never runs as root (hint: name a user id for it)")]
    Root,
    /// Only root can run something as somebody else.
    #[error("only root can start a cell as another user, and this is uid {0}")]
    NotRoot(u32),
    /// Namespaces are asked for, and there is nothing to build them with.
    #[error("the cell needs bubblewrap for its namespaces, and none was named")]
    NoBubblewrap,
    /// A file of the machine cannot be used.
    #[error("`{path}` cannot be used for the cell")]
    Path {
        /// The file.
        path: Utf8PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Files keep their places at this level.
    #[error("without namespaces `{source_path}` cannot be shown as `{target}`")]
    Moved {
        /// On the machine.
        source_path: Utf8PathBuf,
        /// In the cell.
        target: Utf8PathBuf,
    },
    /// The kernel is too old for this level.
    #[error("Landlock ABI {needed} is needed for this cell, and this kernel has {found}")]
    OldLandlock {
        /// The least that will do.
        needed: u32,
        /// What there is; 0 is none.
        found: u32,
    },
    /// Landlock's rules were refused.
    #[error("Landlock refused the rules of this cell")]
    Landlock(#[from] ::landlock::RulesetError),
    /// The list of refused calls was refused.
    #[error("the kernel refused the list of system calls")]
    Seccomp(#[from] seccompiler::Error),
    /// Another step failed.
    #[error("the kernel did not let the launcher {step}")]
    Refused {
        /// The step, as "… let the launcher ⟨step⟩".
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl EnterError {
    /// For `map_err`.
    pub(crate) fn refused<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Refused { step, source: source.into() }
    }
}
