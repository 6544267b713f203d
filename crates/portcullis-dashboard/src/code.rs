//! The one-time code: made by a command on the machine, good for one sign-in within ten minutes. Only its hash is written
//! down, in a file that only the gateway's user reads.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::token;

/// How long a code is good.
const GOOD_FOR: Duration = Duration::from_mins(10);

/// What is kept of a code.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    sha256: String,
    /// In seconds since 1970.
    until: u64,
}

/// No code was made.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// There is no randomness.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
    /// It could not be written down.
    #[error("`{path}` could not be written")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn file(state: &Utf8Path) -> Utf8PathBuf {
    state.join("dashboard-code.json")
}

/// Makes a code for the gateway of a state directory, and returns it with how long it is good. One that was made before is
/// good no longer.
pub fn issue_code(state: &Utf8Path) -> Result<(SecretString, Duration), CodeError> {
    let code = token::new()?;
    let until = unix_seconds(SystemTime::now() + GOOD_FOR);
    let kept = Kept { sha256: STANDARD.encode(token::hash(code.expose_secret())), until };
    let (path, new) = (file(state), state.join("dashboard-code.new"));
    let write = || {
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(serde_json::to_string(&kept)?.as_bytes())?;
        std::fs::rename(&new, &path)
    };
    write().map_err(|source: std::io::Error| CodeError::Write { path, source })?;
    Ok((code, GOOD_FOR))
}

/// Whether this is the code; if so, it is no longer. It blocks.
pub(crate) fn redeem(state: &Utf8Path, code: &str, now: SystemTime) -> bool {
    let path = file(state);
    let Ok(text) = std::fs::read(&path) else { return false };
    let Ok(Kept { sha256, until }) = serde_json::from_slice(&text) else { return false };
    let Ok(kept) = STANDARD.decode(sha256) else { return false };
    let fits: bool = kept.ct_eq(&token::hash(code)).into();
    // One that would be good for much longer was made when the clock was ahead.
    let now = unix_seconds(now);
    let good = now < until && until - now < 2 * GOOD_FOR.as_secs();
    // Of two who come with it at once, one removes the file.
    fits && good && std::fs::remove_file(&path).is_ok()
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use camino_tempfile::tempdir;

    use super::*;

    #[test]
    fn a_code_is_good_once_and_not_for_long() {
        let dir = tempdir().unwrap();
        let now = SystemTime::now();
        assert!(!redeem(dir.path(), "", now), "there is none");
        let (old, _) = issue_code(dir.path()).unwrap();
        let (code, good_for) = issue_code(dir.path()).unwrap();
        assert_eq!(file(dir.path()).metadata().unwrap().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(file(dir.path())).unwrap();
        assert!(!text.contains(code.expose_secret()));
        for wrong in ["", "x", old.expose_secret()] {
            assert!(!redeem(dir.path(), wrong, now));
        }
        for (other, why) in
            [(now + good_for + Duration::from_secs(1), "it is late"), (now - 2 * good_for, "it is early")]
        {
            assert!(!redeem(dir.path(), code.expose_secret(), other), "{why}");
        }
        assert!(redeem(dir.path(), code.expose_secret(), now));
        assert!(!redeem(dir.path(), code.expose_secret(), now), "twice");
        assert_eq!(dir.path().read_dir_utf8().unwrap().count(), 0);
    }
}
