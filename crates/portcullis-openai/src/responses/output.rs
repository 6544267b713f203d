//! Items of an answer, as they stand in events and in the response object.

use portcullis_agent::{ToolCall, Usage};
use serde_json::{Value, json};

use super::tools::CustomTools;

pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

pub(super) fn refusal_part(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

pub(super) fn summary_part(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

pub(super) fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

pub(super) fn reasoning(id: &str, summary: &[String], encrypted: Option<&str>) -> Value {
    let parts: Vec<Value> = summary.iter().map(|text| summary_part(text)).collect();
    let mut item = json!({"id": id, "type": "reasoning", "summary": parts});
    if let Some(encrypted) = encrypted {
        item["encrypted_content"] = encrypted.into();
    }
    item
}

pub(super) fn call(id: &str, status: &str, call: &ToolCall, custom: &CustomTools) -> Value {
    let (name, call_id) = (&call.name, call.id.as_str());
    if custom.contains(name) {
        let input = CustomTools::input(call);
        return json!({"id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input});
    }
    let arguments = &call.arguments;
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
}

pub(super) fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
