//! The answers that are kept, by principal and key. Bounded in number, size and age; what runs is never pushed out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use portcullis_agent::PrincipalId;

use super::recording::{Over, Recording};

/// Whose key, and which.
pub(crate) type Name = (PrincipalId, String);

/// How long an answer is kept after its end.
const AGE: Duration = Duration::from_hours(1);
/// How many answers there may be, running ones included.
const MOST: usize = 1000;
/// How much all kept ones may hold, in bytes.
const BYTES: usize = 128 << 20;

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct OnceShelf(Mutex<HashMap<Name, Entry>>);

#[derive(Debug)]
struct Entry {
    print: [u8; 32],
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Running(Arc<Recording>),
    Whole {
        recording: Arc<Recording>,
        bytes: usize,
        since: Instant,
    },
    /// It was too large.
    Not {
        since: Option<Instant>,
    },
}

/// What there is under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: it is this one's to write.
    New(Arc<Recording>),
    /// An answer that runs, or is whole.
    Known(Arc<Recording>),
    /// The answer to another request.
    Other,
    /// The same request was answered, with more than is kept.
    NotKept,
    /// As many run as may.
    Full,
}

impl OnceShelf {
    /// What there is for a request. A new one has its place from now on.
    pub(crate) fn find(&self, name: &Name, print: [u8; 32], now: Instant) -> Found {
        let mut entries = self.lock();
        entries.retain(|_, entry| !entry.is_old(now));
        match entries.get(name) {
            Some(entry) if entry.print != print => return Found::Other,
            Some(Entry { kept: Kept::Running(recording) | Kept::Whole { recording, .. }, .. }) => {
                return Found::Known(Arc::clone(recording));
            }
            Some(Entry { kept: Kept::Not { .. }, .. }) => return Found::NotKept,
            None => {}
        }
        if entries.len() >= MOST && !drop_oldest(&mut entries) {
            return Found::Full;
        }
        let recording = Recording::new();
        entries.insert(name.clone(), Entry { print, kept: Kept::Running(Arc::clone(&recording)) });
        Found::New(recording)
    }

    /// An answer is longer than may be kept: only who reads it now has it.
    pub(crate) fn too_large(&self, name: &Name) {
        if let Some(entry) = self.lock().get_mut(name) {
            entry.kept = Kept::Not { since: None };
        }
    }

    /// An answer is over. One that says to come back is not kept: the next try is a new one.
    pub(crate) fn ended(&self, name: &Name, over: Over, now: Instant) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else { return };
        match (over, &entry.kept) {
            (Over::Whole { status, bytes }, Kept::Running(recording)) if is_final(status) => {
                let recording = Arc::clone(recording);
                entry.kept = Kept::Whole { recording, bytes, since: now };
                while held(&entries) > BYTES && drop_oldest(&mut entries) {}
            }
            (Over::Whole { .. }, Kept::Not { .. }) => entry.kept = Kept::Not { since: Some(now) },
            _ => drop(entries.remove(name)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Since when it is over.
    fn since(&self) -> Option<Instant> {
        match self.kept {
            Kept::Running(_) => None,
            Kept::Whole { since, .. } => Some(since),
            Kept::Not { since } => since,
        }
    }

    fn is_old(&self, now: Instant) -> bool {
        self.since().is_some_and(|since| now.duration_since(since) >= AGE)
    }
}

fn held(entries: &HashMap<Name, Entry>) -> usize {
    let bytes = |entry: &Entry| if let Kept::Whole { bytes, .. } = entry.kept { bytes } else { 0 };
    entries.values().map(bytes).sum()
}

/// Makes room, if something is over.
fn drop_oldest(entries: &mut HashMap<Name, Entry>) -> bool {
    let over = entries.iter().filter_map(|(name, entry)| Some((entry.since()?, name)));
    let Some(oldest) = over.min_by_key(|(since, _)| *since).map(|(_, name)| name.clone()) else {
        return false;
    };
    entries.remove(&oldest).is_some()
}

/// Whether the same request would be answered so again.
fn is_final(status: StatusCode) -> bool {
    !status.is_server_error()
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: usize) -> Name {
        ("p".into(), key.to_string())
    }

    fn whole(bytes: usize) -> Over {
        Over::Whole { status: StatusCode::OK, bytes }
    }

    #[test]
    fn what_is_over_makes_room_and_what_runs_does_not() {
        let (shelf, now) = (OnceShelf::default(), Instant::now());
        for key in 0..MOST {
            assert!(matches!(shelf.find(&name(key), [0; 32], now), Found::New(_)));
        }
        assert!(matches!(shelf.find(&name(MOST), [0; 32], now), Found::Full));
        shelf.ended(&name(7), whole(1), now);
        shelf.ended(&name(5), whole(1), now + Duration::from_secs(1));
        assert!(matches!(shelf.find(&name(7), [0; 32], now), Found::Known(_)));
        assert!(matches!(shelf.find(&name(7), [1; 32], now), Found::Other));
        assert!(matches!(shelf.find(&name(MOST), [0; 32], now), Found::New(_)));
        // The oldest made room; it is asked anew, and the next one does for it.
        assert!(matches!(shelf.find(&name(7), [0; 32], now), Found::New(_)));
        assert!(matches!(shelf.find(&name(5), [0; 32], now), Found::Full));
    }

    #[test]
    fn answers_are_kept_by_age_by_size_and_if_they_are_final() {
        let (shelf, now) = (OnceShelf::default(), Instant::now());
        let begin = |key| assert!(matches!(shelf.find(&name(key), [0; 32], now), Found::New(_)), "{key}");
        for (key, over) in [
            (1, Over::Whole { status: StatusCode::BAD_GATEWAY, bytes: 1 }),
            (2, Over::Whole { status: StatusCode::TOO_MANY_REQUESTS, bytes: 1 }),
            (3, Over::Broken),
        ] {
            begin(key);
            shelf.ended(&name(key), over, now);
            begin(key);
        }
        for key in [4, 5] {
            begin(key);
            shelf.ended(&name(key), whole(BYTES / 2 + 1), now + Duration::from_secs(key as u64));
        }
        begin(4);
        assert!(matches!(shelf.find(&name(5), [0; 32], now), Found::Known(_)));
        begin(6);
        shelf.too_large(&name(6));
        shelf.ended(&name(6), whole(BYTES), now);
        assert!(matches!(shelf.find(&name(6), [0; 32], now), Found::NotKept));
        let later = now + AGE + Duration::from_secs(5);
        assert!(matches!(shelf.find(&name(5), [0; 32], later), Found::New(_)));
        assert!(matches!(shelf.find(&name(6), [0; 32], later), Found::New(_)));
    }
}
