//! Who calls. A handler that takes a [`Caller`] can not forget to ask.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use portcullis_agent::PrincipalId;

use crate::app::App;
use crate::error::ApiError;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: PrincipalId,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = header.and_then(bearer).ok_or_else(ApiError::unauthenticated)?;
        let principal = app.keys.authenticate(key).map_err(|_not_valid| ApiError::unauthenticated())?;
        Ok(Self { principal: PrincipalId::from(format!("{}:{}", principal.key_id, principal.name)) })
    }
}

/// `Bearer KEY`; the scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
