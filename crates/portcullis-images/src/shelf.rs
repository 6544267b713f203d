//! Where pictures are kept until they expire: files in a private directory, found only through a map.
//!
//! An id is 128 random bits and belongs to the principal that made the picture; for everybody else it does not exist.
//! The map is in memory, so a shelf that is opened anew is empty: what an earlier one left is removed.

mod overseen;

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::PrincipalId;

pub use self::overseen::{Overseen, Overview};
use crate::measure::Measured;

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct ShelfLimits {
    /// How long a picture is kept.
    pub age: Duration,
    /// All pictures together, in bytes.
    pub bytes: u64,
    /// Those of one principal, in bytes.
    pub principal_bytes: u64,
}

/// A picture that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// 32 hexadecimal digits.
    pub id: Arc<str>,
    /// What it is.
    pub measured: Measured,
    /// The file's length, in bytes.
    pub bytes: u64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// A picture that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewKept<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// What it is.
    pub measured: Measured,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// Why a picture is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It is larger than all that one principal may keep.
    #[error("the picture is larger than what may be kept")]
    TooLarge,
    /// The disk said no.
    #[error("the picture could not be written")]
    Io(#[from] std::io::Error),
}

/// Kept pictures.
#[derive(Debug)]
pub struct Shelf {
    dir: Utf8PathBuf,
    limits: ShelfLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Arc<str>, Entry>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
    bytes: u64,
    /// The next file's name: nothing that a client knows is a part of a path.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    principal: PrincipalId,
    path: Utf8PathBuf,
    since: Instant,
}

