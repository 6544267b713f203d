//! What a key may do.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::Timestamp;
use portcullis_agent::Profile;

/// What a key may do. The default is what every key could do before keys had grants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The widest profile that its turns may have, and the one that they have unless they ask for less.
    pub profile: Profile,
    /// The models that it may use, by their own names or by aliases; empty: all.
    pub models: BTreeSet<String>,
    /// Which parts of the gateway it opens.
    pub scopes: BTreeSet<Scope>,
    /// How much it may use.
    pub limits: KeyLimits,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
}

/// How much a key may use; what is absent is bounded by the gateway alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyLimits {
    /// Turns that run at once.
    pub turns: Option<NonZeroU32>,
    /// Requests in a minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens in a minute, as the model's provider counts them: input and output together.
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// A part of the gateway that a key opens.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Models, completions, responses, conversations.
    Inference,
    /// Making and reading pictures.
    Images,
    /// Reading what is counted.
    Metrics,
    /// Seeing and deciding what the operator sees and decides. Never by default.
    Operator,
}

/// A word that names no scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a scope is one of `inference`, `images`, `metrics`, `operator`")]
pub struct UnknownScope;

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inference, Self::Images, Self::Metrics, Self::Operator];
    /// Those of a key that was made without naming any.
    pub const DEFAULT: [Self; 3] = [Self::Inference, Self::Images, Self::Metrics];

    /// The scope as a short permanent word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Images => "images",
            Self::Metrics => "metrics",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.word() == word).ok_or(UnknownScope)
    }
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            profile: Profile::Chat,
            models: BTreeSet::new(),
            scopes: Scope::DEFAULT.into(),
            limits: KeyLimits::default(),
            expires: None,
        }
    }
}

impl Grant {
    /// Whether it may use this model, given every name that leads to it.
    pub fn allows_model(&self, names: &[&str]) -> bool {
        self.models.is_empty() || names.iter().any(|name| self.models.contains(*name))
    }

    /// Whether it is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
