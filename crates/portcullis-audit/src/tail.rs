//! The end of a file: where the chain stands, and what a crash has left there.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::line::{LONGEST, Link, Place};

/// What the end of a file says.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// The last lines that could be read, in order; not more than the end of the file holds.
    pub(crate) places: Vec<Place>,
    /// Bytes after the last line end.
    pub(crate) torn: u64,
}

impl Tail {
    /// Reads the end of a file of this length.
    pub(crate) fn read(file: &File, len: u64) -> std::io::Result<Self> {
        // Two of the longest lines, so that at least one is whole.
        let from = len.saturating_sub(2 * LONGEST as u64);
        let mut bytes = vec![0; usize::try_from(len - from).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, from)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = (bytes.len() - whole) as u64;
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        let places = lines.filter_map(Link::parse).map(|link| link.place()).collect();
        Ok(Self { places, torn })
    }

    /// The last line.
    pub(crate) fn last(&self) -> Option<Place> {
        self.places.last().copied()
    }

    /// Whether a line that is known to have been written is here as it was, or may be before what was read.
    pub(crate) fn holds(&self, known: Place) -> bool {
        match self.places.iter().find(|place| place.seq == known.seq) {
            Some(place) => place.hash == known.hash,
            None => self.places.first().is_some_and(|first| first.seq > known.seq),
        }
    }
}
