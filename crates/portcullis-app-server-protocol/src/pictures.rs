//! What the app-server tells about pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The longest text of a function's output that is kept, in bytes. Longer ones are no reasons.
const LONGEST_TEXT: usize = 64 * 1024;

/// A picture that is being drawn, is there, or failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageGeneration {
    /// Its id: also that of the call, and of the call's output among the raw items.
    pub id: String,
    /// `in_progress`, `completed`, `failed`; other words in other versions.
    #[serde(default)]
    pub status: String,
    /// The prompt that was used.
    #[serde(default)]
    pub revised_prompt: Option<String>,
    /// The file.
    #[serde(default)]
    pub result: ResultBytes,
    /// Whether the background was asked to be transparent.
    #[serde(default)]
    pub transparent_background: Option<bool>,
    /// The references that were really read.
    #[serde(default)]
    pub input_images: Option<Vec<InputImage>>,
    /// Why it failed; most failures have none here.
    #[serde(default)]
    pub failure: Option<ImageFailure>,
}

/// A reference that was read.
#[derive(Debug, Deserialize)]
pub struct InputImage {
    /// Its path.
    #[serde(default)]
    pub path: Option<String>,
}

/// Why a picture failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFailure {
    /// `usageLimitExceeded`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// The bytes behind a base64 text. Decoded while the line is read, straight from it: the text of a 20 MiB picture is
/// never held a second time.
#[derive(Clone, Default, Eq, PartialEq)]
pub enum ResultBytes {
    /// There is no text, or an empty one.
    #[default]
    None,
    /// What it stands for.
    Bytes(Bytes),
    /// It is not base64.
    Malformed,
}

// Written by hand: bytes are nothing to print.
impl std::fmt::Debug for ResultBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Malformed => f.write_str("Malformed"),
        }
    }
}

impl<'de> Deserialize<'de> for ResultBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = ResultBytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64 or null")
            }

            fn visit_str<E>(self, text: &str) -> Result<ResultBytes, E> {
                Ok(match text {
                    "" => ResultBytes::None,
                    text => STANDARD
                        .decode(text)
                        .map_or(ResultBytes::Malformed, |bytes| ResultBytes::Bytes(bytes.into())),
                })
            }

            fn visit_unit<E>(self) -> Result<ResultBytes, E> {
                Ok(ResultBytes::None)
            }
        }
        deserializer.deserialize_any(Base64)
    }
}

/// What a function returned, as the model sees it.
#[derive(Debug, Deserialize)]
pub struct FunctionCallOutput {
    /// The call.
    #[serde(default)]
    pub call_id: Option<String>,
    /// The output, where it is a plain text of a sensible length.
    #[serde(default, deserialize_with = "plain_text")]
    pub output: Option<String>,
}

fn plain_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Plain;
    impl<'de> Visitor<'de> for Plain {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a list of parts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
            Ok((text.len() <= LONGEST_TEXT).then(|| text.to_owned()))
        }

        /// Pictures among them; nothing of it is kept.
        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Option<String>, A::Error> {
            while parts.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Option<String>, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Plain)
}

#[cfg(test)]
mod tests {
    use crate::{ItemCompleted, RawResponseItemCompleted, ResponseItem, ThreadItem};

    use super::*;

    fn item(result: &str) -> ResultBytes {
        let line = format!(
            r#"{{"threadId":"t","turnId":"u","item":{{"type":"imageGeneration","id":"c","status":"x","result":{result}}}}}"#
        );
        match serde_json::from_str::<ItemCompleted>(&line).unwrap().item {
            ThreadItem::ImageGeneration(image) => image.result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_result_is_strict_base64_or_nothing() {
        assert_eq!(item(r#""aGk=""#), ResultBytes::Bytes(Bytes::from_static(b"hi")));
        assert_eq!((item("null"), item("\"\"")), (ResultBytes::None, ResultBytes::None));
        for bad in ["!!!!", "aGk", "aGk=\\n", "aGl=", "aGk=aGk=", " aGk="] {
            assert_eq!(item(&format!("\"{bad}\"")), ResultBytes::Malformed, "{bad}");
        }
    }

    #[test]
    fn an_output_is_kept_where_it_is_text() {
        let output = |output: &str| {
            let line = format!(
                r#"{{"threadId":"t","turnId":"u","item":{{"type":"function_call_output","call_id":"c","output":{output}}}}}"#
            );
            match serde_json::from_str::<RawResponseItemCompleted>(&line).unwrap().item {
                ResponseItem::FunctionCallOutput(output) => output.output,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(output(r#""a \"b\"""#).as_deref(), Some("a \"b\""));
        assert_eq!(output(r#"[{"type":"input_image","image_url":"data:"}]"#), None);
        assert_eq!(output(&format!("\"{}\"", "x".repeat(LONGEST_TEXT + 1))), None);
    }
}
