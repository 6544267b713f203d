//! Kept pictures: put away, listed, given out, removed.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, header};
use portcullis_agent::PrincipalId;
use portcullis_images::{Kept, NewKept, Shelf};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::images::Studio;
use crate::images::drawing::Drawn;
use crate::images::routes::studio;
use crate::routes::chat::unix_seconds;

/// Puts a picture away, and says under which URL it is found.
pub(crate) async fn keep(
    studio: &Studio,
    shelf: &Arc<Shelf>,
    principal: &PrincipalId,
    drawn: &Drawn,
) -> Result<(Kept, String), ApiError> {
    let (shelf, principal) = (Arc::clone(shelf), principal.clone());
    let (bytes, measured) = (drawn.bytes.clone(), drawn.measured);
    let put = move || {
        let new = NewKept { bytes: &bytes, measured, created: unix_seconds() };
        shelf.put(&principal, new, Instant::now())
    };
    let kept = tokio::task::spawn_blocking(put).await.map_err(|_broke| ApiError::internal())?;
    let kept = kept.map_err(|error| {
        tracing::error!(error = %error, "A picture could not be kept");
        ApiError::not_kept()
    })?;
    let url = url(studio, &kept);
    Ok((kept, url))
}

fn url(studio: &Studio, kept: &Kept) -> String {
    format!("{}/v1/images/{}/file", studio.settings.base_url, kept.id)
}

fn described(studio: &Studio, kept: &Kept) -> Value {
    json!({
        "id": &*kept.id,
        "object": "image",
        "created": kept.created,
        "size": format!("{}x{}", kept.measured.width, kept.measured.height),
        "mime_type": kept.measured.format.media_type(),
        "bytes": kept.bytes,
        "url": url(studio, kept),
    })
}

/// `GET /v1/images`: what the caller has here, the newest first.
pub(crate) async fn list(caller: Caller, State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let studio = studio(&app)?;
    let kept = studio.shelf.as_ref().map(|shelf| shelf.recent(&caller.principal, Instant::now()));
    let data: Vec<_> = kept.unwrap_or_default().iter().map(|kept| described(studio, kept)).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// `GET /v1/images/{id}/file`, and `HEAD`.
pub(crate) async fn file(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    method: Method,
) -> Result<Response, ApiError> {
    let studio = studio(&app)?;
    let missing = || ApiError::not_found("An image", &id);
    let shelf = studio.shelf.as_ref().ok_or_else(missing)?;
    let (kept, mut file) = shelf.open_picture(&caller.principal, &id, Instant::now()).ok_or_else(missing)?;
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let read = move || {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes)
        };
        let bytes = tokio::task::spawn_blocking(read).await.map_err(|_broke| ApiError::internal())?;
        Body::from(bytes.map_err(|_unreadable| ApiError::internal())?)
    };
    let format = kept.measured.format;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let name = format!("inline; filename=\"{}.{}\"", kept.id, format.word());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(kept.bytes));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// `DELETE /v1/images/{id}/file`.
pub(crate) async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let studio = studio(&app)?;
    let removed = studio.shelf.as_ref().is_some_and(|shelf| shelf.remove(&caller.principal, &id));
    if !removed {
        return Err(ApiError::not_found("An image", &id));
    }
    Ok(Json(json!({"id": id, "object": "image", "deleted": true})).into_response())
}
