//! What a request asks for, whichever wire it came by.

use std::sync::Arc;

use portcullis_agent::{
    Author, HistoryItem, Message, ModelId, Part, PictureFormat, PictureRequest, Profile, Reference,
    TurnOptions, TurnRequest,
};
use portcullis_images::{Fit, FitHow, Size, measure};
use portcullis_openai::InvalidRequest;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::images::Studio;
use crate::request_id::Id;

/// The largest reference, in bytes.
const LARGEST_REFERENCE: usize = 50 * 1024 * 1024;

/// What happens to a picture that has another size than was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SizePolicy {
    /// It is delivered, and its real size is said.
    Report,
    /// It is not delivered.
    Strict,
    /// It is cut or scaled, and marked.
    Fit,
}

impl SizePolicy {
    /// The policy of this word.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "report" => Some(Self::Report),
            "strict" => Some(Self::Strict),
            "fit" => Some(Self::Fit),
            _ => None,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) prompt: String,
    pub(crate) count: usize,
    pub(crate) size: Option<Size>,
    pub(crate) quality: Option<String>,
    pub(crate) format: PictureFormat,
    pub(crate) compression: Option<u8>,
    pub(crate) transparent: Option<bool>,
    pub(crate) policy: SizePolicy,
    pub(crate) fit: FitHow,
    pub(crate) references: Vec<Reference>,
    pub(crate) mask: Option<Reference>,
    pub(crate) model: Option<String>,
    pub(crate) input_fidelity: Option<String>,
    pub(crate) moderation: Option<String>,
    pub(crate) stream: bool,
    pub(crate) previews: u8,
    /// The answer names a URL instead of carrying the picture.
    pub(crate) as_url: bool,
}

impl Wanted {
    /// The size that a picture is brought to here.
    pub(crate) fn fit(&self) -> Option<Fit> {
        let (width, height) = self.size.filter(|_| self.policy == SizePolicy::Fit)?.pixels();
        Some(Fit { width, height, how: self.fit })
    }

    /// One turn for one picture.
    pub(crate) fn turn(&self, caller: &Caller, id: &Id, studio: &Studio) -> TurnRequest {
        let message = Message { author: Author::User, parts: vec![Part::Text(self.prompt.clone())] };
        let model = ModelId::new(Arc::from(studio.backend.model));
        let options = TurnOptions::new(model, studio.settings.deadline);
        let principal = caller.principal.clone();
        TurnRequest {
            trace: id.trace.clone(),
            place: caller.place(),
            history: vec![HistoryItem::Message(message)],
            picture: Some(PictureRequest {
                references: self.references.clone(),
                mask: self.mask.clone(),
                size: self.size.map(Size::pixels),
                quality: self.quality.clone(),
                transparent: self.transparent,
                model: self.model.clone(),
                input_fidelity: self.input_fidelity.clone(),
                moderation: self.moderation.clone(),
                previews: self.previews,
            }),
            ..TurnRequest::new(id.request.clone(), principal, Profile::Chat, options)
        }
    }
}

/// A picture that a client gave: looked at before anything runs, and passed on as it is.
pub(crate) fn reference(bytes: bytes::Bytes, param: &str) -> Result<Reference, ApiError> {
    if bytes.len() > LARGEST_REFERENCE {
        return Err(invalid(param, format!("A picture has at most {LARGEST_REFERENCE} bytes.")));
    }
    let measured =
        measure(&bytes).map_err(|fault| invalid(param, format!("This picture can not be used: {fault}.")))?;
    Ok(Reference { bytes, format: measured.format })
}

/// A fault in a picture of the request.
pub(crate) fn invalid(param: &str, message: String) -> ApiError {
    ApiError::from(InvalidRequest::at(param, message).code("invalid_image")).permanent()
}
