//! Answers with pictures in them. A picture of 20 MiB is 28 MB of base64: it is written piece by piece, so that no
//! answer holds its pictures twice.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::Value;
use uuid::Uuid;

/// So many bytes of a picture become one piece; a multiple of three, so that pieces join without padding.
const PIECE: usize = 48 * 1024;
/// A text with pictures in it.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: VecDeque<Piece>,
    /// Stands in a JSON text for a picture that is written there. Random: whatever a client or a model wrote is in
    /// the text, too.
    mark: String,
}

#[derive(Debug)]
enum Piece {
    Text(Bytes),
    Base64(Bytes),
}

impl Pieces {
    pub(crate) fn new() -> Self {
        Self { pieces: VecDeque::new(), mark: Uuid::new_v4().simple().to_string() }
    }

    /// Where a picture goes: to be put into the JSON.
    pub(crate) fn here(&self) -> &str {
        &self.mark
    }

    /// A JSON text, and the pictures for every [`Pieces::here`] in it, in order.
    pub(crate) fn push_json(&mut self, json: &Value, pictures: impl IntoIterator<Item = Bytes>) {
        let text = json.to_string();
        let mark = self.mark.clone();
        let mut parts = text.split(&mark);
        self.push_text(parts.next().unwrap_or_default());
        for (part, picture) in parts.zip(pictures) {
            self.pieces.push_back(Piece::Base64(picture));
            self.push_text(part);
        }
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        self.pieces.push_back(Piece::Text(Bytes::copy_from_slice(text.as_bytes())));
    }

    /// The next few bytes.
    pub(crate) fn next_bytes(&mut self) -> Option<Bytes> {
        match self.pieces.front_mut()? {
            Piece::Base64(picture) if picture.len() > PIECE => {
                Some(STANDARD.encode(picture.split_to(PIECE)).into())
            }
            _ => match self.pieces.pop_front()? {
                Piece::Text(text) => Some(text),
                Piece::Base64(rest) => Some(STANDARD.encode(rest).into()),
            },
        }
    }

    fn len(&self) -> usize {
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Base64(picture) => picture.len().div_ceil(3) * 4,
        };
        self.pieces.iter().map(length).sum()
    }

    /// As a whole answer.
    pub(crate) fn into_json(mut self) -> Response {
        let length = self.len();
        let pieces = std::iter::from_fn(move || self.next_bytes().map(Ok::<_, Infallible>));
        let mut response = Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_are_written_where_they_belong() {
        let pictures: Vec<Bytes> =
            [0, 1, PIECE, PIECE + 1, 3 * PIECE + 2].map(|n| vec![7; n].into()).to_vec();
        let mut pieces = Pieces::new();
        let data: Vec<_> =
            pictures.iter().map(|_| json!({"b64_json": pieces.here(), "revised_prompt": "p"})).collect();
        pieces.push_json(&json!({"data": data}), pictures.clone());
        let length = pieces.len();
        let mut text = Vec::new();
        while let Some(bytes) = pieces.next_bytes() {
            assert!(bytes.len() <= PIECE / 3 * 4);
            text.extend_from_slice(&bytes);
        }
        assert_eq!(text.len(), length);
        let read: Value = serde_json::from_slice(&text).unwrap();
        for (at, picture) in pictures.iter().enumerate() {
            assert_eq!(read["data"][at]["b64_json"], STANDARD.encode(picture));
        }
    }
}
