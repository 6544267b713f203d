//! `Idempotency-Key`: the same key and the same request are answered once, and with the same answer again, also after a lost
//! connection (draft-ietf-httpapi-idempotency-key-header). docs/design/idempotency.md has the bounds and their price.

mod recording;
mod shelf;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue, header};
use memchr::memmem;
use sha2::{Digest as _, Sha256};

use self::recording::{Ending, Over, Recording};
use self::shelf::Found;
pub(crate) use self::shelf::OnceShelf;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_bytes;
use crate::error::ApiError;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key.
const LONGEST: usize = 255;

/// Answers a request with a key once. Without a key it goes its way.
pub(crate) async fn once(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(key) = request.headers().get(&KEY) else { return Ok(next.run(request).await) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len()) && !key.trim().is_empty());
    let key = key.ok_or_else(ApiError::bad_idempotency_key)?.to_owned();
    let settings = app.settings();
    let (head, body) = request.into_parts();
    let body = read_bytes(body, settings.body_limit, settings.entrance.body).await?;
    let print = fingerprint(&head, &body);
    let name = (caller.principal.clone(), key);
    match app.once.find(&name, print, Instant::now()) {
        Found::Known(recording) => {
            let mut response = recording.answer().await?;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Found::Other => Err(ApiError::idempotency_key_reused()),
        Found::NotKept => Err(ApiError::answer_not_kept()),
        Found::Full => Err(ApiError::too_many_idempotency_keys()),
        Found::New(recording) => {
            let request = Request::from_parts(head, body.into());
            let writing = Writing {
                ending: Some(Ending::new(Arc::clone(&recording))),
                shelf: Arc::clone(&app.once),
                name,
            };
            // Its client may leave: the answer is kept for when it comes back.
            app.tasks.spawn(async move { writing.write(next.run(request).await).await });
            recording.answer().await
        }
    }
}

/// An answer that is being written. However that ends, by a panic even, its place on the shelf is settled.
struct Writing {
    ending: Option<Ending>,
    shelf: Arc<OnceShelf>,
    name: shelf::Name,
}

impl Writing {
    /// Writes an answer down as it comes.
    async fn write(mut self, response: Response) {
        let Some(ending) = &self.ending else { return };
        let (head, body) = response.into_parts();
        ending.head(head);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            // What broke off is not an answer.
            let Ok(piece) = piece else { return };
            if !ending.piece(piece) {
                self.shelf.too_large(&self.name);
            }
        }
        if let Some(ending) = self.ending.take() {
            self.shelf.ended(&self.name, ending.end(), Instant::now());
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(broken) = self.ending.take() {
            drop(broken);
            self.shelf.ended(&self.name, Over::Broken, Instant::now());
        }
    }
}

/// What makes two requests the same: where they go, and every byte of their bodies but the boundary of a form, which a client
/// makes anew each time.
fn fingerprint(head: &http::request::Parts, body: &Bytes) -> [u8; 32] {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = kind.split_once("boundary=").map(|(_, rest)| rest.trim_matches('"')).unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update(head.uri.path().as_bytes());
    digest.update([0]);
    if let Some(profile) = head.headers.get("x-portcullis-profile") {
        digest.update(profile.as_bytes());
    }
    digest.update([0]);
    if boundary.is_empty() {
        digest.update(body);
        return digest.finalize().into();
    }
    let mut from = 0;
    for at in memmem::find_iter(body, boundary.as_bytes()) {
        digest.update(&body[from..at]);
        digest.update([0]);
        from = at + boundary.len();
    }
    digest.update(&body[from..]);
    digest.finalize().into()
}

impl Recording {
    /// The answer from its beginning, as far as it has come and as it goes on.
    async fn answer(self: Arc<Self>) -> Result<Response, ApiError> {
        let head = self.head().await.ok_or_else(ApiError::internal)?;
        let pieces = futures_util::stream::unfold((self, 0), |(this, number)| async move {
            let piece = this.piece(number).await?;
            Some((piece, (this, number + 1)))
        });
        let mut response = axum::body::Body::from_stream(pieces).into_response();
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }
}
