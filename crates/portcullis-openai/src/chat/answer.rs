//! One choice of an answer: what a turn's events mean to a chat client. Streaming and whole answers are both
//! made of its steps.

use portcullis_agent::{
    AgentError, CallId, DeltaKind, ErrorKind, Item, ItemId, Outcome, ToolCall, TurnEvent, Usage,
};
use serde_json::Value;

use super::request::{ChatRequest, Format};
use super::stop::StopMatcher;
use super::tools::ToolChoice;
use crate::tokens::TokenLimit;

/// What goes to the client.
#[derive(Clone, Debug)]
pub enum Step {
    /// A piece of the answer.
    Text(String),
    /// A piece of the reasoning's summary.
    Reasoning(String),
    /// The model declined in these words.
    Refusal(String),
    /// The model's calls, all of one step.
    Calls(Vec<ToolCall>),
    /// The choice is whole.
    Finish(Finish),
    /// The choice will never be whole.
    Fail(Failure),
}

/// Why a choice is whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// The model was done, or a stop text came.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model waits for outputs.
    ToolCalls,
}

/// Why a choice will never be whole.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The turn failed.
    Agent(AgentError),
    /// The model's answer is not what the caller demanded.
    NotHonoured {
        /// For programs.
        code: &'static str,
        /// For people.
        message: &'static str,
    },
    /// Somebody else stopped the turn.
    Interrupted,
}

impl Failure {
    pub(crate) fn no_call() -> Self {
        let message = "The model answered without calling a tool, which 'tool_choice' demanded.";
        Self::NotHonoured { code: "tool_choice_not_honored", message }
    }

    pub(crate) fn no_object() -> Self {
        let message = "The model's answer is not a JSON object, which the request demanded.";
        Self::NotHonoured { code: "response_format_not_honored", message }
    }
}

/// One choice, from its turn's first event to its end.
#[derive(Debug)]
pub struct Choice {
    stop: StopMatcher,
    limit: Option<TokenLimit>,
    must_call: bool,
    parallel: bool,
    /// The text must be a JSON object in the end.
    must_be_object: bool,
    usage: Usage,
    /// The model's current step was cut short, so its cost is not known.
    cut: bool,
    done: bool,
    /// The calls that went out.
    called: Vec<ToolCall>,
    /// Calls of the same step that did not: the caller allows one at a time.
    withheld: Vec<CallId>,
    /// All text that went out, for whoever must know what the client will send back.
    said: String,
    /// The message whose deltas are coming.
    speaking: Option<ItemId>,
    last_reasoning: Option<(ItemId, u32)>,
    /// What stands before the next text: a blank line after the agent's hands did something.
    before_text: &'static str,
}

impl Choice {
    /// A choice under the request's rules.
    pub fn new(request: &ChatRequest) -> Self {
        Self {
            stop: StopMatcher::new(request.stop.clone()),
            limit: request.max_tokens.map(TokenLimit::new),
            must_call: request.tool_choice == ToolChoice::Required,
            parallel: request.parallel,
            must_be_object: request.format == Format::JsonObject,
            usage: Usage::default(),
            cut: false,
            done: false,
            called: Vec::new(),
            withheld: Vec::new(),
            said: String::new(),
            speaking: None,
            last_reasoning: None,
            before_text: "",
        }
    }

    /// Whether the choice has ended; later events are ignored.
    pub fn done(&self) -> bool {
        self.done
    }

    /// The calls that went out; the turn waits for their outputs when there are any.
    pub fn called(&self) -> &[ToolCall] {
        &self.called
    }

    /// Calls that did not go out and that the turn waits for, too.
    pub fn withheld(&self) -> &[CallId] {
        &self.withheld
    }

    /// The text that went out so far.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// What it cost; `None` where the model was cut short and nobody knows.
    pub fn usage(&self) -> Option<Usage> {
        (!self.cut).then_some(self.usage)
    }

