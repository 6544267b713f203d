//! What was used.

use jiff::civil::{Date, date};

use crate::{Grouping, LedgerEntry, LedgerQuestion, LedgerSum, MAX_SUMS, StoreError, Tally, contract::Store};

const FIRST: Date = date(2026, 11, 27);
const SECOND: Date = date(2026, 11, 28);

fn entry(day: Date, principal: &str, model: &str, turns: u64) -> LedgerEntry {
    LedgerEntry { day, principal: principal.into(), model: model.into(), tally: tally(turns) }
}

/// Every member differs, so that none can stand for another.
fn tally(turns: u64) -> Tally {
    Tally {
        turns,
        failed: 2 * turns,
        unreported: 3 * turns,
        input: 5 * turns,
        cached_input: 7 * turns,
        output: 11 * turns,
        reasoning: 13 * turns,
        pictures: 17 * turns,
    }
}

fn sum(day: Option<Date>, principal: Option<&str>, model: Option<&str>, turns: u64) -> LedgerSum {
    LedgerSum { day, principal: principal.map(Into::into), model: model.map(Into::into), tally: tally(turns) }
}

fn by(words: &str) -> Grouping {
    let has = |word| words.contains(word);
    Grouping { day: has("day"), principal: has("principal"), model: has("model") }
}

/// Entries add up, and every question is about exactly what it names.
pub async fn what_was_used_adds_up(store: impl Store) {
    let all = LedgerQuestion { by: by("day principal model"), ..LedgerQuestion::default() };
    assert_eq!(store.sums(&all).await.expect("read"), []);
    // Ids of keys that begin alike, and one that means something in a pattern.
    let first = [
        entry(FIRST, "k1:app", "a", 1),
        entry(FIRST, "k1:app", "b", 10),
        entry(FIRST, "k11:app", "a", 100),
        entry(SECOND, "k1:app", "a", 1_000),
        entry(SECOND, "%:_", "a", 10_000),
    ];
    store.add(&first).await.expect("added");
    store.add(&[entry(FIRST, "k1:app", "a", 1), entry(FIRST, "k1:app", "a", 1)]).await.expect("added");
    store.add(&[]).await.expect("nothing to add");
    let (one, two) = (Some(FIRST), Some(SECOND));
    assert_eq!(
        store.sums(&all).await.expect("read"),
        [
            sum(one, Some("k11:app"), Some("a"), 100),
            sum(one, Some("k1:app"), Some("a"), 3),
            sum(one, Some("k1:app"), Some("b"), 10),
            sum(two, Some("%:_"), Some("a"), 10_000),
            sum(two, Some("k1:app"), Some("a"), 1_000),
        ]
    );
    let ask = |words, question: LedgerQuestion| LedgerQuestion { by: by(words), ..question };
    let key = |key: &str| LedgerQuestion { key: Some(key.to_owned()), ..LedgerQuestion::default() };
    let days = |from, to| LedgerQuestion { from, to, ..LedgerQuestion::default() };
    let model = LedgerQuestion { model: Some("b".to_owned()), ..LedgerQuestion::default() };
    let questions = [
        (ask("", all.clone()), vec![sum(None, None, None, 11_113)]),
        (ask("day", all.clone()), vec![sum(one, None, None, 113), sum(two, None, None, 11_000)]),
        (ask("model", all.clone()), vec![sum(None, None, Some("a"), 11_103), sum(None, None, Some("b"), 10)]),
        (ask("", key("k1")), vec![sum(None, None, None, 1_013)]),
        (ask("principal", key("k1:app")), vec![sum(None, Some("k1:app"), None, 1_013)]),
        (ask("principal", key("%")), vec![sum(None, Some("%:_"), None, 10_000)]),
        (ask("principal", key("k")), vec![]),
        (ask("", key("no\0body")), vec![]),
        (ask("", days(two, None)), vec![sum(None, None, None, 11_000)]),
        (ask("", days(None, one)), vec![sum(None, None, None, 113)]),
        (ask("", days(one, one)), vec![sum(None, None, None, 113)]),
        (ask("", days(two, one)), vec![]),
        (ask("principal", model), vec![sum(None, Some("k1:app"), None, 10)]),
    ];
    for (question, expected) in questions {
        assert_eq!(store.sums(&question).await.expect("read"), expected, "{question:?}");
    }
    assert_eq!(store.forget(SECOND).await.expect("forgotten"), 3);
    assert_eq!(store.sums(&ask("", all)).await.expect("read"), [sum(None, None, None, 11_000)]);
}

/// A wrong entry counts for nothing, and neither does what stands beside it.
pub async fn what_was_used_is_added_whole_or_not(store: impl Store) {
    let wrong = [entry(FIRST, "k1:app", "a", 1), entry(FIRST, "k1:app", "a\0", 1)];
    let refused = store.add(&wrong).await;
    assert!(matches!(refused, Err(StoreError::Unstorable { .. })), "{refused:?}");
    assert_eq!(store.sums(&LedgerQuestion::default()).await.expect("read"), []);
}

/// An answer is bounded, and says so.
pub async fn too_many_sums_are_an_error(store: impl Store) {
    let entries: Vec<_> = (0..=MAX_SUMS).map(|key| entry(FIRST, &format!("k{key}:app"), "a", 1)).collect();
    store.add(&entries).await.expect("added");
    let apart = LedgerQuestion { by: by("principal"), ..LedgerQuestion::default() };
    let refused = store.sums(&apart).await;
    assert!(matches!(refused, Err(StoreError::TooManySums)), "{refused:?}");
    let together = store.sums(&LedgerQuestion::default()).await.expect("read");
    assert_eq!(together, [sum(None, None, None, 10_001)]);
}
