//! The log on the disk, as one process writes it. Others may write between two calls; a lock orders them.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::AuditError;
use crate::fact::{Entry, Fact};
use crate::files::{self, CURRENT, Limits, Lock, closed_name};
use crate::hash::Hash;
use crate::head::Head;
use crate::line::{self, LONGEST, Place};
use crate::tail::Tail;
use crate::text::Text;

/// Appends facts to the log of a directory. Its calls block.
#[derive(Debug)]
pub struct Journal {
    dir: Utf8PathBuf,
    limits: Limits,
    lock: Lock,
    head: Head,
    /// The current file, as we left it.
    known: Option<Known>,
    /// What happened to the log itself, until it is written.
    notes: Vec<Entry>,
    /// Lines that may not be on the disk yet.
    unsynced: bool,
}

#[derive(Debug)]
struct Known {
    file: File,
    device: u64,
    inode: u64,
    len: u64,
    last: Place,
}

impl Journal {
    /// Opens the log in `dir`, which is made for its owner alone if need be.
    pub fn open(dir: &Utf8Path, limits: Limits) -> Result<Self, AuditError> {
        files::make(dir)?;
        let (lock, head) = (Lock::open(dir)?, Head::open(dir)?);
        Ok(Self { dir: dir.to_owned(), limits, lock, head, known: None, notes: Vec::new(), unsynced: false })
    }

    /// Appends facts: all or none. When it returns they are in the file and survive this process; a loss of power they
    /// survive after [`Journal::sync`].
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), AuditError> {
        let _held = self.lock.hold()?;
        let mut known = match self.known.take() {
            Some(known) if known.is(&self.dir.join(CURRENT)) => known,
            known => catch_up(&self.dir, self.head.read(), known.map(|known| known.last), &mut self.notes)?,
        };
        if known.len > self.limits.file {
            known = rotate(&known, &self.dir, self.limits, &self.head, &mut self.notes)?;
        }
        let first = known.last == Place::BEGINNING;
        let done = known.write(self.notes.iter().chain(entries), &self.dir);
        let last = known.last;
        if done.is_ok() {
            self.notes.clear();
            self.unsynced = true;
        }
        // From the first line on there is a head, so that one that is missing was taken away.
        if first && done.is_ok() {
            self.head.write(last)?;
        }
        self.known = Some(known);
        done
    }

    /// Has the disk keep everything that was appended, and notes in the head how far that is.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        let (true, Some(known)) = (self.unsynced, &self.known) else { return Ok(()) };
        known.file.sync_data().map_err(AuditError::io("sync", &self.dir.join(CURRENT)))?;
        let _held = self.lock.hold()?;
        // Another process may be further by now.
        if self.head.read().is_none_or(|head| head.seq < known.last.seq) {
            self.head.write(known.last)?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// The number and hash of the last line that this process has written.
    pub fn last(&self) -> Option<(u64, Hash)> {
        self.known.as_ref().map(|known| (known.last.seq, known.last.hash))
    }
}

/// Finds out where the chain stands, and repairs a torn end. What was wrong is told in `notes`.
///
/// Where the file does not have what was in it, by the head or by what we wrote ourselves, the chain goes on from there:
/// the gap stays visible for ever.
fn catch_up(
    dir: &Utf8Path,
    head: Option<Place>,
    ours: Option<Place>,
    notes: &mut Vec<Entry>,
) -> Result<Known, AuditError> {
    let path = dir.join(CURRENT);
    let file = files::open(&path)?;
    let metadata = file.metadata().map_err(AuditError::io("look at", &path))?;
    let Tail { places, torn } = Tail::read(&file, metadata.len()).map_err(AuditError::io("read", &path))?;
    let len = metadata.len() - torn;
    if torn > 0 {
        file.set_len(len).map_err(AuditError::io("repair", &path))?;
    }
    let tail = Tail { places, torn };
    let before = if len == 0 { files::closed(dir)?.pop() } else { None };
    let end = match &before {
        Some(closed) => last_of(closed)?,
        None => tail.last().unwrap_or(Place::BEGINNING),
    };
    let expected = head.into_iter().chain(ours).max_by_key(|place| place.seq).unwrap_or(end);
    let (last, missing) = if end.seq < expected.seq {
        (expected, expected.seq - end.seq)
    } else if tail.holds(expected) || end == expected {
        (end, 0)
    } else {
        (expected, 1)
    };
    let head_lost = head.is_none() && end.seq > 0;
    if torn > 0 || missing > 0 || head_lost {
        let fact = Fact::Recovered { torn_bytes: torn, missing_lines: missing, head_lost };
        notes.push(Entry::of_gateway(fact));
    }
    if let Some(before) = before.as_deref().and_then(Utf8Path::file_name) {
        notes.push(Entry::of_gateway(Fact::Continued { file: Text::new(before) }));
    }
    Ok(Known { device: metadata.dev(), inode: metadata.ino(), file, len, last })
}

/// Closes the current file, begins another, and removes closed ones that are too many.
fn rotate(
    known: &Known,
    dir: &Utf8Path,
    limits: Limits,
    head: &Head,
    notes: &mut Vec<Entry>,
) -> Result<Known, AuditError> {
    let path = dir.join(CURRENT);
    known.file.sync_data().map_err(AuditError::io("sync", &path))?;
    head.write(known.last)?;
    let closed = dir.join(closed_name(known.last.seq));
    std::fs::rename(&path, &closed).map_err(AuditError::io("rename", &path))?;
    let begun = catch_up(dir, Some(known.last), None, notes)?;
    let all = files::closed(dir)?;
    for file in &all[..all.len().saturating_sub(limits.keep)] {
        let last = last_of(file)?;
        std::fs::remove_file(file).map_err(AuditError::io("remove", file))?;
        let name = Text::new(file.file_name().unwrap_or_default());
        let fact = Fact::Retired { file: name, last_seq: last.seq, last_hash: last.hash };
        notes.push(Entry::of_gateway(fact));
    }
    // The new names must survive a loss of power before the next line does.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(AuditError::io("sync", dir))?;
    Ok(begun)
}

/// Where a closed file ends.
fn last_of(path: &Utf8Path) -> Result<Place, AuditError> {
    let file = File::open(path).map_err(AuditError::io("open", path))?;
    let len = file.metadata().map_err(AuditError::io("look at", path))?.len();
    let tail = Tail::read(&file, len).map_err(AuditError::io("read", path))?;
    Ok(tail.last().unwrap_or(Place::BEGINNING))
}

impl Known {
    /// Whether nobody has touched the file since.
    fn is(&self, path: &Utf8Path) -> bool {
        std::fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino(), found.len()) == (self.device, self.inode, self.len))
    }

    /// Writes lines at the end; when that fails the file is as it was.
    fn write<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        dir: &Utf8Path,
    ) -> Result<(), AuditError> {
        let (mut text, mut last) = (String::new(), self.last);
        for entry in entries {
            let (line, place) = line::write(entry, last);
            if line.len() > LONGEST {
                return Err(AuditError::TooLong { bytes: line.len() });
            }
            text.push_str(&line);
            last = place;
        }
        if let Err(error) = self.file.write_all_at(text.as_bytes(), self.len) {
            // Where even this fails, the next writer finds the torn end.
            let _ = self.file.set_len(self.len);
            return Err(AuditError::io("write", &dir.join(CURRENT))(error));
        }
        self.len += text.len() as u64;
        self.last = last;
        Ok(())
    }
}
