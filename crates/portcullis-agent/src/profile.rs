//! What a turn may touch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a turn may touch. Ordered: a later one may touch more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing: the model has the caller's own tools and no others.
    #[default]
    Chat,
    /// A workspace that it can read, and commands in a cell.
    Read,
    /// A workspace of its own that it can change, and commands in a cell.
    Work,
}

/// A word that names no profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a profile is one of `chat`, `read`, `work`")]
pub struct UnknownProfile;

impl Profile {
    /// All of them, narrowest first.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Read, Self::Work];

    /// The profile as a short permanent word, for configuration, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Read => "read",
            Self::Work => "work",
        }
    }

    /// Whether turns have hands: commands and files in a cell.
    pub fn has_hands(self) -> bool {
        self != Self::Chat
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(word: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.word() == word).ok_or(UnknownProfile)
    }
}
