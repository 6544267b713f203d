//! What Codex's errors mean to a caller. Pure; the table is measured (docs/design/upstream-errors.md).

use portcullis_agent::{AgentError, ErrorKind, RequestFault};
use portcullis_app_server_protocol::{CodexErrorInfo, HttpFailure, TurnError};
use serde_json::Value;

/// The meaning of a turn's failure. The upstream's own words are kept for the caller only where they are
/// about the caller's own request; otherwise they go to the log.
pub(crate) fn turn_error(error: &TurnError) -> AgentError {
    let kind = match &error.codex_error_info {
        Some(CodexErrorInfo::Word(word)) => by_word(word, &error.message),
        Some(CodexErrorInfo::Http(failure)) => by_status(status(failure), &error.message),
        Some(CodexErrorInfo::Unknown(_)) | None => by_message(&error.message),
    };
    AgentError::new(kind).because(describe(error))
}

/// The meaning of what `codex exec` says of a failure: a sentence. A status is read only where Codex itself puts one, and not in
/// what it repeats of the provider's words.
pub(crate) fn exec_error(message: &str) -> AgentError {
    let said = ["unexpected status ", "exceeded retry limit, last status: "];
    let status = said.iter().find_map(|said| message.strip_prefix(said)?.split(' ').next()?.parse().ok());
    let kind = match status {
        Some(status) => by_status(Some(status), message),
        None if message.contains("model's context window") => ErrorKind::ContextTooLong,
        None if message.starts_with("Quota exceeded") => ErrorKind::UsageLimit,
        None => by_message(message),
    };
    AgentError::new(kind).because(format!("codex says: {message}"))
}

fn describe(error: &TurnError) -> String {
    match &error.codex_error_info {
        Some(info) => format!("codex says {info:?}: {}", error.message),
        None => format!("codex says: {}", error.message),
    }
}

/// Every word of the pinned schema; a new one is an upstream failure until somebody gives it a meaning.
fn by_word(word: &str, message: &str) -> ErrorKind {
    match word {
        "contextWindowExceeded" | "sessionBudgetExceeded" => ErrorKind::ContextTooLong,
        "usageLimitExceeded" => ErrorKind::UsageLimit,
        "rateLimitExceeded" | "flexUnavailable" | "serverOverloaded" | "policyCapacityUnavailable" => {
            ErrorKind::RateLimited { retry_after: None }
        }
        "modelNotFound" => ErrorKind::ModelUnknown,
        "cyberPolicy" | "misalignmentPolicyViolation" | "inferenceHookDenied" => ErrorKind::Refused,
        "unauthorized" => ErrorKind::LoginRequired,
        "badRequest" => invalid(message),
        "tooManyDenials" | "internalServerError" | "threadRollbackFailed" | "sandboxError" => {
            ErrorKind::Upstream
        }
        _ => by_message(message),
    }
}

fn status(failure: &HttpFailure) -> Option<u16> {
    match failure {
        HttpFailure::HttpConnectionFailed { http_status_code }
        | HttpFailure::ResponseStreamConnectionFailed { http_status_code }
        | HttpFailure::ResponseStreamDisconnected { http_status_code }
        | HttpFailure::ResponseTooManyFailedAttempts { http_status_code } => *http_status_code,
    }
}

fn by_status(status: Option<u16>, message: &str) -> ErrorKind {
    match status {
        Some(400 | 422) => invalid(message),
        Some(401) => ErrorKind::LoginRequired,
        Some(413) => ErrorKind::ContextTooLong,
        Some(429) => ErrorKind::RateLimited { retry_after: None },
        _ => ErrorKind::Upstream,
    }
}

/// `other`: a 400 of the upstream arrives so, with the upstream's JSON error body as its text.
fn by_message(message: &str) -> ErrorKind {
    if let Some(reason) = message.strip_prefix("Incomplete response returned, reason: ") {
        return match reason.trim() {
            "max_output_tokens" => ErrorKind::OutputLimit,
            "content_filter" => ErrorKind::Refused,
            _ => ErrorKind::Upstream,
        };
    }
    if upstream_body(message).is_some() { invalid(message) } else { ErrorKind::Upstream }
}

fn invalid(message: &str) -> ErrorKind {
    let Some(error) = upstream_body(message) else {
        return ErrorKind::InvalidInput(RequestFault::default());
    };
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let (message, param, code) = (text("message"), text("param"), text("code"));
    match code.as_deref() {
        Some("context_length_exceeded") => ErrorKind::ContextTooLong,
        Some("model_not_found") => ErrorKind::ModelUnknown,
        Some("content_policy_violation" | "moderation_blocked") => ErrorKind::Refused,
        _ => ErrorKind::InvalidInput(RequestFault { message, param, code, class: None }),
    }
}

/// The `error` object of an OpenAI error body that stands somewhere in a text.
fn upstream_body(message: &str) -> Option<Value> {
    let body = &message[message.find('{')?..];
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<Value>();
    let error = values.next()?.ok()?.get_mut("error")?.take();
    error.is_object().then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_failures_keep_their_meaning() {
        let body = r#"{"error":{"message":"Invalid schema","type":"invalid_request_error","param":"text.format","code":"invalid_json_schema"}}"#;
        let too_long =
            r#"unexpected status 400: {"error":{"message":"x","code":"context_length_exceeded"}}, url: u"#;
        let table = [
            (r#""contextWindowExceeded""#, "", "context_too_long"),
            (r#""usageLimitExceeded""#, "", "usage_limit"),
            (r#""rateLimitExceeded""#, "", "rate_limited"),
            (r#""unauthorized""#, "", "login_required"),
            (r#""internalServerError""#, "", "upstream"),
            (r#""cyberPolicy""#, "", "refused"),
            (r#""aWordOfTheFuture""#, "boom", "upstream"),
            (r#""other""#, "stream disconnected before completion", "upstream"),
            (r#""other""#, "Incomplete response returned, reason: max_output_tokens", "output_limit"),
            (r#""other""#, "Incomplete response returned, reason: content_filter", "refused"),
            (r#""other""#, body, "invalid_input"),
            (r#""other""#, too_long, "context_too_long"),
            (r#"{"responseTooManyFailedAttempts":{"httpStatusCode":429}}"#, "", "rate_limited"),
            (r#"{"httpConnectionFailed":{"httpStatusCode":401}}"#, "", "login_required"),
            (r#"{"httpConnectionFailed":{"httpStatusCode":null}}"#, "", "upstream"),
            (r#"{"responseStreamDisconnected":{"httpStatusCode":500}}"#, "", "upstream"),
            (r#"{"activeTurnNotSteerable":{"turnKind":"review"}}"#, "", "upstream"),
        ];
        for (info, message, expected) in table {
            let error = TurnError {
                message: message.to_owned(),
                codex_error_info: Some(serde_json::from_str(info).unwrap()),
            };
            assert_eq!(turn_error(&error).kind.word(), expected, "{info} {message}");
        }
        let error = TurnError { message: body.to_owned(), codex_error_info: None };
        let fault = RequestFault {
            message: Some("Invalid schema".to_owned()),
            param: Some("text.format".to_owned()),
            code: Some("invalid_json_schema".to_owned()),
            class: None,
        };
        assert_eq!(turn_error(&error).kind, ErrorKind::InvalidInput(fault));
    }
}
