//! Every request has an id: in the response header, and in every log line that belongs to it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use portcullis_agent::RequestId;
use uuid::Uuid;

use crate::app::App;
use crate::error::ApiError;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand.
#[derive(Clone, Debug)]
pub(crate) struct Id(pub(crate) RequestId);

/// Gives the request its id, answers with it, and writes the access line.
pub(crate) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("req_{}", Uuid::new_v4().simple());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(Id(RequestId::from(id.as_str())));
    let draining =
        app.draining.is_cancelled() && route.as_ref().is_some_and(|r| r.as_str().starts_with("/v1"));
    let mut response = if draining {
        axum::response::IntoResponse::into_response(ApiError::shutting_down())
    } else {
        next.run(request).await
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let status = response.status().as_u16();
    app.metrics.answered(route, status);
    let head_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        request.id = id, http.method = %method, http.route = route, http.status = status, head_ms,
        "{method} {route} was answered with {status}"
    );
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}
