//! The JSON body of a request, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use crate::app::App;
use crate::error::ApiError;

/// How long a body may take to arrive. 20 MiB in it is 170 KB/s.
const BODY_DEADLINE: Duration = Duration::from_mins(2);

/// A JSON body. Its depth is bounded by the parser (128).
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Value);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.settings.body_limit;
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            let essence = kind.split(';').next().unwrap_or(kind).trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            return Err(ApiError::not_json_type());
        }
        // Counted as it arrives: a chunked body has no length to believe.
        let body = tokio::time::timeout(BODY_DEADLINE, Limited::new(request.into_body(), limit).collect());
        let bytes = match body.await.map_err(|_elapsed| ApiError::body_too_slow())? {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(ApiError::body_too_large(limit)),
            Err(_broken) => return Err(ApiError::body_broke_off()),
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| ApiError::not_json(&error))
    }
}
