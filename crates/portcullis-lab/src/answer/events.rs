//! The events of a Responses stream, in the order and with the fields that OpenAI's servers send.
//!
//! Codex reads about half of them; the rest is here so that a stricter reader finds a faithful stream too.

use serde_json::{Map, Value, json};

use super::{Ending, Part, ToolCall, Usage};

/// When every response claims to have been created: given, not read from a clock, so that streams can be compared.
const CREATED_AT: u64 = 1_767_225_600;

/// Which response a stream is: it makes the ids, so that no two items of a conversation share one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) index: usize,
    pub(super) model: &'a str,
}

/// All events of a stream.
pub(super) fn stream(
    identity: Identity<'_>,
    parts: &[Part],
    ending: &Ending,
    usage: Usage,
) -> Vec<(String, Value)> {
    let mut stream = Stream { identity, events: Vec::new(), output: Vec::new() };
    let response = stream.response("in_progress", json!({}));
    stream.push("response.created", json!({ "response": response }));
    stream.push("response.in_progress", json!({ "response": response }));
    for part in parts {
        match part {
            Part::Reasoning(summary) => stream.reasoning(summary),
            Part::Text(deltas) => stream.text(deltas),
            Part::Refusal(refusal) => stream.refusal(refusal),
            Part::ToolCall(call) => stream.tool_call(call),
        }
    }
    stream.end(ending, usage);
    stream.events
}

struct Stream<'a> {
    identity: Identity<'a>,
    events: Vec<(String, Value)>,
    output: Vec<Value>,
}

impl Stream<'_> {
    fn reasoning(&mut self, summary: &[String]) {
        let id = self.item_id("rs");
        let at = json!({ "item_id": id, "output_index": self.output.len(), "summary_index": 0 });
        let text = summary.concat();
        self.item_added(&json!({ "id": id, "type": "reasoning", "summary": [] }));
        let part = json!({ "part": { "type": "summary_text", "text": "" } });
        self.push_at("response.reasoning_summary_part.added", &at, part);
        for delta in summary {
            self.push_at("response.reasoning_summary_text.delta", &at, json!({ "delta": delta }));
        }
        self.push_at("response.reasoning_summary_text.done", &at, json!({ "text": text }));
        let part = json!({ "type": "summary_text", "text": text });
        self.push_at("response.reasoning_summary_part.done", &at, json!({ "part": part }));
        self.item_done(json!({
            "id": id, "type": "reasoning", "summary": [part],
            // A real server's sealed thoughts, which the client must send back untouched.
            "encrypted_content": format!("lab-sealed-{id}"),
        }));
    }

    fn text(&mut self, deltas: &[String]) {
        let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
        let text = deltas.concat();
        let at = self.message_begins(&part(""));
        for delta in deltas {
            self.push_at("response.output_text.delta", &at, json!({ "delta": delta }));
        }
        self.push_at("response.output_text.done", &at, json!({ "text": text }));
        self.message_ends(&at, part(&text));
    }

    fn refusal(&mut self, refusal: &str) {
        let part = |refusal: &str| json!({ "type": "refusal", "refusal": refusal });
        let at = self.message_begins(&part(""));
        self.push_at("response.refusal.delta", &at, json!({ "delta": refusal }));
        self.push_at("response.refusal.done", &at, json!({ "refusal": refusal }));
        self.message_ends(&at, part(refusal));
    }

    fn tool_call(&mut self, call: &ToolCall) {
        let id = self.item_id("fc");
        let item = |status: &str, arguments: &str| {
            let mut item = json!({
                "id": id, "type": "function_call", "status": status,
                "call_id": call.call_id, "name": call.name, "arguments": arguments,
            });
            if let Some(namespace) = &call.namespace {
                item["namespace"] = json!(namespace);
            }
            item
        };
        let at = json!({ "item_id": id, "output_index": self.output.len() });
        self.item_added(&item("in_progress", ""));
        for delta in halves(&call.arguments) {
            self.push_at("response.function_call_arguments.delta", &at, json!({ "delta": delta }));
        }
        let done = json!({ "arguments": call.arguments });
        self.push_at("response.function_call_arguments.done", &at, done);
        self.item_done(item("completed", &call.arguments));
    }

    fn end(&mut self, ending: &Ending, usage: Usage) {
        let usage = json!({
            "input_tokens": usage.input,
            "input_tokens_details": { "cached_tokens": usage.cached },
            "output_tokens": usage.output,
            "output_tokens_details": { "reasoning_tokens": usage.reasoning },
            "total_tokens": usage.input + usage.output,
        });
        let (status, fields) = match ending {
            Ending::Completed => ("completed", json!({ "usage": usage })),
            Ending::Failed { code, message } => {
                ("failed", json!({ "error": { "code": code, "message": message } }))
            }
            Ending::Incomplete { reason } => {
                ("incomplete", json!({ "incomplete_details": { "reason": reason }, "usage": usage }))
            }
        };
        let response = self.response(status, fields);
        self.push(&format!("response.{status}"), json!({ "response": response }));
    }

    /// The message item and its only content part; returns where the part's events happen.
    fn message_begins(&mut self, empty: &Value) -> Value {
        let id = self.item_id("msg");
        let at = json!({ "item_id": id, "output_index": self.output.len(), "content_index": 0 });
        self.item_added(&message(&id, "in_progress", &[]));
        self.push_at("response.content_part.added", &at, json!({ "part": empty }));
        at
    }

    fn message_ends(&mut self, at: &Value, part: Value) {
        self.push_at("response.content_part.done", at, json!({ "part": part }));
        self.item_done(message(&self.item_id("msg"), "completed", &[part]));
    }

    fn item_added(&mut self, item: &Value) {
        self.push("response.output_item.added", json!({ "output_index": self.output.len(), "item": item }));
    }

    fn item_done(&mut self, item: Value) {
        self.push("response.output_item.done", json!({ "output_index": self.output.len(), "item": item }));
        self.output.push(item);
    }

    fn item_id(&self, kind: &str) -> String {
        format!("{kind}_lab_{}_{}", self.identity.index, self.output.len())
    }

    fn response(&self, status: &str, more: Value) -> Value {
        let response = json!({
            "id": format!("resp_lab_{}", self.identity.index),
            "object": "response",
            "created_at": CREATED_AT,
            "status": status,
            "model": self.identity.model,
            "output": self.output,
        });
        merged(response, more)
    }

    fn push_at(&mut self, name: &str, at: &Value, fields: Value) {
        self.push(name, merged(at.clone(), fields));
    }

    fn push(&mut self, name: &str, fields: Value) {
        let head = json!({ "type": name, "sequence_number": self.events.len() });
        self.events.push((name.to_owned(), merged(head, fields)));
    }
}

fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
}

/// Two deltas are enough to notice a reader that takes the first for the whole.
fn halves(text: &str) -> impl Iterator<Item = &str> {
    let middle = text.len() / 2;
    let middle = (middle..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let (first, second) = text.split_at(middle);
    [first, second].into_iter().filter(|half| !half.is_empty())
}

fn merged(base: Value, more: Value) -> Value {
    let fields = |value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut all = fields(base);
    all.extend(fields(more));
    Value::Object(all)
}
