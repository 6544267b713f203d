//! Why a picture failed: the provider's own error, out of the sentence in which Codex wraps it. Pure.
//!
//! `image generation failed: http 400 Bad Request: Some("{\"error\":{…}}")`: the body is printed as Rust prints a
//! string for debugging (measured on 0.169.0).

use std::time::Duration;

use portcullis_agent::{AgentError, ErrorKind, RequestFault};
use serde_json::Value;

/// The meaning of a failed picture's output.
pub(crate) fn picture_error(output: &str) -> AgentError {
    let status = status(output);
    let body = body(output).and_then(|body| serde_json::from_str::<Value>(&body).ok());
    let error = body.and_then(|body| body.get("error").cloned());
    let kind = match (status, error) {
        (Some(400..=499), Some(error)) if error.is_object() => refused(status.unwrap_or(400), &error),
        (Some(401 | 403), _) => ErrorKind::LoginRequired,
        (Some(429), _) => ErrorKind::RateLimited { retry_after: None },
        (Some(400..=499), _) => ErrorKind::InvalidInput(RequestFault::default()),
        _ => ErrorKind::Upstream,
    };
    AgentError::new(kind).because(format!("codex says: {}", output.chars().take(2000).collect::<String>()))
}

fn refused(status: u16, error: &Value) -> ErrorKind {
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    let (code, class) = (text("code"), text("type"));
    let word = code.as_deref().or(class.as_deref()).unwrap_or_default();
    match (status, word) {
        (401 | 403, _) => ErrorKind::LoginRequired,
        (_, "insufficient_quota" | "billing_hard_limit_reached" | "usage_limit_reached")
            if error["resets_in_seconds"].is_null() =>
        {
            ErrorKind::UsageLimit
        }
        (429, _) => {
            let seconds = error["resets_in_seconds"].as_u64();
            ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) }
        }
        _ => ErrorKind::InvalidInput(RequestFault {
            message: text("message"),
            param: text("param"),
            code,
            class,
        }),
    }
}

/// The status in `… http 400 Bad Request …`.
fn status(output: &str) -> Option<u16> {
    let rest = &output[output.find("http ")? + "http ".len()..];
    rest.get(..3)?.parse().ok()
}

/// The text in `Some("…")`, without the escapes.
fn body(output: &str) -> Option<String> {
    let mut chars = output[output.find("Some(\"")? + "Some(\"".len()..].chars();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                '0' => text.push('\0'),
                'u' => {
                    let hex: String =
                        chars.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                    text.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
                }
                other @ ('"' | '\'' | '\\') => text.push(other),
                _ => return None,
            },
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(status: &str, body: &str) -> String {
        format!("image generation failed: http {status}: {:?}", Some(body))
    }

    #[test]
    fn what_rust_escaped_is_read_back() {
        for text in [
            "",
            "a \"b\" \\ 'c'\n\t\r\0",
            "\u{1b}[0m \u{200b} ü 猫 \u{1f600}",
            r#"{"error":{"message":"\"x\""}}"#,
        ] {
            assert_eq!(body(&wrapped("400 Bad Request", text)).as_deref(), Some(text));
        }
        for broken in ["", "None", "Some(\"abc", "Some(\"a\\", "Some(\"\\q\")", "Some(\"\\u{110000}\")"] {
            assert_eq!(body(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_providers_error_is_kept() {
        let blocked = r#"{"error":{"message":"rejected: \"x\"","type":"image_generation_user_error","code":"moderation_blocked","param":null}}"#;
        assert_eq!(
            picture_error(&wrapped("400 Bad Request", blocked)).kind,
            ErrorKind::InvalidInput(RequestFault {
                message: Some("rejected: \"x\"".to_owned()),
                param: None,
                code: Some("moderation_blocked".to_owned()),
                class: Some("image_generation_user_error".to_owned()),
            })
        );
        let seconds = Duration::from_secs;
        let table = [
            (
                "429 Too Many Requests",
                r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":77}}"#,
                ErrorKind::RateLimited { retry_after: Some(seconds(77)) },
            ),
            ("429 Too Many Requests", r#"{"error":{"code":"insufficient_quota"}}"#, ErrorKind::UsageLimit),
            ("400 Bad Request", r#"{"error":{"code":"billing_hard_limit_reached"}}"#, ErrorKind::UsageLimit),
            ("429 Too Many Requests", "slow down", ErrorKind::RateLimited { retry_after: None }),
            ("401 Unauthorized", "{}", ErrorKind::LoginRequired),
            ("500 Internal Server Error", r#"{"error":{"message":"secret host"}}"#, ErrorKind::Upstream),
            ("400 Bad Request", "[1]", ErrorKind::InvalidInput(RequestFault::default())),
            ("400 Bad Request", "<html>", ErrorKind::InvalidInput(RequestFault::default())),
        ];
        for (status, body, kind) in table {
            assert_eq!(picture_error(&wrapped(status, body)).kind, kind, "{status} {body}");
        }
        assert_eq!(picture_error("image generation failed: timeout").kind, ErrorKind::Upstream);
    }
}
