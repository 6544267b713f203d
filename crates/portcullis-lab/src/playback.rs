//! A response body that performs the steps of an answer.
//!
//! hyper polls it while it also watches the socket, and drops it as soon as the client is gone, be it in the middle
//! of a delay; so there is no task per answer and nothing to race.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::{HowClosed, Step, lab::Exchange};

/// Makes hyper break the connection.
#[derive(Debug, thiserror::Error)]
#[error("the script cuts the connection here")]
pub(crate) struct CutHere;

#[derive(Debug)]
pub(crate) struct Playback {
    steps: vec::IntoIter<Step>,
    now: Now,
    exchange: Exchange,
}

#[derive(Debug)]
enum Now {
    Next,
    Waiting(Pin<Box<Sleep>>),
    Cutting,
    Hanging,
}

impl Playback {
    pub(crate) fn new(steps: Vec<Step>, exchange: Exchange) -> Self {
        Self { steps: steps.into_iter(), now: Now::Next, exchange }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = CutHere;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutHere>>> {
        loop {
            match &mut self.now {
                Now::Next => {}
                Now::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.now = Now::Next;
                }
                Now::Cutting => {
                    self.exchange.end(HowClosed::Cut);
                    return Poll::Ready(Some(Err(CutHere)));
                }
                Now::Hanging => return Poll::Pending,
            }
            match self.steps.next() {
                None => {
                    self.exchange.end(HowClosed::Answered);
                    return Poll::Ready(None);
                }
                Some(Step::Delay(delay)) => self.now = Now::Waiting(Box::pin(sleep(delay))),
                Some(Step::Hang) => self.now = Now::Hanging,
                Some(Step::Cut) => {
                    // hyper throws away what it has not yet written when a body fails, and writes when one is
                    // pending: so the cut comes one poll later than the events before it.
                    self.now = Now::Cutting;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(step @ Step::Event { .. }) => {
                    if let Some(bytes) = step.sse() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
            }
        }
    }
}
