//! A fact as a line, and what the chain needs to know of a line. The form is in the crate's documentation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fact::{Entry, Fact};
use crate::hash::Hash;
use crate::text::Text;

/// The longest line that is written or believed, its end not counted.
pub(crate) const LONGEST: usize = 128 * 1024;

/// What stands between the part of a line that is hashed and its hash.
const MARK: &str = ",\"hash\":\"";

/// Where the chain has arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The number of the last line; 0 where there is none.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: Hash,
}

impl Place {
    pub(crate) const BEGINNING: Self = Self { seq: 0, hash: Hash::NONE };
}

#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    at: Timestamp,
    who: &'a Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<Text>,
    #[serde(flatten)]
    fact: &'a Fact,
    prev: Hash,
}

/// The line that comes after `last`, with its end, and where the chain is then.
pub(crate) fn write(entry: &Entry, last: Place) -> (String, Place) {
    let seq = last.seq + 1;
    let written = Written {
        seq,
        at: entry.at,
        who: &entry.who,
        request: entry.request.as_ref().map(|id| Text::new(id.as_str())),
        thread: entry.thread.as_ref().map(|id| Text::new(id.as_str())),
        turn: entry.turn.as_ref().map(|id| Text::new(id.as_str())),
        fact: &entry.fact,
        prev: last.hash,
    };
    let mut line = serde_json::to_string(&written).expect("plain values are always JSON");
    line.pop();
    let hash = Hash::of(line.as_bytes());
    line.push_str(MARK);
    line.push_str(&hash.to_string());
    line.push_str("\"}\n");
    (line, Place { seq, hash })
}

/// What the chain needs to know of a line.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    hash: Hash,
    pub(crate) event: String,
    // Of `retired`:
    last_seq: Option<u64>,
    last_hash: Option<Hash>,
}

impl Link {
    /// Reads a line without its end. `None`: it is none of ours.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Where the chain is with it.
    pub(crate) fn place(&self) -> Place {
        Place { seq: self.seq, hash: self.hash }
    }

    /// Where a file ended that was removed.
    pub(crate) fn retired(&self) -> Option<Place> {
        (self.event == "retired").then_some(())?;
        Some(Place { seq: self.last_seq?, hash: self.last_hash? })
    }

    /// Whether the hash is that of the line.
    pub(crate) fn fits(&self, line: &[u8]) -> bool {
        let end = line.len().saturating_sub(MARK.len() + 64 + 2);
        line[end..].starts_with(MARK.as_bytes())
            && line.ends_with(b"\"}")
            && Hash::of(&line[..end]) == self.hash
    }
}
