//! What the API's answers and errors mean. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_agent::{AgentError, ErrorKind, ItemId, Picture, PictureCost, RequestFault};
use serde_json::Value;

/// A picture out of an entry of `data`, or out of an event.
pub(crate) fn picture(id: &ItemId, entry: &mut Value, around: &Value) -> Result<Picture, AgentError> {
    let Some(Value::String(text)) = entry.get_mut("b64_json").map(Value::take) else {
        return Err(broken("the answer has no picture in it"));
    };
    let bytes = STANDARD.decode(&text).map_err(|_not_base64| broken("the picture's text is not base64"))?;
    let usage = &around["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let cost = usage.is_object().then(|| PictureCost {
        text_input: count(&usage["input_tokens_details"]["text_tokens"]),
        image_input: count(&usage["input_tokens_details"]["image_tokens"]),
        output: count(&usage["output_tokens"]),
    });
    Ok(Picture {
        id: id.clone(),
        bytes: bytes.into(),
        revised_prompt: entry["revised_prompt"].as_str().map(str::to_owned),
        transparent: around["background"].as_str().map(|background| background == "transparent"),
        cost,
    })
}

/// An answer of another status than success.
pub(crate) fn refused(status: u16, body: &[u8]) -> AgentError {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let error = body.get("error").cloned().unwrap_or_default();
    let kind = match status {
        401 | 403 => ErrorKind::LoginRequired,
        429 if error["code"] == "insufficient_quota" => ErrorKind::UsageLimit,
        429 => {
            let seconds = error["resets_in_seconds"].as_u64();
            ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) }
        }
        400..=499 if error["code"] == "billing_hard_limit_reached" => ErrorKind::UsageLimit,
        400..=499 => ErrorKind::InvalidInput(fault(&error)),
        _ => ErrorKind::Upstream,
    };
    AgentError::new(kind).because(format!("the Images API answered with {status}: {}", shown(&error)))
}

/// An error in the middle of a stream.
pub(crate) fn event_error(error: &Value) -> AgentError {
    let kind = match error["type"].as_str() {
        Some("server_error") | None => ErrorKind::Upstream,
        Some(_) => ErrorKind::InvalidInput(fault(error)),
    };
    AgentError::new(kind).because(format!("the Images API said: {}", shown(error)))
}

pub(crate) fn broken(why: &'static str) -> AgentError {
    AgentError::new(ErrorKind::Upstream).because(why)
}

fn fault(error: &Value) -> RequestFault {
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    RequestFault { message: text("message"), param: text("param"), code: text("code"), class: text("type") }
}

/// For the log.
fn shown(error: &Value) -> String {
    error.to_string().chars().take(1000).collect()
}
