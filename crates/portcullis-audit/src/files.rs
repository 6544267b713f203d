//! The files of a log: names, modes, and how many there may be.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::AuditError;

/// The file that grows.
pub(crate) const CURRENT: &str = "audit.jsonl";

/// How long another process may hold the log.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A file that has grown so large is closed, in bytes.
    pub file: u64,
    /// So many closed files are kept; the oldest goes first.
    pub keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 16 * 1024 * 1024, keep: 63 }
    }
}

/// Makes the directory, for its owner alone.
pub(crate) fn make(dir: &Utf8Path) -> Result<(), AuditError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(AuditError::io("make", dir))
}

/// Opens a file for reading and writing, made if need be, for its owner alone.
pub(crate) fn open(path: &Utf8Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(AuditError::io("open", path))
}

/// The name of a file whose last line has this number. In the order of names is in the order of time.
pub(crate) fn closed_name(last_seq: u64) -> String {
    format!("audit-{last_seq:020}.jsonl")
}

/// The number in such a name.
pub(crate) fn closed_seq(path: &Utf8Path) -> u64 {
    let name = path.file_name().unwrap_or_default();
    let number = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".jsonl"));
    number.filter(|number| number.len() == 20).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The closed files, oldest first.
pub(crate) fn closed(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, AuditError> {
    let mut found = Vec::new();
    for entry in dir.read_dir_utf8().map_err(AuditError::io("list", dir))? {
        let entry = entry.map_err(AuditError::io("list", dir))?;
        if closed_seq(entry.path()) > 0 {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

/// Held while the log is changed or its state is taken down; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: Utf8PathBuf,
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Lock);

impl Lock {
    pub(crate) fn open(dir: &Utf8Path) -> Result<Self, AuditError> {
        let path = dir.join("audit.lock");
        Ok(Self { file: open(&path)?, path })
    }

    /// Waits for other processes and for other holders in this one, but not for ever: one that was stopped in the
    /// middle must not stop everybody else.
    pub(crate) fn hold(&self) -> Result<Held<'_>, AuditError> {
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Held(self)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if begun.elapsed() < PATIENCE => {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "the log is written outside of the runtime's threads"
                    )]
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(Errno::WOULDBLOCK) => return Err(AuditError::Held { path: self.path.clone() }),
                Err(errno) => return Err(AuditError::io("lock", &self.path)(errno.into())),
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It can not fail for a lock that is held; the end of the process would give it back, too.
        let _ = rustix::fs::flock(&self.0.file, FlockOperation::Unlock);
    }
}
