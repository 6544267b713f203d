//! A response while it runs: its events so far, and whoever reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use portcullis_agent::PrincipalId;
use portcullis_openai::responses::Event;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::sse::Source;

/// How large the events of a running response may be together, in bytes. A model that sends letter by letter makes
/// an event of each, many times its size.
const MOST: usize = 128 * 1024 * 1024;

/// A response while it runs.
pub(crate) struct Live {
    state: Mutex<State>,
    /// Its owner, or its client's leaving, ends it.
    pub(crate) cancel: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Each as it goes out. Event n has the number n.
    events: Vec<Bytes>,
    bytes: usize,
    end: Option<End>,
    wakers: Vec<Waker>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The response object.
    pub(crate) object: Value,
    /// The error to answer with, where nothing had come before the failure.
    pub(crate) early: Option<ApiError>,
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), cancel: CancellationToken::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events and wakes whoever reads.
    pub(crate) fn push(&self, events: &[Event]) {
        let mut state = self.lock();
        for event in events {
            let event = frame(event.name, &event.data.to_string());
            state.bytes += event.len();
            state.events.push(event);
        }
        state.wakers.drain(..).for_each(Waker::wake);
    }

    /// Whether it holds as much as it may: the response has to end.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().bytes > MOST
    }

    /// No more events follow.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.lock();
        state.end = Some(end);
        state.wakers.drain(..).for_each(Waker::wake);
    }

    fn poll<T>(&self, cx: &mut Context<'_>, look: impl FnOnce(&State) -> Option<T>) -> Poll<T> {
        let mut state = self.lock();
        let found = look(&state);
        if found.is_none() && !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> End {
        std::future::poll_fn(|cx| self.poll(cx, |state| state.end.clone())).await
    }

    /// Waits until the answer has begun, or for an end before that. The first two events say only that a
    /// response was made.
    pub(crate) async fn begun(&self) -> Option<End> {
        std::future::poll_fn(|cx| {
            self.poll(cx, |state| match &state.end {
                Some(end) => Some(Some(end.clone())),
                None => (state.events.len() > 2).then_some(None),
            })
        })
        .await
    }
}

/// An event as it goes out.
pub(crate) fn frame(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Reads a running response from an event on.
pub(crate) struct Reader {
    live: Arc<Live>,
    next: usize,
    /// Cancels the response when its only reader leaves.
    _hold: Option<CancelOnDrop>,
}

/// Ends a response when its client leaves.
pub(crate) struct CancelOnDrop(pub(crate) CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Reader {
    pub(crate) fn new(live: Arc<Live>, next: usize, hold: Option<CancelOnDrop>) -> Self {
        Self { live, next, _hold: hold }
    }
}

impl Source for Reader {
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<bool> {
        let next = &mut self.next;
        self.live.poll(cx, |state| {
            let new = state.events.get(*next..).unwrap_or_default();
            if new.is_empty() {
                return state.end.is_some().then_some(false);
            }
            for event in new {
                out.extend_from_slice(event);
            }
            *next = state.events.len();
            Some(true)
        })
    }
}

/// The responses that run now.
#[derive(Default)]
pub(crate) struct LiveResponses(Mutex<HashMap<String, (PrincipalId, Arc<Live>)>>);

impl LiveResponses {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (PrincipalId, Arc<Live>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, id: &str, principal: &PrincipalId, live: &Arc<Live>) {
        self.lock().insert(id.to_owned(), (principal.clone(), Arc::clone(live)));
    }

    pub(crate) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// A running response of this principal.
    pub(crate) fn get(&self, principal: &PrincipalId, id: &str) -> Option<Arc<Live>> {
        let live = self.lock();
        live.get(id).filter(|(owner, _)| owner == principal).map(|(_, live)| Arc::clone(live))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_running_response_holds_is_bounded() {
        let live = Live::new();
        let data = Value::String("x".repeat(1024 * 1024));
        let event = Event { name: "response.output_text.delta", sequence: 0, data };
        let pushed = (0..1000)
            .take_while(|_| !live.is_full())
            .map(|_| live.push(std::slice::from_ref(&event)))
            .count();
        assert_eq!(pushed, 128);
    }
}
