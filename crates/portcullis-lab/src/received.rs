//! A request as it arrived, with the questions that tests and the demo ask about it.

use std::time::Instant;

use http::{HeaderMap, Method};
use serde_json::Value;

/// One request to the server.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which `POST …/responses`, or which request for a picture, this was, from 0; for other requests, which of those.
    pub index: usize,
    /// When the whole of its body had arrived.
    pub at: Instant,
    /// The HTTP method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `Null` if it was not JSON.
    pub body: Value,
}

impl Received {
    /// The items of `input`; empty if it is not a list.
    pub fn input(&self) -> &[Value] {
        self.body["input"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The last text part of the last user message.
    pub fn last_user_text(&self) -> Option<&str> {
        if let Some(text) = self.body["input"].as_str() {
            return Some(text);
        }
        let message = self.input().iter().rfind(|item| item["role"] == "user")?;
        texts(&message["content"]).last()
    }

    /// Every function that is offered, wherever it stands: in `tools`, in an `additional_tools` item of the input,
    /// in a namespace of either. Tools that are not functions have no name to call and are left out.
    pub fn tools(&self) -> Vec<&Value> {
        let added = self.input().iter().filter(|item| item["type"] == "additional_tools");
        let mut found = Vec::new();
        for holder in std::iter::once(&self.body).chain(added) {
            collect_functions(&holder["tools"], &mut found);
        }
        found
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every function of a namespace that is offered.
    pub fn tools_within(&self, namespace: &str) -> Vec<&Value> {
        let tools = self.body["tools"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found = Vec::new();
        for holder in tools.iter().filter(|tool| tool["type"] == "namespace" && tool["name"] == namespace) {
            collect_functions(&holder["tools"], &mut found);
        }
        found
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or("lab")
    }
}

/// The text parts of a `content` or an `output`, which may also be a plain string.
pub(crate) fn texts(content: &Value) -> impl Iterator<Item = &str> {
    let parts = content.as_array().map_or(&[][..], Vec::as_slice);
    content.as_str().into_iter().chain(parts.iter().filter_map(|part| part["text"].as_str()))
}

fn collect_functions<'a>(tools: &'a Value, found: &mut Vec<&'a Value>) {
    // serde_json bounds the depth of what it parses, and so the depth of this.
    for tool in tools.as_array().map_or(&[][..], Vec::as_slice) {
        match tool["type"].as_str() {
            Some("function") => found.push(tool),
            Some("namespace") => collect_functions(&tool["tools"], found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn questions_about_a_request_of_codex() {
        let received = Received {
            index: 0,
            at: Instant::now(),
            method: Method::POST,
            path: "/v1/responses".to_owned(),
            headers: HeaderMap::new(),
            body: json!({
                "model": "gpt-6.1-sol",
                "tools": [{"type": "function", "name": "top"}, {"type": "web_search"}],
                "input": [
                    {"type": "additional_tools", "tools": [
                        {"type": "namespace", "name": "functions", "tools": [{"type": "function", "name": "inner"}]},
                    ]},
                    {"type": "message", "role": "user", "content": [
                        {"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "data:"},
                    ]},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
                ],
            }),
        };
        assert_eq!(received.last_user_text(), Some("hi"));
        assert_eq!(received.tools().iter().map(|tool| &tool["name"]).collect::<Vec<_>>(), ["top", "inner"]);
        assert_eq!((received.input().len(), received.model()), (3, "gpt-6.1-sol"));
        let plain = Received { body: json!({"input": "just text"}), ..received };
        assert_eq!(
            (plain.last_user_text(), plain.input().len(), plain.tools().len()),
            (Some("just text"), 0, 0)
        );
    }
}
