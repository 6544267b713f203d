//! A response in the making: a turn's events in, the API's events and the response object out. Pure.

use portcullis_agent::{
    AgentError, CallId, DeltaKind, ErrorKind, Item, ItemId, Outcome, Reasoning, ToolCall, TurnEvent, Usage,
};
use serde_json::{Map, Value, json};

use super::output;
use super::request::ResponseRequest;
use super::tools::CustomTools;
use crate::chat::{Failure, Format, ToolChoice};
use crate::tokens::TokenLimit;

/// One event of the API. Its number is in its data.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its type.
    pub name: &'static str,
    /// Its number, from 0.
    pub sequence: u64,
    /// The whole event.
    pub data: Value,
}

/// Why the response's events are over.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It is complete, or as complete as its limits let it be: the last event is written.
    Done,
    /// It failed; [`ResponseBuilder::fail`] writes the last event, by whoever knows its code.
    Failed(Failure),
}

/// A response in the making.
#[derive(Debug)]
pub struct ResponseBuilder {
    head: Map<String, Value>,
    echo: Map<String, Value>,
    custom: CustomTools,
    encrypted: bool,
    limit: Option<TokenLimit>,
    must_call: bool,
    parallel: bool,
    must_be_object: bool,
    sequence: u64,
    /// Finished items.
    items: Vec<Value>,
    /// The same as they are kept: a continuation needs the sealed reasoning, whether the client asked for it or not.
    kept: Vec<Value>,
    open: Open,
    said: String,
    called: Vec<ToolCall>,
    withheld: Vec<CallId>,
    usage: Option<Usage>,
    /// The model's current step was cut short, so its cost is not known.
    cut: bool,
    status: &'static str,
    error: Value,
    incomplete: Value,
    ids: Ids,
}

#[derive(Debug)]
enum Open {
    Nothing,
    Message { turns: ItemId, id: String, text: String },
    Reasoning { turns: ItemId, parts: Vec<String> },
}

/// Ids of items: the response's own, with a prefix and a number.
#[derive(Debug)]
struct Ids {
    stem: String,
    next: usize,
}

impl Ids {
    fn make(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_{}{:02x}", self.stem, self.next)
    }
}

type Emit<'a> = &'a mut dyn FnMut(Event);

impl ResponseBuilder {
    /// A response with an id (`resp_` and a unique stem), made at a time (Unix seconds) by a model.
    pub fn new(request: &ResponseRequest, id: &str, created: i64, model: &str) -> Self {
        let mut head = Map::new();
        head.insert("id".to_owned(), json!(id));
        head.insert("object".to_owned(), json!("response"));
        head.insert("created_at".to_owned(), json!(created));
        head.insert("model".to_owned(), json!(model));
        head.insert("background".to_owned(), json!(request.background));
        let conversation = request.conversation.as_ref().map_or(Value::Null, |id| json!({"id": id}));
        head.insert("conversation".to_owned(), conversation);
        Self {
            head,
            echo: request.echo.clone(),
            custom: request.custom.clone(),
            encrypted: request.include.encrypted_reasoning,
            limit: request.max_tokens.map(TokenLimit::new),
            must_call: request.tool_choice == ToolChoice::Required,
            parallel: request.parallel,
            must_be_object: request.format == Format::JsonObject,
            sequence: 0,
            items: Vec::new(),
            kept: Vec::new(),
            open: Open::Nothing,
            said: String::new(),
            called: Vec::new(),
            withheld: Vec::new(),
            usage: None,
            cut: false,
            status: if request.background { "queued" } else { "in_progress" },
            error: Value::Null,
            incomplete: Value::Null,
            ids: Ids { stem: id.trim_start_matches("resp_").to_owned(), next: 0 },
        }
    }

    /// The response object as it stands now.
    pub fn object(&self) -> Value {
        let mut object = self.head.clone();
        object.insert("status".to_owned(), json!(self.status));
        object.insert("error".to_owned(), self.error.clone());
        object.insert("incomplete_details".to_owned(), self.incomplete.clone());
        object.insert("output".to_owned(), Value::Array(self.items.clone()));
        let usage = self.usage.filter(|_| !self.cut).map_or(Value::Null, output::usage);
        object.insert("usage".to_owned(), usage);
        object.extend(self.echo.clone());
        Value::Object(object)
    }

