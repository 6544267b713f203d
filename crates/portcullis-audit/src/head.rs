//! The head: how far the log had come when it was last safe on the disk. A log that ends before its head was cut.
//!
//! It is written only after the lines are on the disk, so that a loss of power never makes an honest log look cut.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::AuditError;
use crate::files;
use crate::hash::Hash;
use crate::line::Place;

/// `<seq, 20 digits> <hash>` and a line end: always as long, so that one write replaces it whole.
const LENGTH: usize = 20 + 1 + 64 + 1;

/// The file `head`.
#[derive(Debug)]
pub(crate) struct Head {
    file: File,
    path: Utf8PathBuf,
}

impl Head {
    pub(crate) fn open(dir: &Utf8Path) -> Result<Self, AuditError> {
        let path = dir.join("head");
        Ok(Self { file: files::open(&path)?, path })
    }

    /// What it says; `None` when it is empty or nonsense.
    pub(crate) fn read(&self) -> Option<Place> {
        let mut text = [0; LENGTH];
        self.file.read_exact_at(&mut text, 0).ok()?;
        parse(&text)
    }

    pub(crate) fn write(&self, place: Place) -> Result<(), AuditError> {
        let text = format!("{:020} {}\n", place.seq, place.hash);
        self.file.write_all_at(text.as_bytes(), 0).map_err(AuditError::io("write", &self.path))
    }
}

/// Reads a head.
pub(crate) fn parse(text: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let (seq, hash) = text.split_once(' ')?;
    Some(Place { seq: seq.parse().ok()?, hash: Hash::parse(hash)? })
}
