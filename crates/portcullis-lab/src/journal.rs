//! What was received and how each answer ended. Bounded, because the demo runs for as long as someone likes.

use std::{collections::VecDeque, sync::Arc};

use crate::{Closed, Received};

/// Requests that are remembered; older ones are forgotten, their indices are not reused.
const MAX_KEPT: usize = 1024;
/// Bytes of request bodies that are remembered, the newest request's in any case.
const MAX_KEPT_BYTES: usize = 128 << 20;
/// Requests to anything but `POST …/responses` that are remembered.
const MAX_KEPT_OTHERS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Journal {
    kept: VecDeque<Entry>,
    kept_bytes: usize,
    forgotten: usize,
    open: usize,
    others: VecDeque<Received>,
    others_seen: usize,
}

#[derive(Debug)]
struct Entry {
    received: Arc<Received>,
    bytes: usize,
    closed: Option<Closed>,
}

/// What is known about the end of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    NotReceived,
    Open,
    Closed(Closed),
    Forgotten,
}

impl Journal {
    /// How many requests there were, the forgotten ones included.
    pub(crate) fn seen(&self) -> usize {
        self.forgotten + self.kept.len()
    }

    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Adds a request whose index is [`Journal::seen`].
    pub(crate) fn add(&mut self, received: Arc<Received>, bytes: usize) {
        self.kept.push_back(Entry { received, bytes, closed: None });
        self.kept_bytes += bytes;
        self.open += 1;
        while self.kept.len() > MAX_KEPT || (self.kept_bytes > MAX_KEPT_BYTES && self.kept.len() > 1) {
            if let Some(oldest) = self.kept.pop_front() {
                self.kept_bytes -= oldest.bytes;
                self.forgotten += 1;
            }
        }
    }

    pub(crate) fn add_other(&mut self, mut received: Received) {
        received.index = self.others_seen;
        self.others_seen += 1;
        if self.others.len() == MAX_KEPT_OTHERS {
            self.others.pop_front();
        }
        self.others.push_back(received);
    }

    /// Each answer is closed once, also that of a forgotten request.
    pub(crate) fn close(&mut self, index: usize, closed: Closed) {
        self.open -= 1;
        if let Some(entry) = index.checked_sub(self.forgotten).and_then(|at| self.kept.get_mut(at)) {
            entry.closed = Some(closed);
        }
    }

    pub(crate) fn requests(&self) -> Vec<Arc<Received>> {
        self.kept.iter().map(|entry| Arc::clone(&entry.received)).collect()
    }

    pub(crate) fn others(&self) -> Vec<Received> {
        self.others.iter().cloned().collect()
    }

    pub(crate) fn fate(&self, index: usize) -> Fate {
        let Some(at) = index.checked_sub(self.forgotten) else { return Fate::Forgotten };
        match self.kept.get(at) {
            None => Fate::NotReceived,
            Some(Entry { closed: Some(closed), .. }) => Fate::Closed(*closed),
            Some(_) => Fate::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http::{HeaderMap, Method};
    use serde_json::Value;

    use super::*;
    use crate::HowClosed;

    #[test]
    fn old_requests_are_forgotten_and_keep_their_index() {
        let mut journal = Journal::default();
        let received = |index| {
            Arc::new(Received {
                index,
                at: Instant::now(),
                method: Method::POST,
                path: String::new(),
                headers: HeaderMap::new(),
                body: Value::Null,
            })
        };
        for index in 0..=MAX_KEPT {
            journal.add(received(index), 1);
        }
        let closed = Closed { at: Instant::now(), how: HowClosed::Answered };
        journal.close(0, closed);
        journal.close(1, closed);
        assert_eq!((journal.seen(), journal.open()), (MAX_KEPT + 1, MAX_KEPT - 1));
        assert_eq!(journal.fate(0), Fate::Forgotten);
        assert_eq!(journal.fate(1), Fate::Closed(closed));
        assert_eq!(journal.fate(2), Fate::Open);
        assert_eq!(journal.fate(MAX_KEPT + 1), Fate::NotReceived);

        journal.add(received(journal.seen()), MAX_KEPT_BYTES + 1);
        assert_eq!((journal.requests().len(), journal.seen()), (1, MAX_KEPT + 2));
    }
}
