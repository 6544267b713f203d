//! Reads the log, for people and for pages. It does not check the chain.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::AuditError;
use crate::files::{self, CURRENT, Lock};
use crate::hash::Hash;
use crate::head::{self};
use crate::line::{LONGEST, Place};

/// A line of the log. Facts that a later version knows are read, too.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Line {
    /// Its number.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub who: String,
    /// The request it belongs to.
    pub request: Option<String>,
    /// The thread it belongs to.
    pub thread: Option<String>,
    /// The turn it belongs to.
    pub turn: Option<String>,
    /// The word of the fact.
    pub event: String,
    /// The hash of the line.
    pub hash: Hash,
    /// What else the fact says.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The log in `dir` as it is now: files, oldest first, how much of each, and the head.
pub(crate) struct Snapshot {
    pub(crate) files: Vec<(Utf8PathBuf, File, u64)>,
    pub(crate) head: Option<Place>,
}

impl Snapshot {
    /// Takes it under the lock, so that no line is half written in it.
    pub(crate) fn take(dir: &Utf8Path) -> Result<Self, AuditError> {
        let lock = Lock::open(dir)?;
        let _held = lock.hold()?;
        let mut paths = files::closed(dir)?;
        let current = dir.join(CURRENT);
        if current.exists() {
            paths.push(current);
        }
        let open = |path: Utf8PathBuf| {
            let file = File::open(&path).map_err(AuditError::io("open", &path))?;
            let len = file.metadata().map_err(AuditError::io("look at", &path))?.len();
            Ok((path, file, len))
        };
        let head = std::fs::read(dir.join("head")).ok().and_then(|text| head::parse(&text));
        Ok(Self { files: paths.into_iter().map(open).collect::<Result<_, AuditError>>()?, head })
    }
}

/// The lines of a file without their ends. A line that is too long to be ours ends the reading as one line.
pub(crate) fn lines(file: File, len: u64, mut each: impl FnMut(&[u8]) -> bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(file).take(len);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(LONGEST as u64 + 2).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if !each(&line) {
            return Ok(());
        }
    }
}

/// Gives every line of the log in `dir`, oldest first, to `each`; what is no line of ours is passed over.
pub fn read(dir: &Utf8Path, mut each: impl FnMut(Line, &str)) -> Result<(), AuditError> {
    if !dir.exists() {
        return Ok(());
    }
    for (path, file, len) in Snapshot::take(dir)?.files {
        let read = lines(file, len, |line| {
            if let (Ok(parsed), Ok(text)) = (serde_json::from_slice(line), std::str::from_utf8(line)) {
                each(parsed, text);
            }
            true
        });
        read.map_err(AuditError::io("read", &path))?;
    }
    Ok(())
}

/// The last lines of the log in `dir`, at most so many, the newest first: only as many files are read as hold them.
pub fn read_last(dir: &Utf8Path, most: usize) -> Result<Vec<Line>, AuditError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut last = Vec::new();
    for (path, file, len) in Snapshot::take(dir)?.files.into_iter().rev() {
        let wanted = most - last.len();
        let mut found = VecDeque::new();
        let read = lines(file, len, |line| {
            if let Ok(parsed) = serde_json::from_slice(line) {
                if found.len() == wanted {
                    found.pop_front();
                }
                found.push_back(parsed);
            }
            true
        });
        read.map_err(AuditError::io("read", &path))?;
        last.extend(found.into_iter().rev());
        if last.len() >= most {
            break;
        }
    }
    Ok(last)
}
