//! The fields of the contract that image plug-ins speak (`POST /v1/images/generate`), its option words and its
//! codes. Pure. Numbers are clamped and unknown fields left alone, as that contract has it.

use bytes::Bytes;
use portcullis_agent::PictureFormat;
use portcullis_images::{
    FitHow, LARGEST_EDGE, LEAST_PIXELS, MOST_PIXELS, MULTIPLE, Ratio, Resolution, Size, decode_data_url,
    derive_size,
};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::images::wanted::{SizePolicy, Wanted, reference};
use crate::images::{Backend, PictureSettings};

/// How many pictures this contract gives at once.
pub(crate) const MOST_PICTURES: usize = 4;

/// The words for sizes that clients offer.
const SIZES: [&str; 13] = [
    "auto",
    "1K",
    "2K",
    "4K",
    "1024x1024",
    "1536x1024",
    "1024x1536",
    "2048x2048",
    "2048x1152",
    "1152x2048",
    "3840x2160",
    "2160x3840",
    "2880x2880",
];
const RATIOS: [&str; 9] = ["1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "21:9", "9:21"];

/// A request, and what its answer repeats of it.
pub(crate) struct PluginRequest {
    pub(crate) wanted: Wanted,
    /// `size` as it was sent.
    pub(crate) requested_size: String,
    pub(crate) quality: String,
}

/// Reads a request.
pub(crate) fn parse(
    body: &Value,
    backend: Backend,
    settings: &PictureSettings,
) -> Result<PluginRequest, ApiError> {
    let text = |names: &[&str]| names.iter().find_map(|name| body[*name].as_str()).unwrap_or_default().trim();
    let prompt = body["prompt"].as_str().filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt
        .ok_or_else(|| fault("missing_prompt", "prompt", "'prompt' is required and may not be blank."))?;
    let quality = match text(&["quality"]) {
        "" | "auto" | "自动" => "auto",
        "high" | "高" => "high",
        "medium" | "中" => "medium",
        "low" | "低" => "low",
        _ => return Err(fault("invalid_quality", "quality", "'quality' is one of auto, high, medium, low.")),
    };
    let format = match text(&["output_format"]) {
        "" | "png" => PictureFormat::Png,
        "jpeg" | "jpg" => PictureFormat::Jpeg,
        "webp" => PictureFormat::Webp,
        _ => {
            return Err(fault(
                "invalid_output_format",
                "output_format",
                "'output_format' is one of png, jpeg, webp.",
            ));
        }
    };
    let references = references(&body["references"], backend.references)?;
    let requested_size = match text(&["size"]) {
        "" => "auto",
        size => size,
    };
    Ok(PluginRequest {
        wanted: Wanted {
            prompt: prompt.to_owned(),
            count: count(body).min(settings.most),
            size: size(requested_size, body, text(&["aspect", "ratio"]))?,
            quality: (quality != "auto").then(|| quality.to_owned()),
            format,
            compression: None,
            transparent: None,
            policy: body["size_policy"].as_str().and_then(SizePolicy::of).unwrap_or(settings.size_policy),
            fit: FitHow::Cover,
            references,
            mask: None,
            model: None,
            input_fidelity: None,
            moderation: None,
            stream: false,
            previews: 0,
            as_url: true,
        },
        requested_size: requested_size.chars().take(32).collect(),
        quality: quality.to_owned(),
    })
}

/// Rounded and clamped; what is no number is one.
fn count(body: &Value) -> usize {
    let given = [&body["count"], &body["n"]].into_iter().find(|value| !value.is_null());
    let number = given.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
    match number.map(f64::round) {
        Some(number) if number >= 4.0 => MOST_PICTURES,
        Some(number) if number >= 3.0 => 3,
        Some(number) if number >= 2.0 => 2,
        _ => 1,
    }
}

fn size(word: &str, body: &Value, aspect: &str) -> Result<Option<Size>, ApiError> {
    let resolution = match word {
        "1K" | "1k" => Resolution::OneK,
        "2K" | "2k" => Resolution::TwoK,
        "4K" | "4k" => Resolution::FourK,
        "auto" | "自动" => {
            // A shape without a size still is a wish.
            return Ok(shape(body, aspect)?.map(|ratio| derive_size(ratio, Resolution::OneK)));
        }
        explicit => {
            let size = explicit.parse::<Size>();
            return size
                .map(Some)
                .map_err(|why| fault("invalid_size", "size", &format!("Invalid size: {why}.")));
        }
    };
    let square = Ratio::new(1, 1);
    Ok(shape(body, aspect)?.or(square).map(|ratio| derive_size(ratio, resolution)))
}

/// The shape that is asked for, by numbers or by what it is the shape of.
fn shape(body: &Value, aspect: &str) -> Result<Option<Ratio>, ApiError> {
    let of = |value: &Value| {
        let edge =
            |name: &str| value[name].as_f64().filter(|edge| *edge >= 1.0 && *edge <= 1e6).map(f64::round);
        let text = |edge: f64| format!("{edge:.0}").parse::<u32>().ok();
        Ratio::new(text(edge("width")?)?, text(edge("height")?)?)
    };
    Ok(match aspect {
        "" | "auto" | "自动" => None,
        "landscape" | "横图" => Ratio::new(3, 2),
        "portrait" | "竖图" => Ratio::new(2, 3),
        "square" | "方图" => Ratio::new(1, 1),
        "canvas" | "画布比例" => of(&body["canvas_size"]),
        "reference" | "参考图比例" | "原图比例" => of(&body["references"][0]),
        words => {
            let ratio = words.parse().map_err(|_shape| {
                fault(
                    "invalid_size",
                    "aspect",
                    "'aspect' is W:H, or one of reference, canvas, landscape, portrait, square.",
                )
            })?;
            Some(ratio)
        }
    })
}

fn references(value: &Value, most: usize) -> Result<Vec<portcullis_agent::Reference>, ApiError> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(fault("invalid_reference", "references", "'references' is a list.")),
    };
    if list.len() > most {
        let message = format!("At most {most} references can be used; there are {}.", list.len());
        return Err(fault("invalid_reference", "references", &message));
    }
    list.iter()
        .map(|entry| {
            let url = entry["image"].as_str().unwrap_or_default();
            let bytes = decode_data_url(url).map_err(|why| {
                fault(
                    "invalid_reference",
                    "references",
                    &format!("A reference's 'image' can not be read: {why}."),
                )
            })?;
            reference(Bytes::from(bytes), "references").map_err(|error| error.with_code("invalid_reference"))
        })
        .collect()
}

