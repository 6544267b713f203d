//! Refused requests, counted: whoever guesses keys a thousand times a second must not fill the disk, nor push older
//! facts out of the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::fact::{Entry, Fact};
use crate::text::Text;

/// So many kinds of refusals are told apart between two lines of each; the others are counted together.
const KINDS: usize = 32;

/// Who, where that is not known.
const UNKNOWN: &str = "unknown";

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No key, or not a valid one.
    Authentication,
    /// The key may not do this.
    Scope,
    /// The key may not use this profile.
    Profile,
    /// The key may not use this model.
    Model,
    /// Too many kinds of refusals at once to tell them apart.
    Various,
}

/// A refused request.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Refusal {
    who: Text,
    why: Why,
    wanted: Option<Text>,
}

impl Refusal {
    /// Nobody knows who that was.
    pub fn unauthenticated() -> Self {
        Self { who: Text::new(UNKNOWN), why: Why::Authentication, wanted: None }
    }

    /// A known principal wanted what it may not have.
    pub fn of(who: &portcullis_agent::PrincipalId, why: Why, wanted: &str) -> Self {
        Self { who: Text::new(who.as_str()), why, wanted: Some(Text::masked(wanted)) }
    }
}

/// Counts of refusals since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Refusal, u64>>);

impl Refusals {
    /// Counts one, and says whether it is the first since the last taking.
    pub(crate) fn count(&self, refusal: Refusal) -> bool {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kinds.is_empty();
        let refusal = if kinds.len() < KINDS || kinds.contains_key(&refusal) {
            refusal
        } else {
            Refusal { who: Text::new(UNKNOWN), why: Why::Various, wanted: None }
        };
        *kinds.entry(refusal).or_default() += 1;
        first
    }

    /// One entry for each kind, in order.
    pub(crate) fn take(&self) -> Vec<Entry> {
        let kinds = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let entry = |(Refusal { who, why, wanted }, count): (Refusal, u64)| {
            Entry::new(who.as_str(), Fact::Refused { why, wanted, count })
        };
        kinds.into_iter().map(entry).collect()
    }
}
