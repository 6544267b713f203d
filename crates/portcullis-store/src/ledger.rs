//! What was used: per day, principal and model.

use std::ops::AddAssign;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::civil::Date;
use portcullis_agent::{ModelId, PrincipalId};

use crate::{StoreError, check_id};

/// The most sums that one question is answered with.
pub const MAX_SUMS: usize = 10_000;

/// Sums of what was used, per day, principal and model.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Adds to the sums, all or nothing. Not idempotent: where a database is lost in the middle of a commit, nobody
    /// knows whether it counted.
    async fn add(&self, entries: &[LedgerEntry]) -> Result<(), StoreError>;

    /// The sums that fit a question, by day, principal and model. More than [`MAX_SUMS`] are
    /// [`TooManySums`](StoreError::TooManySums).
    async fn sums(&self, question: &LedgerQuestion) -> Result<Vec<LedgerSum>, StoreError>;

    /// Removes the days before this one, and says how many sums that were.
    async fn forget(&self, before: Date) -> Result<u64, StoreError>;
}

/// What was used in one day by one principal of one model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LedgerEntry {
    /// The day, in UTC.
    pub day: Date,
    /// Who used it.
    pub principal: PrincipalId,
    /// The model that answered.
    pub model: ModelId,
    /// How much.
    pub tally: Tally,
}

/// How much was used. Everything is as the worker reported it; nothing is an estimate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Turns that are over.
    pub turns: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them for which no tokens were reported. They cost something that nobody knows.
    pub unreported: u64,
    /// Tokens read, the cached ones included.
    pub input: u64,
    /// The part of `input` that was cached.
    pub cached_input: u64,
    /// Tokens written, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
    /// Pictures that were made.
    pub pictures: u64,
}

/// Which sums are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LedgerQuestion {
    /// From this day on.
    pub from: Option<Date>,
    /// Up to this day, it included.
    pub to: Option<Date>,
    /// Of this principal only, or of the key with this id, which is what stands before the colon in a principal.
    pub key: Option<String>,
    /// Of this model only.
    pub model: Option<String>,
    /// What stays apart.
    pub by: Grouping,
}

/// What stays apart in a sum.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Grouping {
    /// The days.
    pub day: bool,
    /// The principals.
    pub principal: bool,
    /// The models.
    pub model: bool,
}

/// A word that names nothing that could stay apart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sums are grouped by `day`, `key` and `model`, with commas between them")]
pub struct UnknownGrouping;

impl FromStr for Grouping {
    type Err = UnknownGrouping;

    /// Words with commas between them; none at all is one sum.
    fn from_str(text: &str) -> Result<Self, UnknownGrouping> {
        let mut by = Self::default();
        for word in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match word {
                "day" => by.day = true,
                "key" => by.principal = true,
                "model" => by.model = true,
                _ => return Err(UnknownGrouping),
            }
        }
        Ok(by)
    }
}

/// A sum. What did not stay apart is absent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LedgerSum {
    /// The day, in UTC.
    pub day: Option<Date>,
    /// Who used it.
    pub principal: Option<PrincipalId>,
    /// The model that answered.
    pub model: Option<ModelId>,
    /// How much.
    pub tally: Tally,
}

impl LedgerEntry {
    /// Refuses what cannot be stored.
    pub fn check(&self) -> Result<(), StoreError> {
        check_id("the principal", self.principal.as_str())?;
        check_id("the model", self.model.as_str())
    }
}

impl LedgerSum {
    /// The order in which sums are listed.
    pub fn order(&self) -> impl Ord + use<> {
        (self.day, self.principal.clone(), self.model.clone())
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.turns += other.turns;
        self.failed += other.failed;
        self.unreported += other.unreported;
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.pictures += other.pictures;
    }
}
