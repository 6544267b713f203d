//! One bounded queue per turn, between the reader that all turns share and the turn's own reader.
//!
//! The shared reader must never wait for a slow client, so sending never blocks. Deltas of one item that the
//! client has not taken yet are merged: a slow client gets fewer, larger pieces and loses nothing. What has
//! not been taken is bounded in bytes (text and pictures) and in events; past either bound [`EventSender::send`] says [`Overflow`] and
//! the turn is ended as [`crate::ErrorKind::SlowReader`] by its owner.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Delta, Item, Outcome, TurnEvent};

/// How many events may wait: after merging, a turn has a few per item, so this is never met by an honest model.
const MAX_EVENTS: usize = 4096;

/// The reader is so far behind that nothing more fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overflow;

/// Makes a queue that holds at most `max_bytes` of text and pictures.
pub fn event_queue(max_bytes: usize) -> (EventSender, EventReceiver) {
    let shared = Arc::new(Mutex::new(Shared {
        events: VecDeque::new(),
        bytes: 0,
        max_bytes,
        waker: None,
        finished: false,
        taken: false,
    }));
    (EventSender { shared: Arc::clone(&shared) }, EventReceiver { shared })
}

/// The end that the shared reader holds.
#[derive(Debug)]
pub struct EventSender {
    shared: Arc<Mutex<Shared>>,
}

/// The end that the turn's reader holds.
#[derive(Debug)]
pub struct EventReceiver {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    events: VecDeque<TurnEvent>,
    bytes: usize,
    max_bytes: usize,
    waker: Option<Waker>,
    /// An outcome was sent: nothing more is accepted.
    finished: bool,
    /// The outcome was taken.
    taken: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventSender {
    /// Adds an event; never waits. After the outcome, events are ignored: a turn ends once.
    pub fn send(&self, event: TurnEvent) -> Result<(), Overflow> {
        let mut shared = lock(&self.shared);
        if shared.finished {
            return Ok(());
        }
        if let TurnEvent::Ended(outcome) = event {
            shared.finish(outcome);
            return Ok(());
        }
        let size = size(&event);
        if shared.bytes + size > shared.max_bytes || shared.events.len() >= MAX_EVENTS {
            return Err(Overflow);
        }
        shared.bytes += size;
        shared.push(event);
        shared.wake();
        Ok(())
    }

    /// Ends the turn; a later end is ignored.
    pub fn end(&self, outcome: Outcome) {
        let mut shared = lock(&self.shared);
        if !shared.finished {
            shared.finish(outcome);
        }
    }

    /// Whether the turn has an outcome.
    pub fn finished(&self) -> bool {
        lock(&self.shared).finished
    }
}

impl EventReceiver {
    /// The next event, in order; `None` after the outcome. Cancel safe.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let mut shared = lock(&self.shared);
        if let Some(event) = shared.events.pop_front() {
            shared.bytes -= size(&event);
            if matches!(event, TurnEvent::Ended(_)) {
                shared.taken = true;
            }
            return Poll::Ready(Some(event));
        }
        if shared.taken {
            return Poll::Ready(None);
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the turn has an outcome, taken or not.
    pub fn finished(&self) -> bool {
        lock(&self.shared).finished
    }
}

impl Shared {
    fn push(&mut self, event: TurnEvent) {
        if let TurnEvent::Delta(new) = &event
            && let Some(TurnEvent::Delta(last)) = self.events.back_mut()
            && last.kind == new.kind
            && last.item == new.item
        {
            last.text.push_str(&new.text);
            return;
        }
        self.events.push_back(event);
    }

