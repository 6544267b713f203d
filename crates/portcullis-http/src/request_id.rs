//! Every request has an id: in the response header, and in every log line that belongs to it. And it may have a place in
//! a distributed trace.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use portcullis_agent::{RequestId, TraceContext};
use uuid::Uuid;

use crate::app::App;
use crate::door::{look, of_pages};
use crate::error::ApiError;
use crate::tracer::{EndedRequest, begin, until_its_end};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What the request at hand is known by.
#[derive(Clone, Debug)]
pub(crate) struct Id {
    pub(crate) request: RequestId,
    /// Its place in a trace, if it has one.
    pub(crate) trace: Option<TraceContext>,
}

/// Gives the request its id, looks whether it may come in, answers with the id, and writes the access line. One layer for all
/// of it: every layer is made anew for every request.
pub(crate) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let (started, began) = (Instant::now(), SystemTime::now());
    let id = format!("req_{}", Uuid::new_v4().simple());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let of_api = route.as_ref().is_some_and(|route| route.as_str().starts_with("/v1"));
    let (trace, span) = if of_api { begin(request.headers(), app.tracer.as_deref()) } else { (None, None) };
    let trace_id = trace.as_ref().map(TraceContext::trace_id);
    request.extensions_mut().insert(Id { request: RequestId::from(id.as_str()), trace });
    let draining = of_api && app.draining.is_cancelled();
    let settings = app.settings();
    let mut response = if draining {
        ApiError::shutting_down().into_response()
    } else {
        match look(&request, &settings) {
            Ok(()) => of_pages(&app, &settings, request, next).await,
            Err(refused) => refused.into_response(),
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let status = response.status().as_u16();
    app.metrics.answered(route, status);
    let head_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        request.id = id, trace.id = trace_id, http.method = %method, http.route = route, http.status = status, head_ms,
        "{method} {route} was answered with {status}"
    );
    let (Some(span), Some(tracer)) = (span, &app.tracer) else { return response };
    let ended = EndedRequest {
        span,
        request: id,
        method,
        route: route.to_owned(),
        status,
        began,
        duration: Duration::ZERO,
    };
    until_its_end(response, ended, started, Arc::clone(tracer))
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}
