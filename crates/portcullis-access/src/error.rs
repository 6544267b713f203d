//! What can go wrong with the key file. No message carries key text or a hash.

use camino::Utf8PathBuf;

/// Why keys could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, too long, or has characters that would be awkward in logs and commands.
    #[error("a key name has 1 to 64 letters, digits, spaces, `.`, `_` or `-`, and no space at either end")]
    BadName,
    /// Names are how people revoke keys, so two keys never share one.
    #[error("there is already a key named `{name}`\n(hint: choose another name, or revoke that key first)")]
    NameTaken {
        /// The name that was asked for.
        name: String,
    },
    /// Nothing to revoke or rotate.
    #[error("there is no key with the name or id `{wanted}`")]
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// The text is one key's id and another key's name.
    #[error(
        "`{wanted}` is the id of one key and the name of another\n(hint: use the id of the one you mean)"
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
    },
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
    /// The file was written by another version of Portcullis.
    #[error(
        "`{path}` has version {found}, this program reads versions up to {supported}\n(hint: run the Portcullis that wrote it)"
    )]
    Version {
        /// The key file.
        path: Utf8PathBuf,
        /// The version it states.
        found: u64,
        /// The latest version we know.
        supported: u64,
    },
    /// The file is not what we write. The position is kept, the text is not: it may hold anything.
    #[error("`{path}` is not a key file: {what}")]
    Broken {
        /// The key file.
        path: Utf8PathBuf,
        /// What is wrong, without file content.
        what: String,
    },
    /// The operating system gave no random bytes.
    #[error("failed to get random bytes from the operating system")]
    Random {
        /// What the system said.
        source: getrandom::Error,
    },
}

impl KeyError {
    /// For `map_err`: names the action and the path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<Utf8PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
