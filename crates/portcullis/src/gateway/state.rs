//! The state directory: for its owner alone, and for one gateway at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use anyhow::{Context as _, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A state directory that no other gateway uses. Dropping it gives it back; so does the end of the process, whatever
/// way it ends, because the lock belongs to the open file.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: Utf8PathBuf,
    _lock: File,
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
        let mut lock = opened.with_context(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(taken(path, &mut lock)),
            Err(errno) => return Err(errno).with_context(failed),
        }
        write_pid(&mut lock).with_context(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

fn write_pid(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

fn taken(path: &Utf8Path, lock: &mut File) -> anyhow::Error {
    let mut text = String::new();
    // Only for the message: a gateway that has just started may not have written its pid yet.
    let _ = lock.take(32).read_to_string(&mut text);
    let other = match text.trim().parse::<u32>() {
        Ok(pid) => format!("another gateway (process {pid})"),
        Err(_) => "another gateway".to_owned(),
    };
    anyhow!(
        "{other} uses the state directory `{path}`\n(hint: stop it, or give this one its own with --state-dir DIR)"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use camino_tempfile::Utf8TempDir;

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
        drop(claimed);
        StateDir::claim(&path).unwrap();
    }
}
