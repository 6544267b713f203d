//! Bodies with pictures in them: counted as they arrive, and bounded all together.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use portcullis_agent::{AgentError, ErrorKind};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::images::Studio;
use crate::images::multipart::{self, Form};

/// In such pieces is counted what bodies hold of the memory.
pub(crate) const PIECE: usize = 64 * 1024;
/// As many bodies of the largest size are held at once; past that, requests are told to come back.
pub(crate) const BODIES: usize = 3;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_mins(5);

/// Pieces of so many bytes.
pub(crate) fn pieces(bytes: usize) -> usize {
    bytes.div_ceil(PIECE)
}

/// A body, as its wire has it, and its share of the memory, given back when this is dropped.
pub(crate) struct PictureBody {
    pub(crate) content: Content,
    pub(crate) room: Room,
}

/// What a body holds.
pub(crate) enum Content {
    Json(Value),
    Form(Form),
}

/// A share of the memory for bodies.
pub(crate) struct Room {
    all: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
    limit: usize,
}

impl Room {
    fn new(studio: &Studio) -> Self {
        Self { all: Arc::clone(&studio.bodies), held: None, bytes: 0, limit: studio.settings.body_limit }
    }

    /// Makes room for more; never waits.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes += bytes;
        if self.bytes > self.limit {
            return Err(ApiError::body_too_large(self.limit));
        }
        let have = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(pieces(self.bytes).saturating_sub(have)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.all)
            .try_acquire_many_owned(more)
            .map_err(|_full| AgentError::new(ErrorKind::Busy { retry_after: None }))?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

/// Reads a body of JSON, or of a form where that may be.
pub(crate) async fn read(request: Request, studio: &Studio, forms: bool) -> Result<PictureBody, ApiError> {
    let kind = Kind::of(request.headers());
    let mut room = Room::new(studio);
    let stream = request.into_body().into_data_stream();
    let content = tokio::time::timeout(BODY_DEADLINE, async {
        match kind {
            Kind::Json => {
                let bytes = collect(stream, &mut room).await?;
                let value = serde_json::from_slice(&bytes).map_err(|error| ApiError::not_json(&error))?;
                Ok(Content::Json(value))
            }
            Kind::Form(boundary) if forms => {
                Ok(Content::Form(multipart::read(stream, boundary, &mut room).await?))
            }
            Kind::Form(_) | Kind::Other => Err(ApiError::not_json_type()),
        }
    });
    let content = content.await.map_err(|_elapsed| ApiError::body_too_slow())??;
    Ok(PictureBody { content, room })
}

enum Kind {
    Json,
    Form(String),
    Other,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or(kind).trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else {
            multer::parse_boundary(kind).map_or(Self::Other, Self::Form)
        }
    }
}

async fn collect(
    mut stream: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    room: &mut Room,
) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_broken| ApiError::body_broke_off())?;
        room.take(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The fields of a JSON body.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, ApiError> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(portcullis_openai::InvalidRequest {
            message: "The request body must be a JSON object.".to_owned(),
            param: None,
            code: Some("invalid_json"),
        }
        .into()),
    }
}
