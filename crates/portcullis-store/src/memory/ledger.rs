//! The ledger in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::civil::Date;
use portcullis_agent::{ModelId, PrincipalId};

use super::Memory;
use crate::{Ledger, LedgerEntry, LedgerQuestion, LedgerSum, MAX_SUMS, StoreError, Tally};

/// The most sums that are kept: some 30 MiB.
const MOST: usize = 100_000;

pub(super) type Sums = BTreeMap<(Date, PrincipalId, ModelId), Tally>;

#[async_trait]
impl Ledger for Memory {
    async fn add(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        entries.iter().try_for_each(LedgerEntry::check)?;
        let mut state = self.state();
        if state.ledger.len() + entries.len() > MOST {
            return Err(StoreError::Full);
        }
        for LedgerEntry { day, principal, model, tally } in entries {
            *state.ledger.entry((*day, principal.clone(), model.clone())).or_default() += *tally;
        }
        Ok(())
    }

    async fn sums(&self, question: &LedgerQuestion) -> Result<Vec<LedgerSum>, StoreError> {
        let LedgerQuestion { from, to, key, model, by } = question;
        let mut sums = BTreeMap::<_, Tally>::new();
        for ((day, principal, of_model), tally) in &self.state().ledger {
            let in_time = from.is_none_or(|from| from <= *day) && to.is_none_or(|to| *day <= to);
            let of_key = key.as_ref().is_none_or(|key| is_of(principal.as_str(), key));
            if in_time && of_key && model.as_ref().is_none_or(|model| model == of_model.as_str()) {
                let day = by.day.then_some(*day);
                let principal = by.principal.then(|| principal.clone());
                *sums.entry((day, principal, by.model.then(|| of_model.clone()))).or_default() += *tally;
            }
        }
        if sums.len() > MAX_SUMS {
            return Err(StoreError::TooManySums);
        }
        let sum = |((day, principal, model), tally)| LedgerSum { day, principal, model, tally };
        Ok(sums.into_iter().map(sum).collect())
    }

    async fn forget(&self, before: Date) -> Result<u64, StoreError> {
        let mut state = self.state();
        let had = state.ledger.len();
        state.ledger.retain(|(day, ..), _| before <= *day);
        Ok((had - state.ledger.len()) as u64)
    }
}

fn is_of(principal: &str, key: &str) -> bool {
    principal.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
