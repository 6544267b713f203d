//! Where a response stands.

use std::fmt;
use std::str::FromStr;

/// Where a response stands, in the words of the OpenAI API.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// Accepted, not begun.
    Queued,
    /// The model is at work.
    InProgress,
    /// Ended as it should.
    Completed,
    /// Ended by an error.
    Failed,
    /// Ended by a limit.
    Incomplete,
    /// Ended by its owner.
    Cancelled,
}

/// A word that names no [`Status`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{word}` is not the status of a response")]
pub struct UnknownStatus {
    /// The word.
    pub word: String,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::InProgress, Self::Completed, Self::Failed, Self::Incomplete, Self::Cancelled];

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will come.
    pub const fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownStatus { word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_from_its_word() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("Completed".parse::<Status>().is_err());
    }
}