/// What this contract can, for `GET /v1/capabilities`.
pub(crate) fn capabilities(backend: Backend, settings: &PictureSettings) -> Value {
    json!({
        "backend": backend.name,
        "model": backend.model,
        "output_formats": ["png", "jpeg", "webp"],
        "qualities": ["auto", "high", "medium", "low"],
        "max_images": MOST_PICTURES.min(settings.most),
        "ratio_options": RATIOS,
        "size_options": SIZES,
        "size_constraints": {
            "custom_size": true,
            "max_edge": LARGEST_EDGE,
            "min_pixels": LEAST_PIXELS,
            "max_pixels": MOST_PIXELS,
            "multiple_of": MULTIPLE,
            "max_ratio": "3:1",
            // Whether a size that is asked for is a size that comes.
            "honored": backend.exact,
        },
        "high_resolution_presets": {"landscape": "3840x2160", "portrait": "2160x3840", "square": "2880x2880"},
        "references": {"max_images": backend.references, "mode": "original_image"},
        "auth_required": true,
        "generation_timeout_ms": u64::try_from(settings.deadline.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The code that this contract has for a failure.
pub(crate) fn code(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_api_key" => "unauthorized",
        "request_too_large" => "body_too_large",
        "no_image_generated" | "size_not_honored" => "codex_no_image",
        "timeout" => "codex_timeout",
        "worker_lost" | "upstream_error" => "codex_exec_failed",
        "internal_error" => "server_error",
        _ => return None,
    })
}

fn fault(code: &'static str, param: &str, message: &str) -> ApiError {
    ApiError::from(portcullis_openai::InvalidRequest::at(param, message).code(code)).permanent()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BACKEND: Backend = Backend { name: "x", model: "gpt-image-2", exact: false, references: 5 };

    fn settings() -> PictureSettings {
        PictureSettings {
            deadline: Duration::from_mins(10),
            body_limit: 1,
            most: 10,
            size_policy: SizePolicy::Report,
            base_url: String::new(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every caller makes one just for this")]
    fn read(body: Value) -> Result<PluginRequest, ApiError> {
        parse(&body, BACKEND, &settings())
    }

    fn size_of(body: Value) -> Option<String> {
        read(body).expect("it is valid").wanted.size.map(|size| size.to_string())
    }

    #[test]
    fn sizes_are_said_in_many_ways() {
        let size = |size: &str, aspect: &str| {
            size_of(json!({"prompt": "p", "size": size, "aspect": aspect,
                "canvas_size": {"width": 1600, "height": 900}, "references": []}))
        };
        assert_eq!(size("auto", ""), None);
        assert_eq!(size("2K", "").as_deref(), Some("2048x2048"));
        assert_eq!(size("4K", "16:9").as_deref(), Some("3840x2160"));
        assert_eq!(size("2K", "画布比例").as_deref(), Some("2048x1152"));
        assert_eq!(size("1K", "landscape").as_deref(), Some("1536x1024"));
        assert_eq!(size("auto", "portrait").as_deref(), Some("1024x1536"));
        assert_eq!(size("1536x1024", "1:1").as_deref(), Some("1536x1024"));
        // A reference that is not there has no shape.
        assert_eq!(size("4K", "参考图比例").as_deref(), Some("2880x2880"));
    }

    #[test]
    fn counts_are_clamped_and_words_translated() {
        let count = |count: Value| read(json!({"prompt": "p", "count": count})).ok().unwrap().wanted.count;
        for (given, expected) in [
            (json!(null), 1),
            (json!(2), 2),
            (json!(2.6), 3),
            (json!(99), 4),
            (json!(-3), 1),
            (json!("3"), 3),
            (json!("many"), 1),
            (json!(1e300), 4),
        ] {
            assert_eq!(count(given.clone()), expected, "{given}");
        }
        let chinese = read(json!({"prompt": "p", "quality": "高", "size": "自动", "n": 2, "return": "file"}))
            .ok()
            .unwrap();
        assert_eq!((chinese.quality.as_str(), chinese.wanted.count, chinese.wanted.size), ("high", 2, None));
    }

    #[test]
    fn faults_have_the_contracts_codes() {
        let png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        assert_eq!(
            read(json!({"prompt": "p", "references": [{"image": png}]}))
                .ok()
                .unwrap()
                .wanted
                .references
                .len(),
            1
        );
        let table = [
            (json!({"prompt": "  "}), "missing_prompt"),
            (json!({"prompt": "p", "size": "1000x1000"}), "invalid_size"),
            (json!({"prompt": "p", "aspect": "wide"}), "invalid_size"),
            (json!({"prompt": "p", "quality": "best"}), "invalid_quality"),
            (json!({"prompt": "p", "output_format": "gif"}), "invalid_output_format"),
            (json!({"prompt": "p", "references": "x"}), "invalid_reference"),
            (json!({"prompt": "p", "references": [{"image": "http://x/y.png"}]}), "invalid_reference"),
            (
                json!({"prompt": "p", "references": [{"image": "data:image/png;base64,aGVsbG8="}]}),
                "invalid_reference",
            ),
            (json!({"prompt": "p", "references": vec![json!({"image": png}); 6]}), "invalid_reference"),
        ];
        for (body, code) in table {
            let error = read(body.clone()).err().expect("it is refused");
            assert_eq!(error.body()["error"]["code"], code, "{body}");
        }
    }
}