impl Shelf {
    /// Opens a directory for itself alone and empties it. Blocks on the disk, as everything here.
    pub fn open(dir: &Utf8Path, limits: ShelfLimits) -> std::io::Result<Self> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self { dir: dir.to_owned(), limits, state: Mutex::default() })
    }

    /// Keeps a picture. The oldest of its principal go first where that one has too many, then the oldest of all.
    pub fn put(&self, principal: &PrincipalId, new: NewKept<'_>, now: Instant) -> Result<Kept, ShelfError> {
        let bytes = new.bytes.len() as u64;
        if bytes > self.limits.principal_bytes.min(self.limits.bytes) {
            return Err(ShelfError::TooLarge);
        }
        let path = {
            let mut state = self.lock();
            state.next += 1;
            self.dir.join(state.next.to_string())
        };
        if let Err(error) = write(&path, new.bytes) {
            remove(&path);
            return Err(error.into());
        }
        let mut random = [0; 16];
        if let Err(error) = getrandom::fill(&mut random) {
            remove(&path);
            return Err(std::io::Error::other(error).into());
        }
        let id: Arc<str> = format!("{:032x}", u128::from_be_bytes(random)).into();
        let kept = Kept { id: Arc::clone(&id), measured: new.measured, bytes, created: new.created };
        let mut state = self.lock();
        state.bytes += bytes;
        state.order.push_back(Arc::clone(&id));
        let entry = Entry { kept: kept.clone(), principal: principal.clone(), path, since: now };
        state.kept.insert(id, entry);
        self.make_room(&mut state, principal);
        self.expire_in(&mut state, now);
        Ok(kept)
    }

    /// A picture of this principal, and its file.
    pub fn open_picture(&self, principal: &PrincipalId, id: &str, now: Instant) -> Option<(Kept, File)> {
        let mut state = self.lock();
        self.expire_in(&mut state, now);
        state.kept.get(id).filter(|entry| entry.principal == *principal)?.open()
    }

    /// Removes a picture of this principal; says whether there was one.
    pub fn remove(&self, principal: &PrincipalId, id: &str) -> bool {
        let mut state = self.lock();
        let is_theirs = state.kept.get(id).is_some_and(|entry| entry.principal == *principal);
        is_theirs && state.drop_picture(id)
    }

    /// The pictures of this principal, the newest first.
    pub fn recent(&self, principal: &PrincipalId, now: Instant) -> Vec<Kept> {
        let mut state = self.lock();
        self.expire_in(&mut state, now);
        let theirs = state.order.iter().rev().filter_map(|id| state.kept.get(id));
        theirs.filter(|entry| entry.principal == *principal).map(|entry| entry.kept.clone()).collect()
    }

    /// Removes what has been kept long enough.
    pub fn expire(&self, now: Instant) {
        self.expire_in(&mut self.lock(), now);
    }

    fn expire_in(&self, state: &mut State, now: Instant) {
        while let Some(oldest) = state.order.front().cloned() {
            let young = state
                .kept
                .get(&oldest)
                .is_some_and(|entry| now.saturating_duration_since(entry.since) < self.limits.age);
            if young {
                return;
            }
            state.drop_picture(&oldest);
        }
    }

    fn make_room(&self, state: &mut State, principal: &PrincipalId) {
        let mut theirs: u64 =
            state.kept.values().filter(|e| e.principal == *principal).map(|e| e.kept.bytes).sum();
        while theirs > self.limits.principal_bytes {
            let oldest = state.order.iter().find(|id| state.kept[*id].principal == *principal).cloned();
            let Some(oldest) = oldest else { break };
            theirs -= state.kept[&oldest].kept.bytes;
            state.drop_picture(&oldest);
        }
        while state.bytes > self.limits.bytes
            && let Some(oldest) = state.order.front().cloned()
        {
            state.drop_picture(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn open(&self) -> Option<(Kept, File)> {
        match File::open(&self.path) {
            Ok(file) => Some((self.kept.clone(), file)),
            Err(error) => {
                tracing::warn!(error = %error, "A kept picture can not be read");
                None
            }
        }
    }
}

impl State {
    fn drop_picture(&mut self, id: &str) -> bool {
        self.order.retain(|other| **other != *id);
        let Some(entry) = self.kept.remove(id) else { return false };
        self.bytes -= entry.kept.bytes;
        remove(&entry.path);
        true
    }
}

fn write(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn remove(path: &Utf8Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = %error, "A picture could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;

    use portcullis_agent::PictureFormat;
    use proptest::prelude::*;

    use super::*;

    const MEASURED: Measured = Measured { format: PictureFormat::Png, width: 1, height: 1 };

    fn shelf(dir: &Utf8Path) -> Shelf {
        let limits = ShelfLimits { age: Duration::from_secs(10), bytes: 100, principal_bytes: 60 };
        Shelf::open(dir, limits).unwrap()
    }

    fn put(shelf: &Shelf, who: &str, bytes: &[u8], now: Instant) -> Result<Kept, ShelfError> {
        shelf.put(&who.into(), NewKept { bytes, measured: MEASURED, created: 1 }, now)
    }

    fn files(dir: &Utf8Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_picture_is_its_principals_alone() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("a/shelf");
        let shelf = shelf(&path);
        let now = Instant::now();
        let kept = put(&shelf, "ann", b"picture", now).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let (_, mut file) = shelf.open_picture(&"ann".into(), &kept.id, now).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "picture");
        for id in [&*kept.id, "../a/shelf/1", "..%2f1", "1", ""] {
            assert!(shelf.open_picture(&"bob".into(), id, now).is_none());
            assert!(!shelf.remove(&"bob".into(), id));
            assert_eq!(shelf.open_picture(&"ann".into(), id, now).is_some(), id == &*kept.id, "{id}");
        }
        assert!(shelf.remove(&"ann".into(), &kept.id));
        assert_eq!((files(&path), shelf.recent(&"ann".into(), now).len()), (0, 0));
    }

    #[test]
    fn the_oldest_go_first_and_age_ends_them_all() {
        let dir = camino_tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path());
        let start = Instant::now();
        let ids = |who: &str, now| -> Vec<u64> {
            shelf.recent(&who.into(), now).iter().map(|kept| kept.bytes).collect()
        };
        put(&shelf, "ann", &[0; 30], start).unwrap();
        put(&shelf, "bob", &[0; 20], start).unwrap();
        put(&shelf, "ann", &[0; 25], start + Duration::from_secs(1)).unwrap();
        // Ann has 55 of 60; one more of 10 takes her oldest, not Bob's.
        put(&shelf, "ann", &[0; 10], start + Duration::from_secs(2)).unwrap();
        assert_eq!((ids("ann", start), ids("bob", start)), (vec![10, 25], vec![20]));
        // All have 55 of 100; one of 50 takes the oldest of all.
        put(&shelf, "eve", &[0; 50], start + Duration::from_secs(3)).unwrap();
        assert_eq!(
            (ids("ann", start), ids("bob", start), ids("eve", start)),
            (vec![10, 25], vec![], vec![50])
        );
        assert!(matches!(put(&shelf, "eve", &[0; 61], start), Err(ShelfError::TooLarge)));
        assert_eq!(files(dir.path()), 3);
        shelf.expire(start + Duration::from_secs(11));
        assert_eq!((ids("ann", start), files(dir.path())), (vec![10], 2));
        shelf.expire(start + Duration::from_mins(1));
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn a_shelf_begins_empty_and_a_full_disk_leaves_nothing() {
        let dir = camino_tempfile::tempdir().unwrap();
        put(&shelf(dir.path()), "ann", b"x", Instant::now()).unwrap();
        let again = shelf(dir.path());
        assert_eq!(files(dir.path()), 0);
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(matches!(put(&again, "ann", b"x", Instant::now()), Err(ShelfError::Io(_))));
        assert_eq!(again.recent(&"ann".into(), Instant::now()).len(), 0);
    }

    proptest! {
        /// Whatever is put and removed: the bounds hold, and the files are those of the map.
        #[test]
        fn bounds_hold(steps in proptest::collection::vec((0u8..3, 1usize..70, any::<bool>()), 1..30)) {
            let dir = camino_tempfile::tempdir().unwrap();
            let shelf = shelf(dir.path());
            let now = Instant::now();
            for (who, size, drop) in steps {
                let who = who.to_string();
                if let Ok(kept) = put(&shelf, &who, &vec![0; size], now) && drop {
                    shelf.remove(&who.as_str().into(), &kept.id);
                }
                let each: Vec<u64> = (0..3).map(|who: u8| {
                    shelf.recent(&who.to_string().into(), now).iter().map(|kept| kept.bytes).sum()
                }).collect();
                prop_assert!(each.iter().all(|sum| *sum <= 60) && each.iter().sum::<u64>() <= 100);
                let listed: usize = (0..3).map(|who: u8| shelf.recent(&who.to_string().into(), now).len()).sum();
                prop_assert_eq!(files(dir.path()), listed);
            }
        }
    }
}