    /// The status word.
    pub fn status(&self) -> &'static str {
        self.status
    }

    /// The finished items of the answer.
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// The same as they are to be kept.
    pub fn kept_items(&self) -> &[Value] {
        &self.kept
    }

    /// The text that went out.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The calls that went out; the turn waits for their outputs when there are any.
    pub fn called(&self) -> &[ToolCall] {
        &self.called
    }

    /// Calls that did not go out and that the turn waits for, too.
    pub fn withheld(&self) -> &[CallId] {
        &self.withheld
    }

    /// The first events, before anything is known of the answer.
    pub fn begin(&mut self, emit: Emit<'_>) {
        self.whole("response.created", emit);
        self.status = "in_progress";
        self.whole("response.in_progress", emit);
    }

    /// What an event of the turn means. After an [`Ending`] nothing may follow.
    pub fn on(&mut self, event: TurnEvent, emit: Emit<'_>) -> Option<Ending> {
        match event {
            TurnEvent::Delta(delta) => match delta.kind {
                DeltaKind::Message => return self.text(&delta.item, delta.text, emit),
                DeltaKind::ReasoningSummary { part } => self.thought(&delta.item, part, &delta.text, emit),
            },
            TurnEvent::ItemCompleted(Item::Message { refusal: Some(refusal), .. }) => {
                self.refused(&refusal, emit);
            }
            TurnEvent::ItemCompleted(Item::Message { id, text, refusal: None }) => {
                // A provider that does not stream says it all at the end.
                let unsaid =
                    !matches!(&self.open, Open::Message { turns, .. } if *turns == id) && !text.is_empty();
                if unsaid && let Some(ending) = self.text(&id, text, emit) {
                    return Some(ending);
                }
                self.close("completed", emit);
            }
            TurnEvent::ItemCompleted(Item::Reasoning(reasoning)) => self.reasoned(&reasoning, emit),
            // The agent's own actions are no items that a client could send back, and nobody asks for pictures here.
            TurnEvent::ItemCompleted(Item::Command(_) | Item::FileChange(_) | Item::Picture(_))
            | TurnEvent::Preview(_) => {}
            TurnEvent::StepCompleted(usage) => self.usage = Some(self.usage.unwrap_or_default() + usage),
            TurnEvent::ToolCalls(calls) => {
                self.close("completed", emit);
                self.calls(calls, emit);
                return Some(self.finish("completed", emit));
            }
            TurnEvent::Ended(Outcome::Completed) => {
                self.close("completed", emit);
                return Some(match self.verdict() {
                    None => self.finish("completed", emit),
                    Some(failure) => Ending::Failed(failure),
                });
            }
            TurnEvent::Ended(Outcome::Interrupted) => return Some(Ending::Failed(Failure::Interrupted)),
            TurnEvent::Ended(Outcome::Failed(AgentError { kind: ErrorKind::OutputLimit, .. })) => {
                return Some(self.run_out(emit));
            }
            TurnEvent::Ended(Outcome::Failed(error)) => return Some(Ending::Failed(Failure::Agent(error))),
        }
        None
    }

    /// Takes back the last event, which has not gone out: another one has its number.
    pub fn take_back(&mut self) {
        self.sequence = self.sequence.saturating_sub(1);
    }

    /// Writes the last event of a response that failed.
    pub fn fail(&mut self, code: &str, message: &str, emit: Emit<'_>) {
        self.close("incomplete", emit);
        self.error = json!({"code": code, "message": message});
        self.status = "failed";
        self.whole("response.failed", emit);
    }

    /// Writes the last event of a response that its owner cancelled.
    pub fn cancel(&mut self, emit: Emit<'_>) {
        self.close("incomplete", emit);
        self.status = "cancelled";
        self.whole("response.incomplete", emit);
    }

    fn finish(&mut self, status: &'static str, emit: Emit<'_>) -> Ending {
        self.status = status;
        self.whole(if status == "incomplete" { "response.incomplete" } else { "response.completed" }, emit);
        Ending::Done
    }

    fn run_out(&mut self, emit: Emit<'_>) -> Ending {
        self.cut = true;
        self.close("incomplete", emit);
        self.incomplete = json!({"reason": "max_output_tokens"});
        self.finish("incomplete", emit)
    }

    fn verdict(&self) -> Option<Failure> {
        let is_object = || serde_json::from_str::<Value>(&self.said).is_ok_and(|value| value.is_object());
        if self.must_call {
            Some(Failure::no_call())
        } else if self.must_be_object && !is_object() {
            Some(Failure::no_object())
        } else {
            None
        }
    }

    fn text(&mut self, item: &ItemId, mut text: String, emit: Emit<'_>) -> Option<Ending> {
        if !matches!(&self.open, Open::Message { turns, .. } if turns == item) {
            self.close("completed", emit);
            let id = self.ids.make("msg");
            self.add(&output::message(&id, "in_progress", &[]), emit);
            self.part(&id, "response.content_part.added", &output::text_part(""), emit);
            self.open = Open::Message { turns: item.clone(), id, text: String::new() };
        }
        let mut full = false;
        if let Some(limit) = &mut self.limit {
            (text, full) = limit.push(&text);
        }
        self.say(&text, emit);
        full.then(|| self.run_out(emit))
    }

    /// Lets text of the open message out.
    fn say(&mut self, text: &str, emit: Emit<'_>) {
        if let Open::Message { id, text: whole, .. } = &mut self.open
            && !text.is_empty()
        {
            self.said.push_str(text);
            whole.push_str(text);
            let data = json!({"item_id": id, "output_index": self.items.len(), "content_index": 0,
                "delta": text, "logprobs": []});
            self.event("response.output_text.delta", data, emit);
        }
    }

    fn refused(&mut self, refusal: &str, emit: Emit<'_>) {
        self.close("completed", emit);
        let id = self.ids.make("msg");
        let index = self.items.len();
        self.add(&output::message(&id, "in_progress", &[]), emit);
        self.part(&id, "response.content_part.added", &output::refusal_part(""), emit);
        let place = json!({"item_id": id, "output_index": index, "content_index": 0});
        let with = |key: &str| {
            let mut data = place.clone();
            data[key] = refusal.into();
            data
        };
        self.event("response.refusal.delta", with("delta"), emit);
        self.event("response.refusal.done", with("refusal"), emit);
        self.part(&id, "response.content_part.done", &output::refusal_part(refusal), emit);
        self.done(output::message(&id, "completed", &[output::refusal_part(refusal)]), emit);
    }

    fn thought(&mut self, item: &ItemId, part: u32, text: &str, emit: Emit<'_>) {
        if !matches!(&self.open, Open::Reasoning { turns, .. } if turns == item) {
            self.close("completed", emit);
            self.add(&output::reasoning(item.as_str(), &[], None), emit);
            self.open = Open::Reasoning { turns: item.clone(), parts: Vec::new() };
        }
        let index = self.items.len();
        let Open::Reasoning { parts, .. } = &mut self.open else { return };
        let number = usize::try_from(part).unwrap_or(usize::MAX).min(parts.len());
        if number == parts.len() {
            let before = number.checked_sub(1).map(|last| (last, parts[last].clone()));
            parts.push(String::new());
            if let Some((last, whole)) = before {
                self.summary_done(item, last, &whole, emit);
            }
            let data = json!({"item_id": item.as_str(), "output_index": index, "summary_index": number,
                "part": output::summary_part("")});
            self.event("response.reasoning_summary_part.added", data, emit);
        }
        if let Open::Reasoning { parts, .. } = &mut self.open {
            parts[number].push_str(text);
        }
        let data =
            json!({"item_id": item.as_str(), "output_index": index, "summary_index": number, "delta": text});
        self.event("response.reasoning_summary_text.delta", data, emit);
    }

    fn summary_done(&mut self, item: &ItemId, number: usize, whole: &str, emit: Emit<'_>) {
        let place =
            json!({"item_id": item.as_str(), "output_index": self.items.len(), "summary_index": number});
        let mut text = place.clone();
        text["text"] = whole.into();
        self.event("response.reasoning_summary_text.done", text, emit);
        let mut part = place;
        part["part"] = output::summary_part(whole);
        self.event("response.reasoning_summary_part.done", part, emit);
    }

    fn reasoned(&mut self, reasoning: &Reasoning, emit: Emit<'_>) {
        let encrypted = reasoning.encrypted.as_deref().filter(|_| self.encrypted);
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Reasoning { turns, parts } if turns == reasoning.id => {
                if let Some(last) = parts.last() {
                    self.summary_done(&turns, parts.len() - 1, last, emit);
                }
            }
            other => {
                self.open = other;
                self.close("completed", emit);
                self.add(&output::reasoning(reasoning.id.as_str(), &[], None), emit);
            }
        }
        self.done(output::reasoning(reasoning.id.as_str(), &reasoning.summary, encrypted), emit);
        if let (Some(last), Some(sealed)) = (self.kept.last_mut(), reasoning.encrypted.as_deref()) {
            last["encrypted_content"] = sealed.into();
        }
    }

    fn calls(&mut self, mut calls: Vec<ToolCall>, emit: Emit<'_>) {
        if !self.parallel {
            self.withheld = calls.split_off(1.min(calls.len())).into_iter().map(|call| call.id).collect();
        }
        for call in &calls {
            let custom = self.custom.contains(&call.name);
            let id = self.ids.make(if custom { "ctc" } else { "fc" });
            let index = self.items.len();
            let empty = ToolCall { arguments: String::new(), ..call.clone() };
            self.add(&output::call(&id, "in_progress", &empty, &self.custom), emit);
            let place = json!({"item_id": id, "output_index": index});
            let with = |key: &str, value: &str| {
                let mut data = place.clone();
                data[key] = value.into();
                data
            };
            if custom {
                let input = CustomTools::input(call);
                self.event("response.custom_tool_call_input.delta", with("delta", &input), emit);
                self.event("response.custom_tool_call_input.done", with("input", &input), emit);
            } else {
                self.event("response.function_call_arguments.delta", with("delta", &call.arguments), emit);
                let mut done = with("arguments", &call.arguments);
                done["name"] = call.name.as_str().into();
                self.event("response.function_call_arguments.done", done, emit);
            }
            self.done(output::call(&id, "completed", call, &self.custom), emit);
        }
        self.called = calls;
    }

    /// Finishes the item that is open, if one is.
    fn close(&mut self, status: &str, emit: Emit<'_>) {
        if status == "completed"
            && let Some(limit) = &mut self.limit
        {
            let rest = limit.finish();
            self.say(&rest, emit);
        }
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Message { id, text, .. } => {
                let data = json!({"item_id": id, "output_index": self.items.len(), "content_index": 0,
                    "text": text, "logprobs": []});
                self.event("response.output_text.done", data, emit);
                self.part(&id, "response.content_part.done", &output::text_part(&text), emit);
                self.done(output::message(&id, status, &[output::text_part(&text)]), emit);
            }
            Open::Reasoning { turns, parts } => {
                if let Some(last) = parts.last() {
                    self.summary_done(&turns, parts.len() - 1, last, emit);
                }
                self.done(output::reasoning(turns.as_str(), &parts, None), emit);
            }
        }
    }

    fn add(&mut self, item: &Value, emit: Emit<'_>) {
        let data = json!({"output_index": self.items.len(), "item": item});
        self.event("response.output_item.added", data, emit);
    }

    fn done(&mut self, item: Value, emit: Emit<'_>) {
        let data = json!({"output_index": self.items.len(), "item": item});
        self.kept.push(item.clone());
        self.items.push(item);
        self.event("response.output_item.done", data, emit);
    }

    fn part(&mut self, id: &str, name: &'static str, part: &Value, emit: Emit<'_>) {
        let data = json!({"item_id": id, "output_index": self.items.len(), "content_index": 0, "part": part});
        self.event(name, data, emit);
    }

    fn whole(&mut self, name: &'static str, emit: Emit<'_>) {
        let data = json!({"response": self.object()});
        self.event(name, data, emit);
    }

    fn event(&mut self, name: &'static str, mut data: Value, emit: Emit<'_>) {
        let sequence = self.sequence;
        self.sequence += 1;
        data["type"] = name.into();
        data["sequence_number"] = sequence.into();
        emit(Event { name, sequence, data });
    }
}
