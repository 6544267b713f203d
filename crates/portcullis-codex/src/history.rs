//! A conversation as items of the Responses API, which Codex passes on to the model as they are.

use portcullis_agent::{Author, HistoryItem, ImageDetail, Message, Part, ToolOutput};
use portcullis_app_server_protocol::{ToolCallResponse, ToolOutputItem, UserInput};
use serde_json::{Value, json};

use crate::tools::namespace_of;

/// A conversation split into what is injected and what is the turn's own input.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) injected: Vec<Value>,
    pub(crate) input: Vec<UserInput>,
}

/// Splits a conversation. A last user message of plain text is the turn's input; it reaches the model just as
/// an injected one does (measured) and saves a round trip where it is the only one. Everything else is injected.
pub(crate) fn replay(history: &[HistoryItem]) -> Replay {
    let (before, input) = match history.split_last() {
        Some((HistoryItem::Message(message), before)) if message.author == Author::User => {
            match plain_text(&message.parts) {
                Some(input) => (before, input),
                None => (history, Vec::new()),
            }
        }
        _ => (history, Vec::new()),
    };
    Replay { injected: before.iter().map(item).collect(), input }
}

fn plain_text(parts: &[Part]) -> Option<Vec<UserInput>> {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => Some(UserInput::Text { text: text.clone() }),
        Part::Refusal(_) | Part::Image { .. } => None,
    });
    texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
}

/// An item of the Responses API.
pub(crate) fn item(item: &HistoryItem) -> Value {
    match item {
        HistoryItem::Message(message) => self::message(message),
        HistoryItem::ToolCall(call) => {
            let mut item = json!({
                "type": "function_call", "call_id": call.id.as_str(), "name": call.name, "arguments": call.arguments,
            });
            if let Some(namespace) = namespace_of(&call.name) {
                item["namespace"] = namespace.into();
            }
            item
        }
        HistoryItem::ToolOutput(output) => json!({
            "type": "function_call_output", "call_id": output.call.as_str(), "output": output_value(output),
        }),
        HistoryItem::Reasoning(reasoning) => json!({
            "type": "reasoning",
            "id": reasoning.id.as_str(),
            "summary": reasoning.summary.iter().map(|text| json!({"type": "summary_text", "text": text}))
                .collect::<Vec<_>>(),
            "encrypted_content": reasoning.encrypted,
        }),
    }
}

fn message(message: &Message) -> Value {
    let (role, text_type) = match message.author {
        // A `system` item is dropped by Codex; `developer` is what the Responses API calls the same thing.
        Author::Developer => ("developer", "input_text"),
        Author::User => ("user", "input_text"),
        Author::Assistant => ("assistant", "output_text"),
    };
    let content: Vec<Value> = message.parts.iter().map(|part| content(part, text_type)).collect();
    json!({"type": "message", "role": role, "content": content})
}

fn content(part: &Part, text_type: &str) -> Value {
    match part {
        // Codex does not take a `refusal` part; what the model said then is still what it said.
        Part::Text(text) | Part::Refusal(text) => json!({"type": text_type, "text": text}),
        Part::Image { url, detail } => {
            let mut image = json!({"type": "input_image", "image_url": url});
            if let Some(word) = detail_word(*detail) {
                image["detail"] = word.into();
            }
            image
        }
    }
}

fn detail_word(detail: ImageDetail) -> Option<&'static str> {
    match detail {
        // Codex replaces a picture of `low` detail by a sentence, so that one is left to the model's choice.
        ImageDetail::Auto | ImageDetail::Low => None,
        ImageDetail::High => Some("high"),
        ImageDetail::Original => Some("original"),
    }
}

/// A single text stays a string, as clients send it; anything richer is a list.
fn output_value(output: &ToolOutput) -> Value {
    match output.parts.as_slice() {
        [Part::Text(text)] => json!(text),
        parts => parts.iter().map(|part| content(part, "input_text")).collect(),
    }
}

/// A tool's output as the answer to `item/tool/call`.
pub(crate) fn tool_response(output: &ToolOutput) -> ToolCallResponse {
    let content_items = output.parts.iter().map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => ToolOutputItem::InputText { text: text.clone() },
        Part::Image { url, .. } => ToolOutputItem::InputImage { image_url: url.clone() },
    });
    ToolCallResponse { success: true, content_items: content_items.collect() }
}

#[cfg(test)]
mod tests {
    use portcullis_agent::ToolCall;

    use super::*;

    fn said(author: Author, text: &str) -> HistoryItem {
        HistoryItem::Message(Message { author, parts: vec![Part::Text(text.to_owned())] })
    }

    #[test]
    fn a_conversation_becomes_items_and_the_last_plain_question_is_the_input() {
        let history = [
            said(Author::Developer, "be brief"),
            said(Author::User, "weather?"),
            HistoryItem::ToolCall(ToolCall {
                id: "call_1".into(),
                name: "weather".to_owned(),
                arguments: r#"{ "city":"P"}"#.to_owned(),
            }),
            HistoryItem::ToolOutput(ToolOutput {
                call: "call_1".into(),
                parts: vec![Part::Text("sun".to_owned())],
            }),
            said(Author::Assistant, "It is sunny."),
            said(Author::User, "  thanks\n"),
        ];
        let Replay { injected, input } = replay(&history);
        let expected = json!([
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be brief"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{ \"city\":\"P\"}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sun"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is sunny."}]},
        ]);
        assert_eq!(Value::Array(injected), expected);
        assert_eq!(serde_json::to_value(input).unwrap(), json!([{"type": "text", "text": "  thanks\n"}]));
    }

    #[test]
    fn pictures_and_open_ends_are_injected_whole() {
        let picture = HistoryItem::Message(Message {
            author: Author::User,
            parts: vec![
                Part::Text("what is it?".to_owned()),
                Part::Image { url: "data:image/png;base64,AA==".to_owned(), detail: ImageDetail::High },
            ],
        });
        let Replay { injected, input } = replay(&[picture]);
        assert!(input.is_empty());
        let expected = json!([{"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "what is it?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "high"},
        ]}]);
        assert_eq!(Value::Array(injected), expected);

        let Replay { injected, input } = replay(&[said(Author::User, "a"), said(Author::Assistant, "b")]);
        assert_eq!((injected.len(), input.len()), (2, 0));
    }
}