    /// What an event means. Ends with exactly one `Finish` or `Fail`.
    pub fn on(&mut self, event: TurnEvent, emit: &mut dyn FnMut(Step)) {
        if self.done {
            return;
        }
        match event {
            TurnEvent::Delta(delta) => match delta.kind {
                DeltaKind::Message => {
                    self.speaking = Some(delta.item);
                    self.text(delta.text, emit);
                }
                DeltaKind::ReasoningSummary { part } => {
                    // Parts are paragraphs; the client reads one text.
                    let here = Some((delta.item, part));
                    if self.last_reasoning.is_some() && self.last_reasoning != here {
                        emit(Step::Reasoning("\n\n".to_owned()));
                    }
                    self.last_reasoning = here;
                    emit(Step::Reasoning(delta.text));
                }
            },
            TurnEvent::ItemCompleted(Item::Message { refusal: Some(refusal), .. }) => {
                emit(Step::Refusal(refusal));
            }
            // A provider that does not stream says it all at the end.
            TurnEvent::ItemCompleted(Item::Message { id, text, refusal: None }) => {
                if self.speaking.take() != Some(id) {
                    self.text(text, emit);
                }
            }
            TurnEvent::ItemCompleted(Item::Reasoning(_) | Item::Picture(_)) | TurnEvent::Preview(_) => {}
            TurnEvent::ItemCompleted(Item::Command(_) | Item::FileChange(_)) => {
                self.before_text = if self.said.is_empty() { "" } else { "\n\n" };
            }
            TurnEvent::StepCompleted(usage) => self.usage += usage,
            TurnEvent::ToolCalls(mut calls) => {
                self.flush(emit);
                if !self.parallel {
                    self.withheld =
                        calls.split_off(1.min(calls.len())).into_iter().map(|call| call.id).collect();
                }
                self.called.clone_from(&calls);
                emit(Step::Calls(calls));
                self.end(Step::Finish(Finish::ToolCalls), emit);
            }
            TurnEvent::Ended(Outcome::Completed) => {
                self.flush(emit);
                let end = self.verdict();
                self.end(end, emit);
            }
            TurnEvent::Ended(Outcome::Interrupted) => self.end(Step::Fail(Failure::Interrupted), emit),
            TurnEvent::Ended(Outcome::Failed(AgentError { kind: ErrorKind::OutputLimit, .. })) => {
                self.flush(emit);
                self.cut = true;
                self.end(Step::Finish(Finish::Length), emit);
            }
            TurnEvent::Ended(Outcome::Failed(error)) => self.end(Step::Fail(Failure::Agent(error)), emit),
        }
    }

    /// The turn's events are over without an outcome: that is a fault of ours, and never a clean end.
    pub fn broke_off(&mut self, emit: &mut dyn FnMut(Step)) {
        if !self.done {
            self.end(Step::Fail(Failure::Agent(ErrorKind::Internal.into())), emit);
        }
    }

    fn text(&mut self, mut text: String, emit: &mut dyn FnMut(Step)) {
        if !text.is_empty() {
            text.insert_str(0, std::mem::take(&mut self.before_text));
        }
        let passed = self.stop.push(text);
        if self.say(passed.text, emit) {
            self.cut = true;
            self.end(Step::Finish(Finish::Length), emit);
        } else if passed.stopped {
            self.cut = true;
            let end = self.verdict();
            self.end(end, emit);
        }
    }

    /// Lets text out; says whether the limit of tokens is reached.
    fn say(&mut self, mut text: String, emit: &mut dyn FnMut(Step)) -> bool {
        let mut full = false;
        if let Some(limit) = &mut self.limit {
            (text, full) = limit.push(&text);
        }
        self.emit_text(text, emit);
        full
    }

    fn emit_text(&mut self, text: String, emit: &mut dyn FnMut(Step)) {
        if !text.is_empty() {
            self.said.push_str(&text);
            emit(Step::Text(text));
        }
    }

    fn flush(&mut self, emit: &mut dyn FnMut(Step)) {
        let rest = self.stop.finish();
        if !self.say(rest, emit)
            && let Some(limit) = &mut self.limit
        {
            let rest = limit.finish();
            self.emit_text(rest, emit);
        }
    }

    /// Whether an answer that is whole is what the caller demanded.
    fn verdict(&self) -> Step {
        if self.must_call {
            return Step::Fail(Failure::no_call());
        }
        let is_object = || serde_json::from_str::<Value>(&self.said).is_ok_and(|value| value.is_object());
        if self.must_be_object && !is_object() {
            return Step::Fail(Failure::no_object());
        }
        Step::Finish(Finish::Stop)
    }

    fn end(&mut self, step: Step, emit: &mut dyn FnMut(Step)) {
        self.done = true;
        emit(step);
    }
}
