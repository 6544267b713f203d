//! The keys as a running gateway sees them.
//!
//! Every call looks at the file's stamp (one `stat`, microseconds) instead of watching it: a revoked key is refused
//! by the very next request, and there is no task to keep alive.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, PoisonError, RwLock};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use portcullis_agent::PrincipalId;
use subtle::ConstantTimeEq as _;

use crate::file::KeyFile;
use crate::key_text::{KeyHash, from_hex, hash, id_of};
use crate::{Grant, KeyError};

/// Turns presented key texts into principals.
pub struct Keys {
    path: Utf8PathBuf,
    loaded: RwLock<Loaded>,
}

/// Who asks: the holder of an API key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    /// The id of the key.
    pub key_id: String,
    /// The name of the key.
    pub name: String,
    /// What it may do.
    pub grant: Arc<Grant>,
}

impl Principal {
    /// As it stands in logs, and as what is kept belongs to it. A key that is rotated stays the same principal.
    pub fn id(&self) -> PrincipalId {
        PrincipalId::from(format!("{}:{}", self.key_id, self.name))
    }
}

/// Why a presented text opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unauthenticated {
    /// It is no valid key. It does not say why: the caller learns nothing, and logs get no guesses.
    #[error("the API key is not valid")]
    NotValid,
    /// It was one; only who knows the whole text learns that.
    #[error("the API key has expired")]
    Expired,
}

/// Something an operator should put right, though the gateway works.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Weakness {
    /// Others can read the hashes and names.
    #[error("the key file `{path}` has mode {mode:04o}, so others can use it\n(hint: chmod 600 '{path}')")]
    FileMode {
        /// The key file.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others can replace the key file, and so let themselves in.
    #[error(
        "the directory `{path}` has mode {mode:04o}, so others can replace the key file\n(hint: chmod 700 '{path}')"
    )]
    DirectoryMode {
        /// The directory of the key file.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file changed into something unusable; the keys from before are still in force.
    #[error("the key file cannot be used, the keys from before it changed are in force: {why}")]
    OldKeys {
        /// What is wrong with the file.
        why: String,
    },
}

struct Loaded {
    stamp: Stamp,
    by_id: HashMap<String, Entry>,
    /// Why the file behind `stamp` could not be used, if so.
    failure: Option<String>,
}

struct Entry {
    name: String,
    hash: KeyHash,
    /// The secret before this one, and until when it is good.
    former: Option<(KeyHash, Timestamp)>,
    grant: Arc<Grant>,
}

/// Tells two states of the file apart. The change time is in it because a `chmod` can make a file readable again.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Stamp {
    Missing,
    Hidden(ErrorKind),
    Present { device: u64, inode: u64, len: u64, modified: (i64, i64), changed: (i64, i64) },
}

impl Keys {
    /// Reads the key file. A missing file means no keys; a broken one is an error, as there are no older keys to keep.
    pub fn open(path: impl Into<Utf8PathBuf>) -> Result<Self, KeyError> {
        let path = path.into();
        let (stamp, read) = load(&path);
        Ok(Self { loaded: RwLock::new(Loaded { stamp, by_id: read?, failure: None }), path })
    }

    /// Who presents this key text at this time?
    pub fn authenticate(&self, presented: &str, now: Timestamp) -> Result<Principal, Unauthenticated> {
        self.refresh();
        let id = id_of(presented).ok_or(Unauthenticated::NotValid)?;
        let presented = hash(presented);
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let entry = loaded.by_id.get(id);
        // Compare in any case, so that the time taken does not tell which ids exist.
        let (stored, former) = entry.map_or((KeyHash::default(), None), |entry| (entry.hash, entry.former));
        let former = former.filter(|(_, until)| now < *until).map_or(KeyHash::default(), |(hash, _)| hash);
        let equal = bool::from(presented.ct_eq(&stored) | presented.ct_eq(&former));
        match entry {
            Some(entry) if equal && entry.grant.is_expired(now) => Err(Unauthenticated::Expired),
            Some(Entry { name, grant, .. }) if equal => {
                Ok(Principal { key_id: id.to_owned(), name: name.clone(), grant: Arc::clone(grant) })
            }
            _ => Err(Unauthenticated::NotValid),
        }
    }

    /// How many keys are in force, for `doctor` and for the warning about a gateway without keys.
    pub fn count(&self) -> usize {
        self.refresh();
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).by_id.len()
    }

    /// What is weak about the key file now.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        self.refresh();
        let mode = |path: &Utf8Path| std::fs::metadata(path).ok().map(|found| found.mode() & 0o7777);
        let mut found = Vec::new();
        if let Some(mode) = mode(&self.path).filter(|mode| mode & 0o077 != 0) {
            found.push(Weakness::FileMode { path: self.path.clone(), mode });
        }
        let dir = self.path.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        if let Some(mode) = mode(dir).filter(|mode| mode & 0o022 != 0) {
            found.push(Weakness::DirectoryMode { path: dir.to_owned(), mode });
        }
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        found.extend(loaded.failure.clone().map(|why| Weakness::OldKeys { why }));
        found
    }

    fn refresh(&self) {
        let seen = Stamp::of(std::fs::metadata(&self.path));
        if self.loaded.read().unwrap_or_else(PoisonError::into_inner).stamp == seen {
            return;
        }
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been first; look again now that nobody else can.
        if loaded.stamp == Stamp::of(std::fs::metadata(&self.path)) {
            return;
        }
        let (stamp, read) = load(&self.path);
        loaded.stamp = stamp;
        match read {
            Ok(by_id) => {
                tracing::info!(path = %self.path, keys = by_id.len(), "the key file changed");
                loaded.by_id = by_id;
                loaded.failure = None;
            }
            // Said once: the stamp is remembered, so only another change comes here again.
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the key file changed and cannot be used; the keys from before stay in force"
                );
                loaded.failure = Some(error.to_string());
            }
        }
    }
}

// Written by hand so that no hash is ever printed.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(found: std::io::Result<std::fs::Metadata>) -> Self {
        match found {
            Ok(found) => Self::Present {
                device: found.dev(),
                inode: found.ino(),
                len: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Hidden(error.kind()),
        }
    }
}

/// Reads the file, and the stamp of exactly what was read: taken from the open file before reading, so that a later
/// change always shows as another stamp.
fn load(path: &Utf8Path) -> (Stamp, Result<HashMap<String, Entry>, KeyError>) {
    let mut open = match KeyFile::open(path) {
        Ok(Some(open)) => open,
        Ok(None) => return (Stamp::Missing, Ok(HashMap::new())),
        Err(error) => return (Stamp::of(std::fs::metadata(path)), Err(error)),
    };
    let stamp = Stamp::of(open.metadata());
    let read = KeyFile::read(&mut open, path).map(|file| {
        let entry = |key: crate::file::StoredKey| {
            let hash = from_hex(&key.sha256)?;
            let former = key.former.and_then(|former| Some((from_hex(&former.sha256)?, former.until)));
            Some((key.id, Entry { name: key.name, hash, former, grant: Arc::new(key.grant) }))
        };
        file.keys.into_iter().filter_map(entry).collect()
    });
    (stamp, read)
}
