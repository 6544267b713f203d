//! Requests as spans of distributed traces, for whoever keeps them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::{Frame, SizeHint};
use portcullis_agent::{Span, TraceContext};

/// Who keeps spans.
pub trait Tracer: Send + Sync {
    /// Whether a trace that begins here is kept.
    fn begins(&self) -> bool;
    /// A request of the API has been answered to its end, or its client has left.
    fn ended(&self, request: &EndedRequest);
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct EndedRequest {
    /// Its place in the trace.
    pub span: Span,
    /// Its id.
    pub request: String,
    /// Its method.
    pub method: Method,
    /// The route that it matched: `/v1/responses/{id}`.
    pub route: String,
    /// The status of its answer.
    pub status: u16,
    /// When its head was there.
    pub began: SystemTime,
    /// Until the last byte of its answer was taken.
    pub duration: Duration,
}

/// The place of a request in a trace, and its span if that is kept. A trace of the client's is kept if the client keeps it.
pub(crate) fn begin(
    headers: &HeaderMap,
    tracer: Option<&dyn Tracer>,
) -> (Option<TraceContext>, Option<Span>) {
    let of_client = of_client(headers);
    let mut span = None;
    let trace = match (of_client, tracer) {
        (Some(trace), Some(_)) if trace.is_sampled() => {
            let mut trace = trace.recorded();
            span = trace.enter();
            Some(trace)
        }
        (None, Some(tracer)) if tracer.begins() => {
            span = TraceContext::begin();
            span.as_ref().map(|span| span.context.clone())
        }
        (of_client, _) => of_client,
    };
    (trace, span)
}

fn of_client(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states: Vec<_> =
        headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok()).collect();
    TraceContext::parse(parent.to_str().ok()?, Some(&states.join(",")))
}

/// Tells the tracer when the answer is over.
pub(crate) fn until_its_end(
    response: Response,
    ended: EndedRequest,
    started: Instant,
    tracer: Arc<dyn Tracer>,
) -> Response {
    let telling = Telling { ended, started, tracer };
    response.map(|inner| Body::new(Told { inner, _telling: telling }))
}

/// Tells when it is dropped.
struct Telling {
    ended: EndedRequest,
    started: Instant,
    tracer: Arc<dyn Tracer>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.ended.duration = self.started.elapsed();
        self.tracer.ended(&self.ended);
    }
}

/// A body whose end is told.
struct Told {
    inner: Body,
    _telling: Telling,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct All(bool);

    impl Tracer for All {
        fn begins(&self) -> bool {
            self.0
        }

        fn ended(&self, _request: &EndedRequest) {}
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn begun(headers: &[(&'static str, &'static str)], tracer: Option<bool>) -> (Option<String>, bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        let tracer = tracer.map(All);
        let (trace, span) = begin(&map, tracer.as_ref().map(|tracer| tracer as &dyn Tracer));
        if let (Some(trace), Some(span)) = (&trace, &span) {
            assert_eq!(*trace, span.context);
        }
        (trace.map(|trace| trace.traceparent()), span.is_some())
    }

    #[test]
    fn a_trace_of_the_clients_goes_on_and_is_kept_if_the_client_keeps_it() {
        let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let passed_on = |header: &str| (Some(header.to_owned()), false);
        // Nobody keeps spans, or the client does not: as it came.
        for tracer in [None, Some(true)] {
            assert_eq!(begun(&[("traceparent", unsampled)], tracer), passed_on(unsampled));
        }
        assert_eq!(begun(&[("traceparent", PARENT)], None), passed_on(PARENT));
        // A span of ours, whatever is done with traces that begin here.
        for of_ours in [true, false] {
            let (trace, kept) = begun(&[("traceparent", PARENT)], Some(of_ours));
            let trace = trace.unwrap();
            assert!(kept && trace != PARENT && trace.starts_with(&PARENT[..36]), "{trace}");
        }
        // None, or two: one begins here, or not.
        for headers in
            [&[][..], &[("traceparent", PARENT), ("traceparent", PARENT)], &[("traceparent", "00-1")]]
        {
            assert_eq!(begun(headers, None), (None, false));
            assert_eq!(begun(headers, Some(false)), (None, false));
            let (trace, kept) = begun(headers, Some(true));
            assert!(kept && !trace.unwrap().starts_with(&PARENT[..36]));
        }
    }
}
