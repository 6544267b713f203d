//! The fields of OpenAI's `/v1/images/generations` and `/v1/images/edits`. Pure.
//!
//! A form has only text, so that numbers and truths may be text here. What can not be honoured is refused with its
//! name; what has no meaning any more is read and left alone.

use portcullis_agent::PictureFormat;
use portcullis_images::{FitHow, Size};
use portcullis_openai::InvalidRequest;
use serde_json::{Map, Value};

use crate::images::wanted::{SizePolicy, Wanted};
use crate::images::{Backend, PictureSettings};

/// The longest prompt, in characters.
const LONGEST_PROMPT: usize = 32_000;
/// How many pictures a request may ask for by OpenAI's rules.
const MOST_PICTURES: u64 = 10;
/// How many previews.
const MOST_PREVIEWS: u64 = 3;

/// Read and left alone: who asks, for statistics, and what only models had that are gone.
const WITHOUT_MEANING: &[&str] = &["user", "safety_identifier", "style"];
/// Pictures; read elsewhere.
const PICTURES: &[&str] = &["image", "images", "mask"];
/// What exists at OpenAI and not here.
const NOT_HERE: &[&str] = &["complexity", "frame_count", "frame_duration_ms", "markup", "svg"];
const EVERY_FIELD: &[&str] = &[
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
    "response_format",
    "input_fidelity",
    "size_policy",
    "fit",
];

/// Reads every field but the pictures.
pub(crate) fn parse(
    fields: &Map<String, Value>,
    backend: Backend,
    settings: &PictureSettings,
) -> Result<Wanted, InvalidRequest> {
    known(fields)?;
    let read = Fields(fields);
    let prompt = read.text("prompt")?.filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or_else(|| {
        InvalidRequest::at("prompt", "'prompt' is required and may not be blank.").code("missing_prompt")
    })?;
    if prompt.chars().count() > LONGEST_PROMPT {
        return Err(value("prompt", &format!("has at most {LONGEST_PROMPT} characters")));
    }
    let most = MOST_PICTURES.min(settings.most as u64);
    let count = read.number("n", 1, most)?.unwrap_or(1);
    let format = read.word("output_format", format)?.unwrap_or(PictureFormat::Png);
    let compression = read.number("output_compression", 0, 100)?.and_then(|n| u8::try_from(n).ok());
    if compression.is_some() && format == PictureFormat::Png {
        return Err(value("output_compression", "is for 'jpeg' and 'webp' only: PNG is lossless"));
    }
    let transparent = read.word("background", background)?.flatten();
    if transparent == Some(true) && format == PictureFormat::Jpeg {
        return Err(value("background", "can not be 'transparent' in JPEG"));
    }
    let moderation = read.text("moderation")?;
    let input_fidelity = read.text("input_fidelity")?;
    if !backend.exact {
        if moderation.as_deref().is_some_and(|word| word != "auto") {
            return Err(unsupported("moderation"));
        }
        if input_fidelity.is_some() {
            return Err(unsupported("input_fidelity"));
        }
    }
    Ok(Wanted {
        prompt,
        count: usize::try_from(count).unwrap_or(1),
        size: size(read.text("size")?.as_deref())?,
        quality: read.word("quality", quality)?.flatten(),
        format,
        compression,
        transparent,
        policy: read.word("size_policy", SizePolicy::of)?.unwrap_or(settings.size_policy),
        fit: read.word("fit", fit)?.unwrap_or(FitHow::Cover),
        references: Vec::new(),
        mask: None,
        model: read.text("model")?.filter(|_| backend.exact),
        input_fidelity,
        moderation: moderation.filter(|word| word != "auto"),
        stream: read.truth("stream")?.unwrap_or(false),
        previews: read
            .number("partial_images", 0, MOST_PREVIEWS)?
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(0),
        as_url: read.word("response_format", response_format)?.unwrap_or(false),
    })
}

fn known(fields: &Map<String, Value>) -> Result<(), InvalidRequest> {
    for (name, value) in fields {
        let name = name.as_str();
        let listed = [WITHOUT_MEANING, PICTURES, EVERY_FIELD].iter().any(|list| list.contains(&name));
        if NOT_HERE.contains(&name) && !value.is_null() {
            return Err(unsupported(name));
        }
        if !listed && !value.is_null() {
            let shown: String = name.chars().take(100).collect();
            return Err(InvalidRequest::at(&shown, format!("Unknown parameter: '{shown}'."))
                .code("unknown_parameter"));
        }
    }
    Ok(())
}

/// A parameter that means something and can not be honoured.
pub(crate) fn unsupported(name: &str) -> InvalidRequest {
    let message = format!("'{name}' can not be honoured by the gateway's image backend. Leave it out.");
    InvalidRequest::at(name, message).code("unsupported_parameter")
}

fn value(name: &str, what: &str) -> InvalidRequest {
    InvalidRequest::at(name, format!("'{name}' {what}.")).code("invalid_value")
}

fn size(text: Option<&str>) -> Result<Option<Size>, InvalidRequest> {
    match text {
        None | Some("auto" | "") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|fault| {
            InvalidRequest::at("size", format!("Invalid size: {fault}.")).code("invalid_size")
        }),
    }
}

fn format(word: &str) -> Option<PictureFormat> {
    match word {
        "png" => Some(PictureFormat::Png),
        "jpeg" | "jpg" => Some(PictureFormat::Jpeg),
        "webp" => Some(PictureFormat::Webp),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "not a word, or a word for nothing in particular")]
