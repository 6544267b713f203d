//! Where a value stands.

use std::fmt::{Display, Formatter, Result};

use camino::Utf8PathBuf;

/// Where a value came from. Ordered from the weakest layer to the strongest.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Absolute.
        path: Utf8PathBuf,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Env {
        /// Its whole name.
        name: String,
    },
    /// A command-line flag.
    Flag {
        /// As the user wrote it, such as `--bind`.
        name: String,
    },
}

/// Where a problem is; as exact as can be said.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Place {
    /// In a default, which only an unusual environment can break.
    Default,
    /// The file as a whole: it is missing or unreadable.
    WholeFile {
        /// Absolute.
        path: Utf8PathBuf,
    },
    /// A position in the file.
    File {
        /// Absolute.
        path: Utf8PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// An environment variable.
    Env {
        /// Its whole name.
        name: String,
    },
    /// A command-line flag.
    Flag {
        /// As the user wrote it.
        name: String,
    },
}

impl Place {
    /// The same with what an operator wants to know of a good value.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Default => Origin::Default,
            Self::WholeFile { path } => Origin::File { path: path.clone(), line: 1 },
            Self::File { path, line, .. } => Origin::File { path: path.clone(), line: *line },
            Self::Env { name } => Origin::Env { name: name.clone() },
            Self::Flag { name } => Origin::Flag { name: name.clone() },
        }
    }

    /// A number that is larger for a stronger layer.
    pub(super) fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::WholeFile { .. } | Self::File { .. } => 1,
            Self::Env { .. } => 2,
            Self::Flag { .. } => 3,
        }
    }

    /// A key as someone would write it at this place.
    pub(super) fn spell(&self, dotted: &str) -> String {
        match self {
            Self::Env { .. } => {
                format!("{}{}", super::layers::ENV_PREFIX, dotted.replace('.', "__").to_uppercase())
            }
            _ => dotted.to_owned(),
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::WholeFile { path } => write!(f, "{path}"),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Default | Self::Env { .. } | Self::Flag { .. } => self.origin().fmt(f),
        }
    }
}
