//! Items of a conversation, in the form in which the API takes them, keeps them and gives them back.

use std::collections::HashSet;

use portcullis_agent::{Author, HistoryItem, ItemId, Message, Part, Reasoning, ToolCall, ToolOutput};
use serde_json::{Map, Value, json};

use super::tools::{ADDITIONAL_TOOLS, CustomTools};
use crate::InvalidRequest;
use crate::chat::Limits;
use crate::read::{At, Read};

/// An item of a request, in both forms.
#[derive(Clone, Debug)]
pub struct InputItem {
    /// Its id: the client's own, or a new one.
    pub id: String,
    /// As the API gives it back.
    pub json: Value,
    /// As the model reads it; `None` for a reference, which stands for an item that is kept elsewhere.
    pub history: Option<HistoryItem>,
}

/// Reads `input`: a text, or a list of items. `new_id` makes ids with a prefix (`msg`, `fc`, …).
pub fn read_items(
    input: &Value,
    path: &str,
    limits: &Limits,
    new_id: &mut dyn FnMut(&str) -> String,
) -> Result<Vec<InputItem>, InvalidRequest> {
    let input = At::new(input, path);
    let mut reader = Reader { limits, text: 0, images: 0, new_id };
    if input.value.is_string() {
        let text = reader.count(&input)?;
        let message =
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
        return Ok(vec![reader.item(&At::new(&message, path))?]);
    }
    let list = input.array()?;
    if list.len() > limits.messages {
        return Err(input.fault(format!("A request may have at most {} items.", limits.messages)));
    }
    // Tools that stand among the items belong to the request, not to the conversation.
    let brings_tools =
        |item: &&At<'_>| item.value.get("type").and_then(Value::as_str) == Some(ADDITIONAL_TOOLS);
    list.iter().filter(|item| !brings_tools(item)).map(|item| reader.item(item)).collect()
}

/// Reads an item that was kept: it was checked when it came in, and only its form is looked at.
pub fn stored_item(json: &Value) -> Result<HistoryItem, InvalidRequest> {
    let limits = Limits::unbounded();
    let mut no_id = |_: &str| String::new();
    let mut reader = Reader { limits: &limits, text: 0, images: 0, new_id: &mut no_id };
    let at = At::new(json, "item");
    reader.item(&at)?.history.ok_or_else(|| at.fault("A reference can not be kept."))
}

/// Checks that every output belongs to a call before it, and that every call has an output.
pub fn check_calls(history: &[HistoryItem]) -> Result<(), InvalidRequest> {
    let mut open = HashSet::new();
    for item in history {
        match item {
            HistoryItem::ToolCall(call) => {
                open.insert(call.id.as_str());
            }
            HistoryItem::ToolOutput(output) if !open.remove(output.call.as_str()) => {
                let message =
                    format!("No tool call found for function call output with call_id {}.", output.call);
                return Err(InvalidRequest::at("input", message));
            }
            _ => {}
        }
    }
    match open.iter().min() {
        None => Ok(()),
        Some(call) => {
            Err(InvalidRequest::at("input", format!("No tool output found for function call {call}.")))
        }
    }
}

struct Reader<'a> {
    limits: &'a Limits,
    text: usize,
    images: usize,
    new_id: &'a mut dyn FnMut(&str) -> String,
}

#[derive(Clone, Copy)]
enum Kind {
    Message,
    FunctionCall,
    FunctionOutput,
    CustomCall,
    CustomOutput,
    Reasoning,
    Reference,
}

const KINDS: &[(&str, Kind)] = &[
    ("message", Kind::Message),
    ("function_call", Kind::FunctionCall),
    ("function_call_output", Kind::FunctionOutput),
    ("custom_tool_call", Kind::CustomCall),
    ("custom_tool_call_output", Kind::CustomOutput),
    ("reasoning", Kind::Reasoning),
    ("item_reference", Kind::Reference),
];

