//! The routes that image plug-ins know: `GET /healthz`, `GET /v1/capabilities`, `POST /v1/images/generate`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::images::answer::Pieces;
use crate::images::body::{Content, PictureBody, read};
use crate::images::drawing::Drawing;
use crate::images::plugin::{self, PluginRequest};
use crate::images::{files, routes};
use crate::request_id::Id;

/// Whether it runs, and what it is. Tells nothing of the machine.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let studio = routes::studio(&app)?;
    Ok(Json(json!({
        "status": "ok",
        "backend": studio.backend.name,
        "model": studio.backend.model,
        "output_dir": null,
        "auth_required": true,
        "generation_timeout_ms": u64::try_from(studio.settings.deadline.as_millis()).unwrap_or(u64::MAX),
    })))
}

/// What it can.
pub(crate) async fn capabilities(
    _caller: Caller,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ApiError> {
    let studio = routes::studio(&app)?;
    Ok(Json(plugin::capabilities(studio.backend, &studio.settings)))
}

/// The contract has codes of its own.
pub(crate) async fn as_the_contract(response: Response) -> Response {
    let error = response.extensions().get::<ApiError>();
    let said = error.and_then(|error| Some((error.clone(), plugin::code(error.code()?)?)));
    said.map_or(response, |(error, code)| error.with_code(code).into_response())
}

/// Pictures, each under a URL.
pub(crate) async fn generate(
    caller: Caller,
    id: Id,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let app = &app;
    let studio = routes::studio(app)?;
    let PictureBody { content, room } = read(request, studio, false).await?;
    let Content::Json(body) = content else { return Err(ApiError::not_json_type()) };
    let PluginRequest { wanted, requested_size, quality } =
        plugin::parse(&body, studio.backend, &studio.settings)?;
    drop(body);
    let turn = wanted.turn(&caller, &id, studio);
    let wanted = Arc::new(wanted);
    let drawing = Drawing::new(studio, &wanted, &turn);
    drop(turn);
    let drawn = tokio::select! {
        drawn = drawing.all(wanted.count) => drawn?,
        () = app.ending.cancelled() => return Err(ApiError::shutting_down()),
    };
    drop(room);

    let mut pieces = Pieces::new();
    let mut data = Vec::new();
    let mut carried = Vec::new();
    for (number, picture) in drawn.into_iter().enumerate() {
        let media_type = picture.measured.format.media_type();
        let (id, url) = match &studio.shelf {
            Some(shelf) => {
                let (kept, url) = files::keep(studio, shelf, &caller.principal, &picture).await?;
                (kept.id.to_string(), url)
            }
            None => {
                (format!("{}-{number}", id.request), format!("data:{media_type};base64,{}", pieces.here()))
            }
        };
        data.push(json!({
            "id": id,
            "label": format!("{}", number + 1),
            "mime_type": media_type,
            "model": studio.backend.model,
            // Where it lies is nobody's business.
            "path": null,
            "requested_size": requested_size,
            "resolved_size": format!("{}x{}", picture.measured.width, picture.measured.height),
            "size_match": picture.size.map(portcullis_images::SizeMatch::word),
            "post_processed": picture.resized,
            "revised_prompt": picture.revised_prompt,
            "url": url,
        }));
        if studio.shelf.is_none() {
            carried.push(picture.bytes);
        }
    }
    // The first picture's facts stand at the top, too. Where answers carry their pictures, it is carried once.
    let mut body = data.first().cloned().unwrap_or_default();
    body["status"] = "completed".into();
    body["backend"] = studio.backend.name.into();
    body["quality"] = quality.into();
    if studio.shelf.is_none() {
        body["url"] = Value::Null;
    }
    body["data"] = data.into();
    pieces.push_json(&body, carried);
    Ok(pieces.into_json())
}
