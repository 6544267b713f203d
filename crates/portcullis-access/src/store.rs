//! Creating, listing, rotating and revoking keys.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Map;

use crate::file::{Former, KeyFile, StoredKey, WriteLock};
use crate::key_text::{generate, generate_id, hash, to_hex};
use crate::stored_grant::StoredGrant;
use crate::{Grant, KeyError};

/// The keys of one gateway, kept in `keys.json` in its state directory.
#[derive(Debug)]
pub struct KeyStore {
    dir: Utf8PathBuf,
    path: Utf8PathBuf,
}

/// A key at its birth, the only time its text is known.
#[derive(Debug)]
pub struct NewKey {
    /// Names the key in logs and commands.
    pub id: String,
    /// The name it was given.
    pub name: String,
    /// The whole key text, to be shown once.
    pub secret: SecretString,
}

/// What may be known about a key later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyInfo {
    /// Names the key in logs and commands.
    pub id: String,
    /// The name it was given.
    pub name: String,
    /// When it was created, to the second.
    pub created: Timestamp,
    /// What it may do.
    pub grant: Grant,
}

impl KeyStore {
    /// Opens the store in `dir`, which is created for its owner alone if it does not exist.
    pub fn open(dir: impl Into<Utf8PathBuf>) -> Result<Self, KeyError> {
        let dir = dir.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(KeyError::io("create", &dir))?;
        let path = dir.join("keys.json");
        Ok(Self { dir, path })
    }

    /// The key file, for [`Keys::open`](crate::Keys::open).
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Makes a key and stores its hash.
    pub fn create(&self, name: &str, grant: &Grant, now: Timestamp) -> Result<NewKey, KeyError> {
        if !is_name(name) {
            return Err(KeyError::BadName);
        }
        let _lock = WriteLock::acquire(&self.dir)?;
        let mut file = self.read()?;
        if file.keys.iter().any(|key| key.name == name) {
            return Err(KeyError::NameTaken { name: name.to_owned() });
        }
        let id = loop {
            let id = generate_id()?;
            // An id must not be what another key is called, or `revoke` could mean either.
            if !file.keys.iter().any(|key| key.id == id || key.name == id) {
                break id;
            }
        };
        let secret = generate(&id)?;
        file.keys.push(StoredKey {
            id: id.clone(),
            name: name.to_owned(),
            sha256: to_hex(&hash(secret.expose_secret())),
            created: whole_seconds(now),
            stored_grant: StoredGrant::of(grant),
            grant: grant.clone(),
            former: None,
            later: Map::new(),
        });
        file.replace(&self.dir, &self.path)?;
        Ok(NewKey { id, name: name.to_owned(), secret })
    }

    /// All keys, oldest first.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        Ok(self.read()?.keys.into_iter().map(info).collect())
    }

    /// Gives a key another secret; who it is and what it may do stay. The secret before is good for `grace` more, and
    /// one before that no longer.
    pub fn rotate(&self, name_or_id: &str, grace: Duration, now: Timestamp) -> Result<NewKey, KeyError> {
        let _lock = WriteLock::acquire(&self.dir)?;
        let mut file = self.read()?;
        let at = find(&file, name_or_id)?;
        let key = &mut file.keys[at];
        let secret = generate(&key.id)?;
        let before = std::mem::replace(&mut key.sha256, to_hex(&hash(secret.expose_secret())));
        let until = now.checked_add(grace).unwrap_or(Timestamp::MAX);
        key.former = (until > now).then_some(Former { sha256: before, until });
        let new = NewKey { id: key.id.clone(), name: key.name.clone(), secret };
        file.replace(&self.dir, &self.path)?;
        Ok(new)
    }

    /// Removes a key, given its name or its id, and says which one it was.
    pub fn revoke(&self, name_or_id: &str) -> Result<KeyInfo, KeyError> {
        let _lock = WriteLock::acquire(&self.dir)?;
        let mut file = self.read()?;
        let at = find(&file, name_or_id)?;
        let gone = file.keys.remove(at);
        file.replace(&self.dir, &self.path)?;
        Ok(info(gone))
    }

    fn read(&self) -> Result<KeyFile, KeyError> {
        match KeyFile::open(&self.path)? {
            Some(mut open) => KeyFile::read(&mut open, &self.path),
            None => Ok(KeyFile::default()),
        }
    }
}

fn find(file: &KeyFile, name_or_id: &str) -> Result<usize, KeyError> {
    let mut matching =
        (0..file.keys.len()).filter(|&at| file.keys[at].id == name_or_id || file.keys[at].name == name_or_id);
    let wanted = || name_or_id.to_owned();
    let at = matching.next().ok_or_else(|| KeyError::NotFound { wanted: wanted() })?;
    if matching.next().is_some() {
        return Err(KeyError::Ambiguous { wanted: wanted() });
    }
    Ok(at)
}

fn info(key: StoredKey) -> KeyInfo {
    KeyInfo { id: key.id, name: key.name, created: key.created, grant: key.grant }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count())
        && name == name.trim()
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ' '))
}