impl Reader<'_> {
    fn item(&mut self, item: &At<'_>) -> Read<InputItem> {
        // A message may leave its type out.
        let kind = item.get("type")?.map_or(Ok(Kind::Message), |kind| kind.word(KINDS))?;
        let text = |key: &str| -> Read<&str> { item.need(key)?.str() };
        Ok(match kind {
            Kind::Message => self.message(item)?,
            Kind::FunctionCall => {
                let (call, name) = (text("call_id")?, text("name")?);
                let arguments = self.count(&item.need("arguments")?)?;
                let id = self.id(item, "fc")?;
                let json = json!({"id": id, "type": "function_call", "status": "completed", "call_id": call,
                    "name": name, "arguments": arguments});
                let call = ToolCall { id: call.into(), name: name.to_owned(), arguments };
                InputItem { id, json, history: Some(HistoryItem::ToolCall(call)) }
            }
            Kind::CustomCall => {
                let (call, name) = (text("call_id")?, text("name")?);
                let input = self.count(&item.need("input")?)?;
                let id = self.id(item, "ctc")?;
                let json = json!({"id": id, "type": "custom_tool_call", "status": "completed", "call_id": call,
                    "name": name, "input": input});
                let arguments = CustomTools::arguments(&input);
                let call = ToolCall { id: call.into(), name: name.to_owned(), arguments };
                InputItem { id, json, history: Some(HistoryItem::ToolCall(call)) }
            }
            Kind::FunctionOutput => {
                let id = self.id(item, "fco")?;
                self.output(item, "function_call_output", &id)?
            }
            Kind::CustomOutput => {
                let id = self.id(item, "ctco")?;
                self.output(item, "custom_tool_call_output", &id)?
            }
            Kind::Reasoning => {
                let id = self.id(item, "rs")?;
                self.reasoning(item, &id)?
            }
            Kind::Reference => {
                let id = text("id")?.to_owned();
                InputItem { json: json!({"type": "item_reference", "id": id}), id, history: None }
            }
        })
    }

    /// The item's own id, or a new one.
    fn id(&mut self, item: &At<'_>, prefix: &str) -> Read<String> {
        match item.get("id")? {
            Some(id) => Ok(id.str()?.to_owned()),
            None => Ok((self.new_id)(prefix)),
        }
    }

    fn message(&mut self, item: &At<'_>) -> Read<InputItem> {
        item.only(&["type", "id", "role", "content", "status", "phase"])?;
        let role = item.need("role")?;
        let author = role.word(&[
            ("system", Author::Developer),
            ("developer", Author::Developer),
            ("user", Author::User),
            ("assistant", Author::Assistant),
        ])?;
        let content = item.need("content")?;
        let text_type = if author == Author::Assistant { "output_text" } else { "input_text" };
        let (parts, json_parts) = if content.value.is_string() {
            let text = self.count(&content)?;
            (vec![Part::Text(text.clone())], vec![text_part(text_type, &text)])
        } else {
            let parts = content.array()?;
            let parts = parts.iter().map(|part| self.part(part, text_type)).collect::<Read<Vec<_>>>()?;
            parts.into_iter().unzip()
        };
        if parts.is_empty() && author != Author::Assistant {
            return Err(content.fault(format!("Invalid '{}': empty array.", content.path)));
        }
        let id = self.id(item, "msg")?;
        let json = json!({"id": id, "type": "message", "status": "completed", "role": role.value, "content": json_parts});
        Ok(InputItem { id, json, history: Some(HistoryItem::Message(Message { author, parts })) })
    }

    fn part(&mut self, part: &At<'_>, text_type: &str) -> Read<(Part, Value)> {
        #[derive(Clone, Copy)]
        enum Kind {
            Text,
            Refusal,
            Image,
        }
        let known: &[(&str, Kind)] = if text_type == "output_text" {
            &[
                ("output_text", Kind::Text),
                ("refusal", Kind::Refusal),
                ("input_text", Kind::Text),
                ("text", Kind::Text),
            ]
        } else {
            &[
                ("input_text", Kind::Text),
                ("input_image", Kind::Image),
                ("output_text", Kind::Text),
                ("text", Kind::Text),
            ]
        };
        match part.need("type")?.word(known)? {
            Kind::Text => {
                let text = self.count(&part.need("text")?)?;
                Ok((Part::Text(text.clone()), text_part(text_type, &text)))
            }
            Kind::Refusal => {
                let text = self.count(&part.need("refusal")?)?;
                Ok((Part::Refusal(text.clone()), json!({"type": "refusal", "refusal": text})))
            }
            Kind::Image => {
                self.images += 1;
                if self.images > self.limits.images.count {
                    let most = self.limits.images.count;
                    return Err(part.fault(format!("A request may have at most {most} pictures.")));
                }
                part.only(&["type", "image_url", "detail"])?;
                let image =
                    self.limits.images.read_url(&part.need("image_url")?, part.get("detail")?.as_ref())?;
                let detail = part.get("detail")?.map_or(json!("auto"), |detail| detail.value.clone());
                let json = json!({"type": "input_image", "image_url": part.need("image_url")?.value, "detail": detail});
                Ok((image, json))
            }
        }
    }

    fn output(&mut self, item: &At<'_>, kind: &str, id: &str) -> Read<InputItem> {
        item.only(&["type", "id", "call_id", "output", "status"])?;
        let call = item.need("call_id")?.str()?;
        let output = item.need("output")?;
        let (parts, output_json) = if output.value.is_string() {
            let text = self.count(&output)?;
            (vec![Part::Text(text.clone())], json!(text))
        } else {
            let parts = output.array()?;
            let parts = parts.iter().map(|part| self.part(part, "input_text")).collect::<Read<Vec<_>>>()?;
            let (parts, json): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            (parts, Value::Array(json))
        };
        let json =
            json!({"id": id, "type": kind, "status": "completed", "call_id": call, "output": output_json});
        let history = HistoryItem::ToolOutput(ToolOutput { call: call.into(), parts });
        Ok(InputItem { id: id.to_owned(), json, history: Some(history) })
    }

    fn reasoning(&mut self, item: &At<'_>, id: &str) -> Read<InputItem> {
        let mut summary = Vec::new();
        if let Some(parts) = item.get("summary")? {
            for part in parts.array()? {
                summary.push(self.count(&part.need("text")?)?);
            }
        }
        let encrypted = item.get("encrypted_content")?.map(|text| self.count(&text)).transpose()?;
        let mut json = Map::new();
        json.insert("id".to_owned(), json!(id));
        json.insert("type".to_owned(), json!("reasoning"));
        let parts: Vec<Value> =
            summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        json.insert("summary".to_owned(), Value::Array(parts));
        if let Some(encrypted) = &encrypted {
            json.insert("encrypted_content".to_owned(), json!(encrypted));
        }
        let history = HistoryItem::Reasoning(Reasoning { id: ItemId::from(id), summary, encrypted });
        Ok(InputItem { id: id.to_owned(), json: Value::Object(json), history: Some(history) })
    }

    fn count(&mut self, text: &At<'_>) -> Read<String> {
        let read = text.str()?;
        self.text += read.len();
        if self.text > self.limits.text {
            let most = self.limits.text;
            return Err(text
                .fault(format!("The texts of a request may have at most {most} bytes together."))
                .code("string_above_max_length"));
        }
        Ok(read.to_owned())
    }
}

fn text_part(kind: &str, text: &str) -> Value {
    if kind == "output_text" {
        json!({"type": kind, "text": text, "annotations": [], "logprobs": []})
    } else {
        json!({"type": kind, "text": text})
    }
}
