//! Checks the chain: every line's hash, that each follows the one before, also over files, and that the end is there.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::AuditError;
use crate::hash::Hash;
use crate::line::{Link, Place};
use crate::read::{Snapshot, lines};

/// A file whose lines are good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// The file.
    pub path: Utf8PathBuf,
    /// The number of its first line.
    pub first: u64,
    /// The number of its last line.
    pub last: u64,
}

/// A chain without a fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Whole {
    /// Its files, oldest first.
    pub files: Vec<Checked>,
    /// The hash of its last line, to be noted elsewhere.
    pub last: Hash,
}

/// The first fault of a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// In which file.
    pub path: Utf8PathBuf,
    /// In which line of it, from 1; 0 where the fault is in none.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Checks the log in `dir`.
pub fn verify(dir: &Utf8Path) -> Result<Result<Whole, Broken>, AuditError> {
    let Snapshot { files, head } = Snapshot::take(dir)?;
    let mut chain = Chain { head, ..Chain::default() };
    let mut checked = Vec::new();
    for (path, file, len) in files {
        match chain.follow(&path, file, len)? {
            Ok(part) => checked.extend(part),
            Err(broken) => return Ok(Err(broken)),
        }
    }
    let fault = |path: Utf8PathBuf, what: String| Ok(Err(Broken { path, line: 0, what }));
    let end = chain.last.unwrap_or(Place::BEGINNING);
    match head {
        Some(head) if head.seq > end.seq => {
            let what = format!(
                "the log ends with line {}, and the head says {}: its end was cut",
                end.seq, head.seq
            );
            return fault(dir.to_owned(), what);
        }
        None if end.seq > 0 => {
            return fault(
                dir.join("head"),
                "it is missing or broken, so a cut end would not be seen".to_owned(),
            );
        }
        _ => {}
    }
    // What came before the first line must have been removed by ourselves.
    if let (Some(before), Some(first)) = (chain.before, checked.first())
        && chain.retired.get(&before.seq) != Some(&before.hash)
    {
        let what =
            format!("the lines before {} are missing, and no line says that they were removed", first.first);
        return fault(first.path.clone(), what);
    }
    Ok(Ok(Whole { files: checked, last: end.hash }))
}

/// Checks one file alone: what was before its first line and after its last is not known.
pub fn verify_file(path: &Utf8Path) -> Result<Result<Whole, Broken>, AuditError> {
    let file = File::open(path).map_err(AuditError::io("open", path))?;
    let len = file.metadata().map_err(AuditError::io("look at", path))?.len();
    let mut chain = Chain::default();
    let checked = chain.follow(path, file, len)?;
    let last = chain.last.unwrap_or(Place::BEGINNING).hash;
    Ok(checked.map(|part| Whole { files: part.into_iter().collect(), last }))
}

/// Whether the last byte is a line end. Every line is written with one, in one go.
fn ends_a_line(file: &File, len: u64) -> std::io::Result<bool> {
    let Some(last) = len.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

#[derive(Default)]
struct Chain {
    head: Option<Place>,
    /// Before the first line there is.
    before: Option<Place>,
    last: Option<Place>,
    /// Last lines of files that were removed, by their number.
    retired: HashMap<u64, Hash>,
}

impl Chain {
    /// Goes on with a file; a file without lines has no part in it.
    fn follow(
        &mut self,
        path: &Utf8Path,
        file: File,
        len: u64,
    ) -> Result<Result<Option<Checked>, Broken>, AuditError> {
        let (mut number, mut first, mut fault) = (0, None, None);
        let has_end = ends_a_line(&file, len).map_err(AuditError::io("read", path))?;
        let read = lines(file, len, |line| {
            number += 1;
            match self.step(line) {
                Ok(seq) => {
                    first.get_or_insert(seq);
                }
                Err(what) => fault = Some(what),
            }
            fault.is_none()
        });
        read.map_err(AuditError::io("read", path))?;
        if let Some(what) = fault {
            return Ok(Err(Broken { path: path.to_owned(), line: number, what }));
        }
        if !has_end {
            let what = "it has no end: it was cut, or the machine stopped while it was written".to_owned();
            return Ok(Err(Broken { path: path.to_owned(), line: number, what }));
        }
        let last = self.last.map_or(0, |last| last.seq);
        Ok(Ok(first.map(|first| Checked { path: path.to_owned(), first, last })))
    }

    /// Goes on with a line and says its number.
    fn step(&mut self, text: &[u8]) -> Result<u64, String> {
        let link = Link::parse(text).ok_or("it is no line of an audit log")?;
        let place = link.place();
        if !link.fits(text) {
            return Err("its hash is not that of the line: it was changed".to_owned());
        }
        match self.last {
            Some(last) if link.seq != last.seq + 1 => {
                return Err(format!(
                    "line {} follows line {}: lines are missing or were put in",
                    link.seq, last.seq
                ));
            }
            Some(last) if link.prev != last.hash => {
                return Err("it does not follow the line before: that one was changed".to_owned());
            }
            None if link.seq == 1 && link.prev != Hash::NONE => {
                return Err("it is the first, but follows another".to_owned());
            }
            None if link.seq > 1 => self.before = Some(Place { seq: link.seq - 1, hash: link.prev }),
            _ => {}
        }
        if self.head.is_some_and(|head| head.seq == place.seq && head.hash != place.hash) {
            return Err("it is not the line that the head knows".to_owned());
        }
        if let Some(Place { seq, hash }) = link.retired() {
            self.retired.insert(seq, hash);
        }
        self.last = Some(place);
        Ok(link.seq)
    }
}
