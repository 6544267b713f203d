//! `messages`: a conversation as the model's own items.

use std::collections::HashSet;

use portcullis_agent::{Author, CallId, HistoryItem, Message, Part, ToolCall, ToolOutput};

use super::limits::Limits;
use crate::read::{At, Read};

/// Reads the conversation.
pub(crate) fn read(messages: &At<'_>, limits: &Limits) -> Read<Vec<HistoryItem>> {
    let list = messages.array()?;
    if list.is_empty() {
        return Err(
            messages.fault("Invalid 'messages': empty array. Expected an array with minimum length 1.")
        );
    }
    if list.len() > limits.messages {
        return Err(messages.fault(format!("A request may have at most {} messages.", limits.messages)));
    }
    let mut reader =
        Reader { limits, history: Vec::new(), text: 0, images: 0, open: HashSet::new(), legacy: 0 };
    for message in &list {
        reader.message(message)?;
    }
    Ok(reader.history)
}

struct Reader<'a> {
    limits: &'a Limits,
    history: Vec<HistoryItem>,
    text: usize,
    images: usize,
    /// Calls that have no output yet.
    open: HashSet<CallId>,
    /// Calls of the older form have no ids; they are numbered.
    legacy: usize,
}

#[derive(Clone, Copy)]
enum Role {
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

const ROLES: &[(&str, Role)] = &[
    ("system", Role::Developer),
    ("developer", Role::Developer),
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("tool", Role::Tool),
    ("function", Role::Function),
];

impl Reader<'_> {
    fn message(&mut self, message: &At<'_>) -> Read<()> {
        let role = message.need("role")?;
        let role_kind = role.word(ROLES)?;
        // The calls of an answer are answered before anything else is said.
        if !matches!(role_kind, Role::Tool | Role::Function) {
            self.no_open_calls(message)?;
        }
        match role_kind {
            Role::Developer => {
                message.only(&["role", "content", "name"])?;
                self.say(Author::Developer, &message.need("content")?)
            }
            Role::User => {
                message.only(&["role", "content", "name"])?;
                self.say(Author::User, &message.need("content")?)
            }
            Role::Assistant => self.assistant(message),
            Role::Tool => {
                message.only(&["role", "content", "tool_call_id", "name"])?;
                let id = message.need("tool_call_id")?;
                self.output(&id, CallId::from(id.str()?), &message.need("content")?)
            }
            Role::Function => {
                message.only(&["role", "content", "name"])?;
                let id = legacy_id(self.legacy);
                self.output(&message.need("name")?, id, &message.need("content")?)
            }
        }
    }

    fn assistant(&mut self, message: &At<'_>) -> Read<()> {
        // What clients echo of an answer beside its content; the model does not need it.
        message.only(&[
            "role",
            "content",
            "refusal",
            "name",
            "tool_calls",
            "function_call",
            "audio",
            "annotations",
            "reasoning_content",
            "reasoning",
            "parsed",
            "provider_specific_fields",
        ])?;
        let mut parts = match message.get("content")? {
            Some(content) => self.parts(&content, Author::Assistant)?,
            None => Vec::new(),
        };
        if let Some(refusal) = message.get("refusal")? {
            parts.push(Part::Refusal(self.count(&refusal)?));
        }
        // An empty text beside calls is how some clients write "nothing said".
        parts.retain(|part| *part != Part::Text(String::new()));
        let calls = match message.get("tool_calls")? {
            Some(calls) => calls.array()?,
            None => Vec::new(),
        };
        let legacy = message.get("function_call")?;
        if parts.is_empty() && calls.is_empty() && legacy.is_none() && message.get("content")?.is_none() {
            return Err(message.fault("An assistant message needs 'content', 'refusal' or 'tool_calls'."));
        }
        if !parts.is_empty() {
            self.history.push(HistoryItem::Message(Message { author: Author::Assistant, parts }));
        }
        for call in calls {
            let id = call.need("id")?;
            if let Some(kind) = call.get("type")? {
                kind.word(&[("function", ())])?;
            }
            self.call(CallId::from(id.str()?), &id, &call.need("function")?)?;
        }
        if let Some(function) = legacy {
            self.legacy += 1;
            self.call(legacy_id(self.legacy), &function, &function)?;
        }
        Ok(())
    }

    fn call(&mut self, id: CallId, place: &At<'_>, function: &At<'_>) -> Read<()> {
        let name = function.need("name")?.str()?.to_owned();
        let arguments = self.count(&function.need("arguments")?)?;
        if !self.open.insert(id.clone()) {
            return Err(place.fault(format!("The tool call id '{id}' is used twice.")));
        }
        self.history.push(HistoryItem::ToolCall(ToolCall { id, name, arguments }));
        Ok(())
    }

    fn output(&mut self, place: &At<'_>, call: CallId, content: &At<'_>) -> Read<()> {
        if !self.open.remove(&call) {
            return Err(place.fault(
                "Messages with role 'tool' must follow an assistant message whose 'tool_calls' hold their 'tool_call_id'.",
            ));
        }
        let mut parts = self.parts(content, Author::User)?;
        if parts.is_empty() {
            parts.push(Part::Text(String::new()));
        }
        self.history.push(HistoryItem::ToolOutput(ToolOutput { call, parts }));
        Ok(())
    }

    fn no_open_calls(&self, message: &At<'_>) -> Read<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<&str> = self.open.iter().map(CallId::as_str).collect();
        ids.sort_unstable();
        Err(message.fault(format!(
            "An assistant message with 'tool_calls' must be followed by tool messages for each 'tool_call_id'. \
             These have none: {}.",
            ids.join(", ")
        )))
    }

    fn say(&mut self, author: Author, content: &At<'_>) -> Read<()> {
        let parts = self.parts(content, author)?;
        if parts.is_empty() {
            return Err(content.fault(format!("Invalid '{}': empty array.", content.path)));
        }
        self.history.push(HistoryItem::Message(Message { author, parts }));
        Ok(())
    }

    fn parts(&mut self, content: &At<'_>, author: Author) -> Read<Vec<Part>> {
        if content.value.is_string() {
            return Ok(vec![Part::Text(self.count(content)?)]);
        }
        content.array()?.iter().map(|part| self.part(part, author)).collect()
    }

    fn part(&mut self, part: &At<'_>, author: Author) -> Read<Part> {
        #[derive(Clone, Copy)]
        enum Kind {
            Text,
            Image,
            Refusal,
        }
        let known: &[(&str, Kind)] = match author {
            Author::User => &[("text", Kind::Text), ("image_url", Kind::Image)],
            Author::Assistant => &[("text", Kind::Text), ("refusal", Kind::Refusal)],
            Author::Developer => &[("text", Kind::Text)],
        };
        match part.need("type")?.word(known)? {
            Kind::Text => Ok(Part::Text(self.count(&part.need("text")?)?)),
            Kind::Refusal => Ok(Part::Refusal(self.count(&part.need("refusal")?)?)),
            Kind::Image => {
                self.images += 1;
                if self.images > self.limits.images.count {
                    let most = self.limits.images.count;
                    return Err(part.fault(format!("A request may have at most {most} pictures.")));
                }
                self.limits.images.read(&part.need("image_url")?)
            }
        }
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

fn legacy_id(number: usize) -> CallId {
    CallId::from(format!("call_function_{number}"))
}
