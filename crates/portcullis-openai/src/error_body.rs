//! The body of every error.

use serde_json::{Value, json};

/// OpenAI's error body; all four members are always there.
pub fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}
