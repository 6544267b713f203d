//! The body of a stream: everything that is ready goes out in one write, and a quiet stream says that it lives.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, header};
use tokio::time::{Instant, Sleep, sleep};

/// Proxies cut streams that are silent for 30 to 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where the bytes of a stream come from.
pub(crate) trait Source: Send + Unpin + 'static {
    /// Appends what is ready. `Ready(true)`: more may follow; `Ready(false)`: this was the end.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<bool>;
}

/// An answer whose body is a stream of events.
pub(crate) fn response(source: impl Source) -> Response {
    let stream = EventStream { source: Some(source), quiet: Box::pin(sleep(KEEP_ALIVE)) };
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect the events otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct EventStream<S> {
    source: Option<S>,
    quiet: Pin<Box<Sleep>>,
}

impl<S: Source> Stream for EventStream<S> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(source) = &mut this.source else { return Poll::Ready(None) };
        let mut out = Vec::new();
        match source.poll_write(cx, &mut out) {
            Poll::Ready(more) => {
                if !more {
                    this.source = None;
                    if out.is_empty() {
                        return Poll::Ready(None);
                    }
                }
                this.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                Poll::Ready(Some(Ok(out.into())))
            }
            Poll::Pending if this.quiet.as_mut().poll(cx).is_ready() => {
                this.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                // Registers the next waking; it can not be due yet.
                let _not_yet = this.quiet.as_mut().poll(cx);
                Poll::Ready(Some(Ok(Bytes::from_static(b": keep-alive\n\n"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::sync::mpsc;

    use super::*;

    /// Writes what the test sends; ends when the test hangs up.
    struct ByHand(mpsc::Receiver<&'static str>);

    impl Source for ByHand {
        fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<bool> {
            self.0.poll_recv(cx).map(|text| text.map(|text| out.extend_from_slice(text.as_bytes())).is_some())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_says_that_it_lives_and_a_lively_one_does_not() {
        let (send, receive) = mpsc::channel(1);
        let mut stream = EventStream { source: Some(ByHand(receive)), quiet: Box::pin(sleep(KEEP_ALIVE)) };
        let began = Instant::now();
        let mut next = async || stream.next().await.map(|chunk| chunk.unwrap_or_else(|never| match never {}));
        for seconds in [15, 30] {
            assert_eq!(next().await.as_deref(), Some(&b": keep-alive\n\n"[..]));
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        // An event starts the time anew.
        tokio::time::advance(Duration::from_secs(10)).await;
        send.send("data: x\n\n").await.unwrap();
        assert_eq!(next().await.as_deref(), Some(&b"data: x\n\n"[..]));
        assert_eq!(next().await.as_deref(), Some(&b": keep-alive\n\n"[..]));
        assert_eq!(began.elapsed().as_secs(), 55);
        drop(send);
        assert_eq!(next().await, None);
    }
}
