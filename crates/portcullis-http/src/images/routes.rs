//! `POST /v1/images/generations`, `/v1/images/edits`, `/v1/images/variations`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::FutureExt as _;
use http::{HeaderName, HeaderValue};
use portcullis_agent::{PictureCost, Reference};
use portcullis_images::{SizeMatch, decode_data_url};
use portcullis_openai::InvalidRequest;
use serde_json::{Map, Value, json};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::images::answer::Pieces;
use crate::images::body::{Content, PictureBody, Room, object, read};
use crate::images::drawing::{Drawing, Drawn, Step};
use crate::images::multipart::Form;
use crate::images::wanted::{Wanted, invalid, reference};
use crate::images::{Studio, files, openai};
use crate::request_id::Id;
use crate::routes::chat::unix_seconds;
use crate::sse::{self, Source};

pub(crate) use crate::images::files::{delete, file, list};

/// Says whether pictures have the size that was asked for: `exact`, `aspect` (its shape), `no`.
pub(crate) const SIZE_MATCH: HeaderName = HeaderName::from_static("x-image-size-match");

/// Who draws, if somebody does.
pub(crate) fn studio(app: &App) -> Result<&Arc<Studio>, ApiError> {
    app.studio.as_ref().ok_or_else(ApiError::no_pictures_here)
}

/// Pictures from a text.
pub(crate) async fn generations(
    caller: Caller,
    id: Id,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let studio = studio(&app)?;
    let PictureBody { content, room } = read(request, studio, false).await?;
    let Content::Json(body) = content else { return Err(ApiError::not_json_type()) };
    let fields = object(body)?;
    for name in ["image", "images", "mask"] {
        if fields.get(name).is_some_and(|value| !value.is_null()) {
            let message = format!("'{name}' is for POST /v1/images/edits.");
            return Err(InvalidRequest::at(name, message).code("unsupported_parameter").into());
        }
    }
    let wanted = openai::parse(&fields, studio.backend, &studio.settings)?;
    let call = Call {
        wire: "image_generation",
        app: Arc::clone(&app),
        studio: Arc::clone(studio),
        caller,
        id,
        room,
    };
    call.answer(wanted).await
}

/// Pictures from pictures.
pub(crate) async fn edits(
    caller: Caller,
    id: Id,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let studio = studio(&app)?;
    let PictureBody { content, room } = read(request, studio, true).await?;
    let (fields, images, mask) = match content {
        Content::Form(Form { fields, images, mask }) => (fields, images, mask),
        Content::Json(body) => from_json(object(body)?)?,
    };
    let mut wanted = openai::parse(&fields, studio.backend, &studio.settings)?;
    if mask.is_some() && !studio.backend.exact {
        return Err(openai::unsupported("mask").into());
    }
    let most = studio.backend.references;
    if images.is_empty() || images.len() > most {
        return Err(invalid(
            "image",
            format!("From 1 to {most} pictures can be edited at once; there are {}.", images.len()),
        ));
    }
    let read = |bytes: Vec<Bytes>, name: &str| -> Result<Vec<Reference>, ApiError> {
        bytes.into_iter().map(|bytes| reference(bytes, name)).collect()
    };
    wanted.references = read(images, "image")?;
    wanted.mask = read(mask.into_iter().collect(), "mask")?.pop();
    let call =
        Call { wire: "image_edit", app: Arc::clone(&app), studio: Arc::clone(studio), caller, id, room };
    call.answer(wanted).await
}

/// Only models that are gone had them.
pub(crate) async fn variations(_caller: Caller) -> ApiError {
    ApiError::no_variations()
}

type Parts = (Map<String, Value>, Vec<Bytes>, Option<Bytes>);

/// `images: [{image_url}]`, or `image` as one text or several.
fn from_json(mut fields: Map<String, Value>) -> Result<Parts, ApiError> {
    let mut images = Vec::new();
    for name in ["images", "image"] {
        match fields.remove(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                for entry in &list {
                    images.push(from_url(entry, name)?);
                }
            }
            Some(one) => images.push(from_url(&one, name)?),
        }
    }
    let mask = match fields.remove("mask") {
        None | Some(Value::Null) => None,
        Some(mask) => Some(from_url(&mask, "mask")?),
    };
    Ok((fields, images, mask))
}

