//! The demo's API key, which outlives the demo.
//!
//! The key store has hashes only, so that a key can not be shown a second time. The demo wants just that: whoever
//! starts it again finds the key of last time in the banner, and the curl line in the shell's history still works.
//! So the demo, and nothing else, keeps the text of its key, in `demo-key`, readable for its owner alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use jiff::Timestamp;
use portcullis_access::{Grant, KeyError, KeyStore, Keys, NewKey};
use secrecy::{ExposeSecret as _, SecretString};

/// The key of the last demo in this state directory, or a new one if the store knows that one no more.
pub(super) fn keep(state: &Utf8Path) -> anyhow::Result<SecretString> {
    let store = KeyStore::open(state)?;
    let path = state.join("demo-key");
    if let Ok(text) = fs::read_to_string(&path)
        && Keys::open(store.path())?.authenticate(text.trim(), Timestamp::now()).is_ok()
    {
        return Ok(SecretString::from(text.trim()));
    }
    let key = create(&store)?.secret;
    write(&path, key.expose_secret()).with_context(|| format!("failed to write `{path}`"))?;
    Ok(key)
}

/// `demo`, or `demo-2` and so on: a key of that name whose text is lost may be somebody's, so it stays.
fn create(store: &KeyStore) -> Result<NewKey, KeyError> {
    let mut tries = 1;
    loop {
        let name = if tries == 1 { "demo".to_owned() } else { format!("demo-{tries}") };
        match store.create(&name, &Grant::default(), Timestamp::now()) {
            Err(KeyError::NameTaken { .. }) => tries += 1,
            done => return done,
        }
    }
}

/// By way of a new file, so that neither the mode nor the content of an old one matters. The lock on the state
/// directory keeps other demos away.
fn write(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{text}")?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use camino_tempfile::Utf8TempDir;

    use super::*;

    #[test]
    fn a_key_is_kept_until_the_store_forgets_it() {
        let dir = Utf8TempDir::new().unwrap();
        let kept = || keep(dir.path()).unwrap().expose_secret().to_owned();
        let first = kept();
        assert_eq!(kept(), first);
        assert_eq!(fs::metadata(dir.path().join("demo-key")).unwrap().mode() & 0o777, 0o600);
        KeyStore::open(dir.path()).unwrap().revoke("demo").unwrap();
        let second = kept();
        assert_ne!(second, first);
        fs::remove_file(dir.path().join("demo-key")).unwrap();
        assert_ne!(kept(), second);
        let names: Vec<_> =
            KeyStore::open(dir.path()).unwrap().list().unwrap().into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["demo", "demo-2"]);
    }
}
