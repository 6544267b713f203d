//! A string for a string schema.

use serde_json::Value;

/// The longest string that is made: a `minLength` beyond it is not worth satisfying.
const MAX_LENGTH: u64 = 10_000;
const WORD: &str = "demo";

/// `None` if no sensible length is allowed.
pub(super) fn of(schema: &Value) -> Option<String> {
    if let Some(text) = schema["format"].as_str().and_then(formatted) {
        return Some(text.to_owned());
    }
    let least = schema["minLength"].as_u64().unwrap_or(0);
    let most = schema["maxLength"].as_u64().unwrap_or(MAX_LENGTH);
    let length = least.max(WORD.len() as u64).min(most);
    if length < least || length > MAX_LENGTH {
        return None;
    }
    Some(WORD.chars().cycle().take(usize::try_from(length).ok()?).collect())
}

fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-01",
        "time" => "12:00:00Z",
        "date-time" => "2026-01-01T12:00:00Z",
        "duration" => "PT1H",
        "email" => "demo@example.com",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        _ => return None,
    })
}