fn from_url(entry: &Value, name: &str) -> Result<Bytes, ApiError> {
    if !entry["file_id"].is_null() {
        return Err(InvalidRequest::at(
            name,
            "'file_id' can not be used here: send 'image_url' with a 'data:' URL.",
        )
        .code("unsupported_parameter")
        .into());
    }
    let url =
        entry.as_str().or_else(|| entry["image_url"].as_str()).or_else(|| entry["image_url"]["url"].as_str());
    let bytes = decode_data_url(url.unwrap_or_default()).map_err(|why| {
        invalid(name, format!("A picture can not be read: {why}. Other URLs are not fetched."))
    })?;
    Ok(bytes.into())
}

/// A request that is read and checked.
struct Call {
    /// What its events are called.
    wire: &'static str,
    app: Arc<App>,
    studio: Arc<Studio>,
    caller: Caller,
    id: Id,
    room: Room,
}

impl Call {
    async fn answer(self, wanted: Wanted) -> Result<Response, ApiError> {
        if wanted.as_url && !wanted.stream && self.studio.shelf.is_none() {
            let message = "This gateway keeps no pictures: ask for 'b64_json'.";
            return Err(InvalidRequest::at("response_format", message).code("unsupported_parameter").into());
        }
        let turn = wanted.turn(&self.caller, &self.id, &self.studio);
        let wanted = Arc::new(wanted);
        let drawing = Drawing::new(&self.studio, &wanted, &turn);
        drop(turn);
        if wanted.stream { self.stream(&wanted, drawing).await } else { self.whole(&wanted, drawing).await }
    }

    async fn whole(self, wanted: &Wanted, drawing: Drawing) -> Result<Response, ApiError> {
        let drawn = tokio::select! {
            drawn = drawing.all(wanted.count) => drawn?,
            () = self.app.ending.cancelled() => return Err(ApiError::shutting_down()),
        };
        let mut pieces = Pieces::new();
        let mut data = Vec::new();
        for picture in &drawn {
            let mut entry = json!({});
            match &self.studio.shelf {
                Some(kept_on) if wanted.as_url => {
                    let (_, url) =
                        files::keep(&self.studio, kept_on, &self.caller.principal, picture).await?;
                    entry["url"] = url.into();
                }
                _ => entry["b64_json"] = pieces.here().into(),
            }
            if let Some(prompt) = &picture.revised_prompt {
                entry["revised_prompt"] = prompt.as_str().into();
            }
            if wanted.size.is_some() {
                entry["size"] = size(picture).into();
            }
            if picture.resized {
                entry["post_processed"] = true.into();
            }
            data.push(entry);
        }
        let mut body = json!({"created": unix_seconds(), "data": data});
        if let Some(first) = drawn.first() {
            facts(&mut body, first, wanted);
        }
        let costs: Option<Vec<_>> = drawn.iter().map(|picture| picture.cost).collect();
        if let Some(usage) = costs.and_then(|costs| usage(&costs)) {
            body["usage"] = usage;
        }
        let found = drawn.iter().filter_map(|picture| picture.size).min_by_key(|size| match size {
            SizeMatch::No => 0,
            SizeMatch::Aspect => 1,
            SizeMatch::Exact => 2,
        });
        let pictures =
            if wanted.as_url { Vec::new() } else { drawn.into_iter().map(|picture| picture.bytes).collect() };
        pieces.push_json(&body, pictures);
        let mut response = pieces.into_json();
        if let Some(found) = found {
            response.headers_mut().insert(SIZE_MATCH, HeaderValue::from_static(found.word()));
        }
        Ok(response)
    }

