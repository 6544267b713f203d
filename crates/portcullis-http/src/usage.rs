//! What was used, per day, key and model: counted when a turn ends, written down in the background, read by
//! `GET /v1/usage`.
//!
//! A turn that ends adds to sums in memory and never waits for the store. One task writes them down every second. A
//! process that is killed loses the last second; a store that fails is tried again, and what was counted meanwhile is
//! kept, as long as it is about at most [`MOST_PENDING`] days, keys and models together.

mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portcullis_agent::{EndedTurn, ModelId, PrincipalId, TurnCounter, Usage};
use portcullis_store::{Ledger, LedgerEntry, LedgerQuestion, LedgerSum, StoreError, Tally};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

pub use table::{usage_as_csv, usage_as_json};

/// How often what was counted is written down.
const EVERY: Duration = Duration::from_secs(1);
/// How many sums wait for a store that fails.
const MOST_PENDING: usize = 10_000;

type Sums = HashMap<(Date, PrincipalId, ModelId), Tally>;

/// Counts turns, and keeps the ledger.
pub struct Bookkeeper {
    ledger: Arc<dyn Ledger>,
    metrics: Arc<Metrics>,
    /// Counted, and not written down yet.
    pending: Mutex<Sums>,
    /// One write at a time.
    writing: tokio::sync::Mutex<()>,
}

impl Bookkeeper {
    /// Counts into this ledger; what is lost is told to the metrics.
    pub fn new(ledger: Arc<dyn Ledger>, metrics: Arc<Metrics>) -> Self {
        Self { ledger, metrics, pending: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Writes down what was counted so far. Whoever lets go of it in the middle loses that.
    pub async fn write(&self) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let taken = std::mem::take(&mut *self.pending());
        if taken.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = taken
            .iter()
            .map(|((day, principal, model), tally)| LedgerEntry {
                day: *day,
                principal: principal.clone(),
                model: model.clone(),
                tally: *tally,
            })
            .collect();
        let written = self.ledger.add(&entries).await;
        if written.is_err() {
            for entry in entries {
                self.count(entry);
            }
        }
        written
    }

    /// Writes down the last of it, and says what is lost where that fails.
    pub async fn close(&self) {
        if let Err(error) = self.write().await {
            let turns: u64 = self.pending().values().map(|tally| tally.turns).sum();
            tracing::error!(error = %error, turns, "The usage of the last turns could not be written down");
        }
    }

    /// Writes every second until the gateway stops. Never let go of it in the middle.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            match self.write().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(error = %error, "Usage can not be written down; it is tried again every second");
                    }
                }
            }
        }
    }

    /// The sums that fit a question, with every turn that ended before it.
    pub(crate) async fn sums(&self, question: &LedgerQuestion) -> Result<Vec<LedgerSum>, StoreError> {
        self.write().await?;
        self.ledger.sums(question).await
    }

    /// Removes the days before this one.
    pub(crate) async fn forget(&self, before: Date) -> Result<u64, StoreError> {
        self.ledger.forget(before).await
    }

    fn count(&self, entry: LedgerEntry) {
        let mut pending = self.pending();
        let full = pending.len() >= MOST_PENDING;
        let LedgerEntry { day, principal, model, tally } = entry;
        match pending.entry((day, principal, model)) {
            Entry::Occupied(mut known) => *known.get_mut() += tally,
            Entry::Vacant(_) if full => self.metrics.usage_lost(tally.turns),
            Entry::Vacant(new) => drop(new.insert(tally)),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Sums> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TurnCounter for Bookkeeper {
    fn ended(&self, turn: &EndedTurn) {
        let entry = LedgerEntry {
            day: today(),
            principal: turn.principal.clone(),
            model: turn.model.clone(),
            tally: tally(turn),
        };
        // One that can not be written would hold up all others.
        if entry.check().is_ok() {
            self.count(entry);
        } else {
            self.metrics.usage_lost(1);
        }
    }
}

impl fmt::Debug for Bookkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bookkeeper").finish_non_exhaustive()
    }
}

/// The day in UTC.
pub(crate) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn tally(turn: &EndedTurn) -> Tally {
    Tally {
        turns: 1,
        failed: u64::from(turn.outcome == "failed"),
        // A step that cost nothing is one whose cost was not told.
        unreported: u64::from(turn.usage == Usage::default()),
        input: turn.usage.input,
        cached_input: turn.usage.cached_input,
        output: turn.usage.output,
        reasoning: turn.usage.reasoning,
        pictures: turn.pictures,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use portcullis_agent::Profile;
    use portcullis_store::Memory;

    use super::*;

    /// Fails until it is told not to.
    struct Flaky {
        works: Mutex<bool>,
        behind: Memory,
    }

    #[async_trait]
    impl Ledger for Flaky {
        async fn add(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
            if *self.works.lock().unwrap() { self.behind.add(entries).await } else { Err(StoreError::Full) }
        }

        async fn sums(&self, question: &LedgerQuestion) -> Result<Vec<LedgerSum>, StoreError> {
            self.behind.sums(question).await
        }

        async fn forget(&self, before: Date) -> Result<u64, StoreError> {
            self.behind.forget(before).await
        }
    }

    fn turn(principal: &str, outcome: &'static str, usage: Usage) -> EndedTurn {
        EndedTurn {
            request: "req".into(),
            span: None,
            ids: None,
            principal: principal.into(),
            model: "gpt-5.5".into(),
            profile: Profile::Chat,
            outcome,
            error: "",
            usage,
            pictures: 0,
            first_event: None,
            duration: Duration::ZERO,
        }
    }

    /// Nothing is counted twice, nothing is forgotten, and what there was no room for is counted as lost.
    #[tokio::test]
    async fn a_store_that_fails_is_caught_up_with() {
        let ledger = Arc::new(Flaky { works: Mutex::new(false), behind: Memory::new(1 << 20) });
        let metrics = Arc::new(Metrics::default());
        let books = Bookkeeper::new(Arc::clone(&ledger) as _, Arc::clone(&metrics));
        let usage = Usage { input: 5, cached_input: 1, output: 3, reasoning: 2, ..Usage::default() };
        for _ in 0..3 {
            books.ended(&turn("k1:app", "completed", usage));
            assert!(books.write().await.is_err());
        }
        books.ended(&turn("k1:app", "failed", Usage::default()));
        for key in 1..MOST_PENDING + 5 {
            books.ended(&turn(&format!("many{key}:app"), "completed", usage));
        }
        books.ended(&turn("k1\0:app", "completed", usage));
        assert!(books.sums(&LedgerQuestion::default()).await.is_err(), "an answer would not be the truth");
        *ledger.works.lock().unwrap() = true;
        let question = LedgerQuestion { key: Some("k1".to_owned()), ..LedgerQuestion::default() };
        let sums = books.sums(&question).await.unwrap();
        let expected = Tally {
            turns: 4,
            failed: 1,
            unreported: 1,
            input: 15,
            cached_input: 3,
            output: 9,
            reasoning: 6,
            pictures: 0,
        };
        assert_eq!(sums.iter().map(|sum| sum.tally).collect::<Vec<_>>(), [expected]);
        assert_eq!(books.sums(&question).await.unwrap(), sums);
        let all = books.sums(&LedgerQuestion::default()).await.unwrap();
        assert_eq!(all[0].tally.turns, 4 + MOST_PENDING as u64 - 1);
        assert!(metrics.text().contains("portcullis_usage_lost_total 6\n"), "{}", metrics.text());
    }
}