fn background(word: &str) -> Option<Option<bool>> {
    match word {
        "auto" => Some(None),
        "opaque" => Some(Some(false)),
        "transparent" => Some(Some(true)),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "not a word, or a word for nothing in particular")]
fn quality(word: &str) -> Option<Option<String>> {
    match word {
        "auto" | "standard" => Some(None),
        // What older models called it.
        "hd" => Some(Some("high".to_owned())),
        "low" | "medium" | "high" | "xhigh" | "max" => Some(Some(word.to_owned())),
        _ => None,
    }
}

fn fit(word: &str) -> Option<FitHow> {
    match word {
        "cover" => Some(FitHow::Cover),
        "contain" => Some(FitHow::Contain),
        "pad" => Some(FitHow::Pad),
        _ => None,
    }
}

fn response_format(word: &str) -> Option<bool> {
    match word {
        "b64_json" => Some(false),
        "url" => Some(true),
        _ => None,
    }
}

/// Reads fields of JSON or of a form.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, InvalidRequest> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(value(name, "must be a text")),
        }
    }

    fn word<T>(&self, name: &str, of: fn(&str) -> Option<T>) -> Result<Option<T>, InvalidRequest> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let shown: String = text.chars().take(50).collect();
        of(&text).map(Some).ok_or_else(|| {
            InvalidRequest::at(name, format!("'{name}' does not take '{shown}'.")).code("invalid_value")
        })
    }

    fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, InvalidRequest> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_u64(),
        };
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| value(name, &format!("is a whole number from {least} to {most}")))
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, InvalidRequest> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(Value::String(text)) if text == "true" || text == "1" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" || text == "0" => Ok(Some(false)),
            Some(_) => Err(value(name, "is 'true' or 'false'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const WORDS_ONLY: Backend = Backend { name: "x", model: "gpt-image-2", exact: false, references: 5 };

    fn settings() -> PictureSettings {
        PictureSettings {
            deadline: Duration::from_secs(1),
            body_limit: 1,
            most: 8,
            size_policy: SizePolicy::Report,
            base_url: String::new(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every caller makes one just for this")]
    fn read(fields: Value) -> Result<Wanted, InvalidRequest> {
        parse(fields.as_object().unwrap(), WORDS_ONLY, &settings())
    }

    #[test]
    fn json_and_forms_are_read_alike() {
        let typed = json!({"prompt": "p", "n": 2, "size": "1536x1024", "quality": "hd", "output_format": "webp",
            "output_compression": 80, "background": "transparent", "stream": true, "partial_images": 0,
            "response_format": "b64_json", "user": "u", "model": "gpt-image-1.5", "size_policy": "fit", "fit": "pad"});
        let form: Map<String, Value> = typed
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    value.as_str().map_or_else(|| value.to_string().into(), std::convert::Into::into),
                )
            })
            .collect();
        let (typed, form) = (read(typed).unwrap(), read(form.into()).unwrap());
        assert_eq!(format!("{typed:?}"), format!("{form:?}"));
        assert_eq!((typed.count, typed.quality.as_deref(), typed.transparent), (2, Some("high"), Some(true)));
        let bare = read(json!({"prompt": " p ", "size": "auto", "quality": null})).unwrap();
        assert_eq!((bare.prompt.as_str(), bare.size, bare.quality, bare.count), (" p ", None, None, 1));
    }

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        let table = [
            (json!({}), "prompt", "missing_prompt"),
            (json!({"prompt": " \n"}), "prompt", "missing_prompt"),
            (json!({"prompt": 1}), "prompt", "invalid_value"),
            (json!({"prompt": "p", "n": 0}), "n", "invalid_value"),
            (json!({"prompt": "p", "n": 9}), "n", "invalid_value"),
            (json!({"prompt": "p", "n": 1.5}), "n", "invalid_value"),
            (json!({"prompt": "p", "size": "512x512"}), "size", "invalid_size"),
            (json!({"prompt": "p", "size": "4K"}), "size", "invalid_size"),
            (json!({"prompt": "p", "quality": "best"}), "quality", "invalid_value"),
            (json!({"prompt": "p", "output_format": "gif"}), "output_format", "invalid_value"),
            (json!({"prompt": "p", "output_compression": 50}), "output_compression", "invalid_value"),
            (
                json!({"prompt": "p", "background": "transparent", "output_format": "jpeg"}),
                "background",
                "invalid_value",
            ),
            (json!({"prompt": "p", "moderation": "low"}), "moderation", "unsupported_parameter"),
            (json!({"prompt": "p", "input_fidelity": "high"}), "input_fidelity", "unsupported_parameter"),
            (json!({"prompt": "p", "svg": {}}), "svg", "unsupported_parameter"),
            (json!({"prompt": "p", "complexity": 1}), "complexity", "unsupported_parameter"),
            (json!({"prompt": "p", "partial_images": 4}), "partial_images", "invalid_value"),
            (json!({"prompt": "p", "stream": "yes"}), "stream", "invalid_value"),
            (json!({"prompt": "p", "colour": "red"}), "colour", "unknown_parameter"),
        ];
        for (fields, param, code) in table {
            let fault = read(fields.clone()).unwrap_err();
            assert_eq!((fault.param.as_deref(), fault.code), (Some(param), Some(code)), "{fields}");
        }
        assert!(read(json!({"prompt": "x".repeat(LONGEST_PROMPT + 1)})).is_err());
    }
}