    /// The head waits for the first picture, so that an early error has its status; but not for ever.
    async fn stream(self, wanted: &Arc<Wanted>, mut drawing: Drawing) -> Result<Response, ApiError> {
        let step = std::future::poll_fn(|cx| drawing.poll_step(cx));
        let first = match tokio::time::timeout(self.app.settings().first_event, step).await {
            Ok(Some(Err(error))) => return Err(error),
            Ok(Some(Ok(step))) => Some(step),
            Ok(None) => return Err(ApiError::internal()),
            Err(_quiet) => None,
        };
        let mut events = Events {
            wire: self.wire,
            wanted: Arc::clone(wanted),
            drawing,
            pieces: Pieces::new(),
            ending: Box::pin(self.app.ending.clone().cancelled_owned()),
            over: false,
            _room: self.room,
        };
        if let Some(step) = first {
            events.push(step);
        }
        Ok(sse::response(events))
    }
}

/// What an answer or an event says of a picture.
fn facts(body: &mut Value, drawn: &Drawn, wanted: &Wanted) {
    body["size"] = size(drawn).into();
    body["output_format"] = drawn.measured.format.word().into();
    // The quality is passed on as a word, and nobody says what became of it.
    body["quality"] = wanted.quality.as_deref().unwrap_or("auto").into();
    // What was asked of the service, where it does not say itself.
    let transparent = drawn.transparent.or(wanted.transparent) == Some(true);
    body["background"] = if transparent { "transparent" } else { "opaque" }.into();
    if let Some(wished) = wanted.size {
        body["requested_size"] = wished.to_string().into();
    }
}

fn size(drawn: &Drawn) -> String {
    format!("{}x{}", drawn.measured.width, drawn.measured.height)
}

fn usage(costs: &[PictureCost]) -> Option<Value> {
    if costs.is_empty() {
        return None;
    }
    let sum = |part: fn(&PictureCost) -> u64| costs.iter().map(part).sum::<u64>();
    let (text, image, output) = (sum(|c| c.text_input), sum(|c| c.image_input), sum(|c| c.output));
    Some(json!({
        "total_tokens": text + image + output,
        "input_tokens": text + image,
        "output_tokens": output,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
    }))
}

/// Pictures as a stream of events, each as it is there.
struct Events {
    wire: &'static str,
    wanted: Arc<Wanted>,
    drawing: Drawing,
    pieces: Pieces,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
    _room: Room,
}

/// How much is collected for one write before it goes out.
const ONE_WRITE: usize = 64 * 1024;

impl Events {
    fn push(&mut self, step: Step) {
        let (name, drawn, preview) = match step {
            Step::Preview(number, drawn) => ("partial_image", drawn, Some(number)),
            Step::Done(_, drawn) => ("completed", drawn, None),
        };
        let name = format!("{}.{name}", self.wire);
        let mut event = json!({"type": name, "b64_json": self.pieces.here(), "created_at": unix_seconds()});
        facts(&mut event, &drawn, &self.wanted);
        if let Some(number) = preview {
            event["partial_image_index"] = number.into();
        } else {
            if let Some(prompt) = &drawn.revised_prompt {
                event["revised_prompt"] = prompt.as_str().into();
            }
            if let Some(found) = drawn.size {
                event["size_match"] = found.word().into();
            }
            if drawn.resized {
                event["post_processed"] = true.into();
            }
            if let Some(usage) = drawn.cost.and_then(|cost| usage(&[cost])) {
                event["usage"] = usage;
            }
        }
        self.pieces.push_text(&format!("event: {name}\ndata: "));
        self.pieces.push_json(&event, [drawn.bytes]);
        self.pieces.push_text("\n\n");
    }

    fn fail(&mut self, error: &ApiError) {
        self.over = true;
        self.pieces.push_text(&format!("event: error\ndata: {}\n\n", error.body()));
    }
}

impl Source for Events {
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<bool> {
        while out.len() < ONE_WRITE {
            if let Some(bytes) = self.pieces.next_bytes() {
                out.extend_from_slice(&bytes);
                continue;
            }
            if self.over {
                return Poll::Ready(false);
            }
            if self.ending.poll_unpin(cx).is_ready() {
                self.fail(&ApiError::shutting_down());
                continue;
            }
            match self.drawing.poll_step(cx) {
                Poll::Ready(Some(Ok(step))) => self.push(step),
                Poll::Ready(Some(Err(error))) => self.fail(&error),
                Poll::Ready(None) => self.over = true,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(true)
    }
}
