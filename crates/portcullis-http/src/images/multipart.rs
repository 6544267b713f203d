//! Forms with files in them, as the official SDKs send them: in any order, of any declared type, of unknown length.

use axum::Error;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use multer::{Constraints, Multipart, SizeLimit};
use portcullis_openai::InvalidRequest;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::images::body::Room;

/// As many parts as a form may have: 16 pictures, a mask, and every field.
const MOST_PARTS: usize = 48;
/// The longest field that is no file, in bytes: a prompt of 32,000 characters.
const LONGEST_TEXT: u64 = 160 * 1024;
/// The fields that are files, by the names that clients give them.
const FILES: [&str; 3] = ["image", "image[]", "mask"];

/// A form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Fields that are no files.
    pub(crate) fields: Map<String, Value>,
    /// `image` and `image[]`, in order.
    pub(crate) images: Vec<Bytes>,
    pub(crate) mask: Option<Bytes>,
}

/// Reads a form whole.
pub(crate) async fn read(
    stream: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    boundary: String,
    room: &mut Room,
) -> Result<Form, ApiError> {
    let limits = Constraints::new().size_limit(SizeLimit::new().per_field(u64::MAX));
    let stream = stream.map(|piece| piece.map_err(|_broken| std::io::Error::other("the body broke off")));
    let mut parts = Multipart::with_constraints(stream, boundary, limits);
    let mut form = Form::default();
    let mut count = 0;
    while let Some(mut part) = parts.next_field().await.map_err(|_malformed| malformed())? {
        count += 1;
        if count > MOST_PARTS {
            return Err(fault(format!("A form has at most {MOST_PARTS} parts.")));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let is_file = FILES.contains(&name.as_str());
        let mut bytes = Vec::new();
        while let Some(piece) = part.chunk().await.map_err(|_malformed| malformed())? {
            room.take(piece.len())?;
            if !is_file && (bytes.len() + piece.len()) as u64 > LONGEST_TEXT {
                return Err(fault(format!(
                    "A field of a form that is no file has at most {LONGEST_TEXT} bytes."
                )));
            }
            bytes.extend_from_slice(&piece);
        }
        match name.as_str() {
            "image" | "image[]" => form.images.push(bytes.into()),
            "mask" => form.mask = Some(bytes.into()),
            _ => {
                let text = String::from_utf8(bytes)
                    .map_err(|_not_text| fault("A field of the form is not UTF-8.".to_owned()))?;
                form.fields.insert(name, text.into());
            }
        }
    }
    Ok(form)
}

fn malformed() -> ApiError {
    fault("The form is malformed, or broke off.".to_owned())
}

fn fault(message: String) -> ApiError {
    ApiError::from(InvalidRequest { message, param: None, code: Some("invalid_form") }).permanent()
}
