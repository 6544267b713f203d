//! The state directory: for its owner alone, and for one gateway at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

/// How often a directory that is waited for is looked at: nobody tells when a lock is given back.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A state directory that no other gateway uses. Dropping it gives it back; so does the end of the process, whatever
/// way it ends, because the lock belongs to the open file.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: Utf8PathBuf,
    lock: File,
}

/// Another gateway uses the state directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "another gateway{} uses the state directory `{path}`\n(hint: stop it, or give this one its own with --state-dir DIR)",
    .pid.map_or(String::new(), |pid| format!(" (process {pid})"))
)]
struct Taken {
    path: Utf8PathBuf,
    /// Not known while it starts.
    pid: Option<u32>,
}

/// A gateway that has claimed a state directory.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// Not known while it starts.
    pub(crate) address: Option<SocketAddr>,
    /// Who knows it has read the lock, and is its owner.
    pub(crate) word: Option<SecretString>,
}

impl StateDir {
    /// Makes the directory if need be, and takes it.
    pub(crate) fn claim(path: &Utf8Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("failed to make the state directory `{path}`"))?;
        let file = path.join("gateway.lock");
        // Not truncated: until we have the lock the pid in it is another's.
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let failed = || format!("failed to lock `{file}`");
        let lock = opened.with_context(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pid = read_running(&lock).map(|running| running.pid);
                return Err(Taken { path: path.to_owned(), pid }.into());
            }
            Err(errno) => return Err(errno).with_context(failed),
        }
        write_down(&lock, &format!("{}\n", std::process::id())).with_context(failed)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// As [`StateDir::claim`], but gives a gateway that uses it the time to end. For a gateway whose port has been
    /// open before it: a client that it keeps waiting is answered later, and not refused.
    pub(crate) async fn claim_after_another(path: &Utf8Path, patience: Duration) -> anyhow::Result<Self> {
        let deadline = Instant::now() + patience;
        let mut told = false;
        loop {
            let taken = match Self::claim(path) {
                Err(error) if error.is::<Taken>() && Instant::now() < deadline => error,
                claimed => return claimed,
            };
            if !told {
                info!("Waiting at most {} seconds: {taken}", patience.as_secs());
                told = true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Lets `portcullis status` know where the gateway listens, and a word by which the gateway knows it.
    pub(crate) fn listens_on(&self, address: SocketAddr) -> anyhow::Result<SecretString> {
        let word = Uuid::new_v4().simple().to_string();
        let text = format!("{}\n{address}\n{word}\n", std::process::id());
        write_down(&self.lock, &text)
            .with_context(|| format!("failed to write to the lock of `{}`", self.path))?;
        Ok(word.into())
    }

    /// The gateway that has claimed this directory, if one has.
    pub(crate) fn running(path: &Utf8Path) -> anyhow::Result<Option<Running>> {
        let file = path.join("gateway.lock");
        let lock = match File::open(&file) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to open `{file}`")),
        };
        // Shared, so that two who look do not see each other; and given back at once.
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => Ok(read_running(&lock)),
            Err(errno) => Err(errno).with_context(|| format!("failed to look at `{file}`")),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

fn write_down(lock: &File, text: &str) -> std::io::Result<()> {
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.set_len(text.len() as u64)
}

/// What is written there; `None` when a gateway that has just started has not come so far.
fn read_running(lock: &File) -> Option<Running> {
    let mut text = String::new();
    lock.take(128).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.parse().ok()?;
    let address = lines.next().and_then(|address| address.parse().ok());
    Some(Running { pid, address, word: lines.next().map(SecretString::from) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use camino_tempfile::Utf8TempDir;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn one_gateway_at_a_time() {
        let dir = Utf8TempDir::new().unwrap();
        let path = dir.path().join("some/state");
        let claimed = StateDir::claim(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let refused = StateDir::claim(&path).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("another gateway (process {})", std::process::id())),
            "{refused}"
        );
        let pid = std::process::id();
        let running = |path| {
            let running = StateDir::running(path).unwrap()?;
            let word = running.word.map(|word| word.expose_secret().to_owned());
            Some((running.pid, running.address.map(|address| address.to_string()), word))
        };
        assert_eq!(running(&path), Some((pid, None, None)));
        let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        let word = claimed.listens_on(longest.parse().unwrap()).unwrap().expose_secret().to_owned();
        assert_eq!(running(&path), Some((pid, Some(longest.to_owned()), Some(word.clone()))));
        let file = std::fs::metadata(path.join("gateway.lock")).unwrap();
        assert_eq!((file.mode() & 0o777, word.len()), (0o600, 32));
        drop(claimed);
        assert_eq!((running(&path), running(dir.path())), (None, None));
        StateDir::claim(&path).unwrap();
    }
}
