//! The JSON body of a request, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde_json::Value;

use crate::app::App;
use crate::error::ApiError;

/// How long a body that is refused is still taken.
const LINGER: Duration = Duration::from_millis(500);

/// Reads what a client is just sending and throws it away, at most as much as a body may have. A connection that is closed
/// on unread bytes is reset, and the client would lose the answer that says why.
async fn take_what_comes(mut body: Body, limit: usize) {
    let take = async {
        let mut taken = 0;
        while taken <= limit
            && let Some(Ok(frame)) = body.frame().await
        {
            taken += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    };
    let _late = tokio::time::timeout(LINGER, take).await;
}

/// A JSON body. Its depth is bounded by the parser (128).
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Value);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.settings().body_limit;
        let deadline = app.settings().entrance.body;
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            let essence = kind.split(';').next().unwrap_or(kind).trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            return Err(ApiError::not_json_type());
        }
        // A small body could unfold into a large one; nobody needs that on the way to a model.
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(ApiError::encoded_body());
        }
        let bytes = read_bytes(request.into_body(), limit, deadline).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| ApiError::not_json(&error))
    }
}

/// All of a body, within bounds.
pub(crate) async fn read_bytes(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, ApiError> {
    // By its own word, before anything is kept.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        take_what_comes(body, limit).await;
        return Err(ApiError::body_too_large(limit));
    }
    // Counted as it arrives: a chunked body has no length to believe.
    let body = tokio::time::timeout(deadline, Limited::new(body, limit).collect());
    match body.await.map_err(|_elapsed| ApiError::body_too_slow())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Err(_broken) => Err(ApiError::body_broke_off()),
    }
}
