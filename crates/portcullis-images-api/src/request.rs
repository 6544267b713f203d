//! From a turn to the body of a request. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_agent::{HistoryItem, Part, PictureRequest, Reference, TurnRequest};
use serde_json::{Value, json};

/// Which route, and what is sent there.
pub(crate) struct Ask {
    pub(crate) route: &'static str,
    pub(crate) body: Value,
    /// The answer is a stream.
    pub(crate) streams: bool,
}

/// A turn as a request; none where the turn is not to make a picture from one text.
pub(crate) fn ask(turn: &TurnRequest) -> Option<Ask> {
    let picture = turn.picture.as_ref()?;
    let [HistoryItem::Message(message)] = turn.history.as_slice() else { return None };
    let [Part::Text(prompt)] = message.parts.as_slice() else { return None };
    let streams = picture.previews > 0;
    let mut body = json!({
        "model": picture.model.as_deref().unwrap_or(turn.options.model.as_str()),
        "prompt": prompt,
        "n": 1,
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    let PictureRequest { size, quality, transparent, input_fidelity, moderation, .. } = picture;
    set("size", size.map(|(width, height)| format!("{width}x{height}").into()));
    set("quality", quality.as_deref().map(Into::into));
    set("background", transparent.map(|yes| if yes { "transparent" } else { "opaque" }.into()));
    set("moderation", moderation.as_deref().map(Into::into));
    set("input_fidelity", input_fidelity.as_deref().map(Into::into));
    set("stream", streams.then_some(true.into()));
    set("partial_images", streams.then(|| picture.previews.into()));
    if picture.references.is_empty() {
        return Some(Ask { route: "images/generations", body, streams });
    }
    let image = |reference: &Reference| {
        let data = STANDARD.encode(&reference.bytes);
        json!({"image_url": format!("data:{};base64,{data}", reference.format.media_type())})
    };
    set("images", Some(picture.references.iter().map(image).collect()));
    set("mask", picture.mask.as_ref().map(image));
    Some(Ask { route: "images/edits", body, streams })
}