    fn finish(&mut self, outcome: Outcome) {
        self.finished = true;
        self.events.push_back(TurnEvent::Ended(outcome));
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What an event weighs in the queue: its text, or its picture.
fn size(event: &TurnEvent) -> usize {
    match event {
        TurnEvent::Delta(Delta { text, .. }) | TurnEvent::ItemCompleted(Item::Message { text, .. }) => {
            text.len()
        }
        TurnEvent::ItemCompleted(Item::Reasoning(reasoning)) => {
            reasoning.summary.iter().map(String::len).sum::<usize>()
                + reasoning.encrypted.as_ref().map_or(0, String::len)
        }
        TurnEvent::ItemCompleted(Item::Command(command)) => command.line.len() + command.cwd.len(),
        TurnEvent::ItemCompleted(Item::FileChange(change)) => {
            change.files.iter().map(|file| file.path.len()).sum()
        }
        TurnEvent::ToolCalls(calls) => calls.iter().map(|c| c.arguments.len()).sum(),
        TurnEvent::ItemCompleted(Item::Picture(picture)) | TurnEvent::Preview(picture) => picture.bytes.len(),
        TurnEvent::StepCompleted(_) | TurnEvent::Ended(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;
    use proptest::prelude::*;

    use super::*;
    use crate::{DeltaKind, ItemId};

    fn delta(item: &str, text: &str) -> TurnEvent {
        TurnEvent::Delta(Delta { item: ItemId::from(item), kind: DeltaKind::Message, text: text.to_owned() })
    }

    fn drain(receiver: &mut EventReceiver) -> Vec<String> {
        let mut cx = Context::from_waker(noop_waker_ref());
        let mut out = Vec::new();
        while let Poll::Ready(Some(event)) = receiver.poll_next(&mut cx) {
            out.push(match event {
                TurnEvent::Delta(d) => format!("{}:{}", d.item, d.text),
                TurnEvent::Ended(o) => o.word().to_owned(),
                other => format!("{other:?}"),
            });
        }
        out
    }

    #[test]
    fn deltas_that_wait_are_merged_within_their_item_and_the_outcome_comes_once() {
        let (sender, mut receiver) = event_queue(100);
        for (item, text) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
            sender.send(delta(item, text)).unwrap();
        }
        sender.end(Outcome::Completed);
        sender.end(Outcome::Interrupted);
        sender.send(delta("a", "late")).unwrap();
        assert_eq!(drain(&mut receiver), ["a:12", "b:3", "a:4", "completed"]);
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(matches!(receiver.poll_next(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_taking_makes_room() {
        let (sender, mut receiver) = event_queue(4);
        sender.send(delta("a", "1234")).unwrap();
        assert_eq!(sender.send(delta("a", "5")), Err(Overflow));
        assert_eq!(drain(&mut receiver), ["a:1234"]);
        sender.send(delta("a", "5")).unwrap();
        // The outcome always fits: a turn that overflowed must still be able to say so.
        sender.end(Outcome::Interrupted);
        assert_eq!(drain(&mut receiver), ["a:5", "interrupted"]);
    }

    proptest! {
        /// However sends and reads interleave, no text is lost, none is reordered, and there is one outcome.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec((0u8..3, "[a-z]{1,4}", any::<bool>()), 0..60)) {
            let (sender, mut receiver) = event_queue(10_000);
            let (mut sent, mut got) = (String::new(), String::new());
            let mut outcomes = 0;
            let mut take = |receiver: &mut EventReceiver, all: bool| {
                let mut cx = Context::from_waker(noop_waker_ref());
                while let Poll::Ready(Some(event)) = receiver.poll_next(&mut cx) {
                    match event {
                        TurnEvent::Delta(d) => got.push_str(&d.text),
                        TurnEvent::Ended(_) => outcomes += 1,
                        _ => {}
                    }
                    if !all { break }
                }
            };
            for (item, text, read) in &steps {
                sender.send(delta(&item.to_string(), text)).unwrap();
                sent.push_str(text);
                if *read { take(&mut receiver, false) }
            }
            sender.end(Outcome::Completed);
            take(&mut receiver, true);
            prop_assert_eq!(sent, got);
            prop_assert_eq!(outcomes, 1);
        }
    }
}
