//! The key file on disk: its format, and how it is read and replaced.
//!
//! Fields that this version does not know are kept when the file is rewritten: a newer Portcullis may have put
//! them there. What would change the meaning of a key raises the version, and a later version is refused. So a file
//! in which a key has a grant of its own has version 2, which a gateway that knows no grants does not read.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::KeyError;
use crate::grant::Grant;
use crate::key_text::from_hex;
use crate::stored_grant::StoredGrant;

/// Every key may do what keys could always do.
const WITHOUT_GRANTS: u64 = 1;
/// Some key may do something else. The latest version that this program reads.
const WITH_GRANTS: u64 = 2;

/// A key file is small; anything larger is not ours and is not read into memory.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The whole file.
#[derive(Deserialize, Serialize)]
pub(crate) struct KeyFile {
    version: u64,
    pub(crate) keys: Vec<StoredKey>,
    #[serde(flatten)]
    later: Map<String, Value>,
}

/// One key as stored. No `Debug`: a hash has no business in a log.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredKey {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) created: Timestamp,
    #[serde(default, rename = "grant", skip_serializing_if = "StoredGrant::is_empty")]
    pub(crate) stored_grant: StoredGrant,
    /// What `stored_grant` says.
    #[serde(skip)]
    pub(crate) grant: Grant,
    /// The secret before the last rotation, while it is still good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) former: Option<Former>,
    #[serde(flatten)]
    pub(crate) later: Map<String, Value>,
}

/// A secret that was replaced, and is good for a while.
#[derive(Deserialize, Serialize)]
pub(crate) struct Former {
    pub(crate) sha256: String,
    pub(crate) until: Timestamp,
}

impl Default for KeyFile {
    fn default() -> Self {
        Self { version: WITHOUT_GRANTS, keys: Vec::new(), later: Map::new() }
    }
}

impl KeyFile {
    /// Opens `path`; `None` when there is no such file.
    pub(crate) fn open(path: &Utf8Path) -> Result<Option<File>, KeyError> {
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyError::io("open", path)(error)),
        }
    }

    /// Reads an open key file; `path` is for messages.
    pub(crate) fn read(file: &mut File, path: &Utf8Path) -> Result<Self, KeyError> {
        let mut text = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut text).map_err(KeyError::io("read", path))?;
        if text.len() as u64 > MAX_LEN {
            return Err(broken(path, "it is larger than 16 MiB".to_owned()));
        }
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Utf8Path) -> Result<Self, KeyError> {
        // The version comes first: another version may have another shape.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let Versioned { version } = parse_json(text, path)?;
        if !(WITHOUT_GRANTS..=WITH_GRANTS).contains(&version) {
            return Err(KeyError::Version { path: path.to_owned(), found: version, supported: WITH_GRANTS });
        }
        let mut file: Self = parse_json(text, path)?;
        let mut ids = HashSet::new();
        for key in &mut file.keys {
            let hashes = [Some(&key.sha256), key.former.as_ref().map(|former| &former.sha256)];
            if hashes.into_iter().flatten().any(|hash| from_hex(hash).is_none()) {
                return Err(broken(path, format!("the `sha256` of key `{}` is not 64 hex digits", key.id)));
            }
            if !ids.insert(&key.id) {
                return Err(broken(path, format!("the id `{}` occurs twice", key.id)));
            }
            let grant = key.stored_grant.read();
            key.grant = grant.map_err(|what| broken(path, format!("in the key `{}`, {what}", key.id)))?;
        }
        Ok(file)
    }

    /// Replaces the file in `dir` in one step: a reader sees the old or the new file, never half of one.
    pub(crate) fn replace(&mut self, dir: &Utf8Path, path: &Utf8Path) -> Result<(), KeyError> {
        let grants = self.keys.iter().any(|key| !key.stored_grant.is_empty());
        self.version = if grants { WITH_GRANTS } else { WITHOUT_GRANTS };
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| KeyError::io("write", path)(std::io::Error::other(error)))?;
        text.push(b'\n');
        // A fixed name is enough under the lock, and what a crash left is removed by the next writer.
        let fresh = dir.join("keys.json.new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(KeyError::io("remove the leftover", fresh)(error));
            }
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(KeyError::io("create", &fresh))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(KeyError::io("write", &fresh))?;
        std::fs::rename(&fresh, path).map_err(KeyError::io("replace", path))?;
        // The rename itself must survive a power cut, or a revoked key comes back.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(KeyError::io("sync", dir))
    }
}

/// Held while the file is read, changed and replaced; released when dropped.
#[derive(Debug)]
pub(crate) struct WriteLock {
    _file: File,
}

impl WriteLock {
    /// Waits for other writers, in this process or another.
    pub(crate) fn acquire(dir: &Utf8Path) -> Result<Self, KeyError> {
        let path: Utf8PathBuf = dir.join("keys.lock");
        // A file of its own: the key file is replaced, so a lock on it would be a lock on the past.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(KeyError::io("open", &path))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(KeyError::io("lock", path)(errno.into())),
            }
        }
    }
}

fn parse_json<'a, T: Deserialize<'a>>(text: &'a [u8], path: &Utf8Path) -> Result<T, KeyError> {
    serde_json::from_slice(text).map_err(|error| {
        // serde's own sentence may quote the file; the position says enough.
        let kind = match error.classify() {
            serde_json::error::Category::Data => "an expected field is missing or has the wrong type",
            _ => "it is not JSON",
        };
        broken(path, format!("{kind} (line {}, column {})", error.line(), error.column()))
    })
}

fn broken(path: &Utf8Path, what: String) -> KeyError {
    KeyError::Broken { path: path.to_owned(), what }
}
