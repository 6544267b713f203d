//! What one turn's notifications mean: a state machine without I/O.

use std::collections::{HashMap, HashSet};

use portcullis_agent::{
    ActionStatus, AgentError, CallId, ChangeKind, ChangedFile, Command, Delta, DeltaKind, ErrorKind,
    FileChange, Item, ItemId, Outcome, Reasoning, ToolCall, TurnEvent, Usage,
};
use portcullis_app_server_protocol::{
    ErrorNotification, FunctionCall, Notification, PatchChangeKind, ResponseItem, StepUsage, ThreadItem,
    TurnStatus,
};
use serde_json::value::RawValue;

use crate::errors::turn_error;
use crate::picture_state::PictureState;
use crate::tools::is_callers;

/// How much text one turn may bring, in bytes. A model that never stops must not fill the gateway's memory: whoever
/// reads a turn keeps what it said.
const LONGEST_TURN: usize = 64 * 1024 * 1024;

/// One turn, from the app-server's point of view.
#[derive(Debug, Default)]
pub(crate) struct TurnState {
    /// The names of the caller's tools.
    offered: HashSet<String>,
    /// The calls of the model's current step, as the model wrote them.
    calls: Vec<ToolCall>,
    /// The step is over: no more calls will join.
    step_over: bool,
    /// The app-server's requests that wait for an output, by call.
    requests: HashMap<CallId, Box<RawValue>>,
    /// Text of the current step has gone out; a retry of the step would say it twice.
    step_has_text: bool,
    /// Bytes of text that have gone out.
    said: usize,
    /// A message that was begun and of which nothing has come.
    unsaid: Option<String>,
    last_error: Option<AgentError>,
    /// The turn is to make a picture.
    picture: Option<PictureState>,
}

/// Codex passes on nothing of a refusal but that a message was begun (measured on 0.169.0): no delta, no item,
/// no raw item. The client must still learn that the model declined.
const REFUSED: &str = "The model declined to answer. (Codex does not pass on the words of a refusal.)";

impl TurnState {
    /// A turn with the caller's tools.
    pub(crate) fn new(tools: impl IntoIterator<Item = String>) -> Self {
        Self { offered: tools.into_iter().collect(), ..Self::default() }
    }

    /// A turn that is to make a picture.
    pub(crate) fn drawing(picture: PictureState) -> Self {
        Self { picture: Some(picture), ..Self::default() }
    }

    /// What a notification of this turn means.
    pub(crate) fn on(&mut self, notification: Notification, emit: &mut dyn FnMut(TurnEvent)) {
        let notification = match &mut self.picture {
            Some(picture) => match picture.on(notification, emit) {
                Some(notification) => notification,
                None => return,
            },
            None => notification,
        };
        match notification {
            Notification::AgentMessageDelta(d) => {
                self.delta(d.item_id, DeltaKind::Message, d.delta, emit);
            }
            Notification::ReasoningSummaryDelta(d) => {
                self.delta(d.item_id, DeltaKind::ReasoningSummary { part: d.summary_index }, d.delta, emit);
            }
            Notification::ItemStarted(started) => {
                if let ThreadItem::AgentMessage { id, .. } = started.item {
                    self.unsaid = Some(id);
                }
            }
            Notification::ItemCompleted(completed) => match completed.item {
                ThreadItem::AgentMessage { id, text } => {
                    self.step_has_text |= !text.is_empty();
                    self.unsaid = None;
                    emit(TurnEvent::ItemCompleted(Item::Message { id: id.into(), text, refusal: None }));
                }
                other => emit_action(other, emit),
            },
            Notification::RawItemCompleted(raw) => match raw.item {
                ResponseItem::FunctionCall(call) => self.called(call),
                ResponseItem::Reasoning(raw) => emit(TurnEvent::ItemCompleted(Item::Reasoning(Reasoning {
                    id: raw.id.unwrap_or_default().into(),
                    summary: raw.summary.into_iter().map(|part| part.text).collect(),
                    encrypted: raw.encrypted_content,
                }))),
                ResponseItem::FunctionCallOutput(_) | ResponseItem::Other => {}
            },
            Notification::RawResponseCompleted(step) => {
                self.step_over = true;
                self.step_has_text = false;
                if let Some(id) = self.unsaid.take() {
                    let refusal = Some(REFUSED.to_owned());
                    emit(TurnEvent::ItemCompleted(Item::Message {
                        id: id.into(),
                        text: String::new(),
                        refusal,
                    }));
                }
                emit(TurnEvent::StepCompleted(usage(step.usage.unwrap_or_default())));
                self.emit_calls_when_whole(emit);
            }
            Notification::Error(error) => self.failed(&error, emit),
            Notification::TurnCompleted(completed) => emit(TurnEvent::Ended(self.outcome(&completed.turn))),
            Notification::TurnStarted(_)
            | Notification::LoginCompleted(_)
            | Notification::AccountUpdated
            | Notification::RateLimitsUpdated(_)
            | Notification::Warning(_)
            | Notification::Other => {}
        }
    }

    /// The app-server waits for the output of a call.
    pub(crate) fn on_tool_request(
        &mut self,
        call: CallId,
        request: Box<RawValue>,
        emit: &mut dyn FnMut(TurnEvent),
    ) {
        self.requests.insert(call, request);
        self.emit_calls_when_whole(emit);
    }

    /// Takes the request that waits for this call's output.
    pub(crate) fn take_request(&mut self, call: &CallId) -> Option<Box<RawValue>> {
        self.requests.remove(call)
    }

    /// The calls that wait for an output.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &CallId> {
        self.requests.keys()
    }

    fn delta(&mut self, item: String, kind: DeltaKind, text: String, emit: &mut dyn FnMut(TurnEvent)) {
        if text.is_empty() {
            return;
        }
        self.said += text.len();
        if self.said > LONGEST_TURN {
            let error =
                AgentError::new(ErrorKind::Upstream).because("the turn brought more text than any may");
            return emit(TurnEvent::Ended(Outcome::Failed(error)));
        }
        self.step_has_text = true;
        self.unsaid = None;
        emit(TurnEvent::Delta(Delta { item: ItemId::from(item), kind, text }));
    }

    /// Keeps a call that the app-server will ask us about. Codex answers the others itself: names that were not
    /// offered ("unsupported call"), and arguments that are not JSON ("failed to parse").
    fn called(&mut self, call: FunctionCall) {
        if std::mem::take(&mut self.step_over) {
            self.calls.clear();
        }
        let in_reach = is_callers(call.namespace.as_deref());
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok();
        if in_reach && json && self.offered.contains(&call.name) {
            let FunctionCall { call_id, name, arguments, namespace: _ } = call;
            self.calls.push(ToolCall { id: call_id.into(), name, arguments });
        }
    }

    /// The set is whole when the step is over and every call of it is waiting.
    fn emit_calls_when_whole(&mut self, emit: &mut dyn FnMut(TurnEvent)) {
        let whole = self.step_over && self.calls.iter().all(|call| self.requests.contains_key(&call.id));
        if whole && !self.calls.is_empty() {
            emit(TurnEvent::ToolCalls(std::mem::take(&mut self.calls)));
        }
    }

    fn failed(&mut self, error: &ErrorNotification, emit: &mut dyn FnMut(TurnEvent)) {
        let meaning = turn_error(&error.error);
        if !error.will_retry {
            self.last_error = Some(meaning);
        } else if self.step_has_text {
            // Codex would ask the model again and the client would read the beginning twice.
            emit(TurnEvent::Ended(Outcome::Failed(meaning)));
        }
    }

    fn outcome(&mut self, turn: &TurnStatus) -> Outcome {
        match (turn.status.as_str(), &turn.error) {
            ("completed", _) => Outcome::Completed,
            ("interrupted", _) => Outcome::Interrupted,
            (_, Some(error)) => Outcome::Failed(turn_error(error)),
            (status, None) => Outcome::Failed(self.last_error.take().unwrap_or_else(|| {
                AgentError::new(ErrorKind::Upstream).because(format!("codex ended the turn as `{status}`"))
            })),
        }
    }
}

/// What the hands did.
fn emit_action(item: ThreadItem, emit: &mut dyn FnMut(TurnEvent)) {
    let item = match item {
        ThreadItem::CommandExecution { id, command, cwd, status, exit_code } => Item::Command(Command {
            id: id.into(),
            line: command,
            cwd,
            status: action_status(&status),
            exit_code,
        }),
        ThreadItem::FileChange { id, changes, status } => Item::FileChange(FileChange {
            id: id.into(),
            files: changes
                .into_iter()
                .map(|change| ChangedFile { path: change.path, kind: change_kind(&change.kind) })
                .collect(),
            status: action_status(&status),
        }),
        ThreadItem::AgentMessage { .. } | ThreadItem::ImageGeneration(_) | ThreadItem::Other => return,
    };
    emit(TurnEvent::ItemCompleted(item));
}

/// A word of the future is a failure until somebody gives it a meaning.
fn action_status(word: &str) -> ActionStatus {
    match word {
        "completed" => ActionStatus::Completed,
        "declined" => ActionStatus::Declined,
        _ => ActionStatus::Failed,
    }
}

fn change_kind(kind: &PatchChangeKind) -> ChangeKind {
    match kind {
        PatchChangeKind::Add => ChangeKind::Add,
        PatchChangeKind::Delete => ChangeKind::Delete,
        PatchChangeKind::Update => ChangeKind::Update,
    }
}

fn usage(step: StepUsage) -> Usage {
    Usage {
        input: step.input_tokens,
        cached_input: step.cached_input_tokens,
        cache_write: step.cache_write_input_tokens,
        output: step.output_tokens,
        reasoning: step.reasoning_output_tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays lines of the app-server and writes down the events.
    fn play(tools: &[&str], lines: &[(&str, &str)]) -> Vec<String> {
        let mut state = TurnState::new(tools.iter().map(|&t| t.to_owned()));
        let mut events = Vec::new();
        for (method, params) in lines {
            let params: &RawValue = serde_json::from_str(params).unwrap();
            let mut emit = |event: TurnEvent| events.push(format!("{event:?}"));
            if *method == "item/tool/call" {
                let call: portcullis_app_server_protocol::ToolCallRequest =
                    serde_json::from_str(params.get()).unwrap();
                state.on_tool_request(call.call_id.into(), params.to_owned(), &mut emit);
            } else {
                state.on(Notification::parse(method, params).unwrap(), &mut emit);
            }
        }
        events
    }

    const STEP: (&str, &str) = (
        "rawResponse/completed",
        r#"{"threadId":"t","turnId":"u","usage":{"inputTokens":11,"cachedInputTokens":3,"outputTokens":7,"reasoningOutputTokens":2}}"#,
    );

    fn call(id: &str, name: &str, arguments: &str) -> String {
        format!(
            r#"{{"threadId":"t","turnId":"u","item":{{"type":"function_call","call_id":"{id}","name":"{name}","arguments":{arguments:?}}}}}"#
        )
    }

    fn asked(id: &str) -> String {
        format!(r#"{{"threadId":"t","turnId":"u","callId":"{id}","tool":"x","arguments":{{}}}}"#)
    }

    #[test]
    fn text_reasoning_and_usage_become_events() {
        let events = play(
            &[],
            &[
                (
                    "item/reasoning/summaryTextDelta",
                    r#"{"threadId":"t","turnId":"u","itemId":"r","delta":"hm","summaryIndex":1}"#,
                ),
                (
                    "rawResponseItem/completed",
                    r#"{"threadId":"t","turnId":"u","item":{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"hm"}],"content":null,"encrypted_content":"E"}}"#,
                ),
                ("item/agentMessage/delta", r#"{"threadId":"t","turnId":"u","itemId":"m","delta":"Hel"}"#),
                ("item/agentMessage/delta", r#"{"threadId":"t","turnId":"u","itemId":"m","delta":""}"#),
                (
                    "item/completed",
                    r#"{"threadId":"t","turnId":"u","item":{"type":"agentMessage","id":"m","text":"Hello"}}"#,
                ),
                (
                    "item/completed",
                    r#"{"threadId":"t","turnId":"u","item":{"type":"somethingNew","id":"n"}}"#,
                ),
                STEP,
                ("turn/completed", r#"{"threadId":"t","turn":{"id":"u","status":"completed","error":null}}"#),
            ],
        );
        insta::assert_snapshot!(events.join("\n"));
    }

    #[test]
    fn calls_come_out_together_once_every_one_of_them_waits() {
        let events = play(
            &["weather"],
            &[
                ("rawResponseItem/completed", &call("c0", "weather", r#"{ "a":1}"#)),
                ("rawResponseItem/completed", &call("c1", "weather", "{}")),
                // Codex answers these two itself and never asks for their output.
                ("rawResponseItem/completed", &call("c2", "not_offered", "{}")),
                ("rawResponseItem/completed", &call("c3", "weather", "{\"a\":")),
                STEP,
                ("item/tool/call", &asked("c1")),
                ("item/tool/call", &asked("c0")),
                // The next step has a set of its own.
                ("rawResponseItem/completed", &call("c4", "weather", "{}")),
                STEP,
                ("item/tool/call", &asked("c4")),
            ],
        );
        insta::assert_snapshot!(events.join("\n"));
    }

    #[test]
    fn a_model_that_never_stops_is_stopped() {
        let text = "x".repeat(20 * 1024 * 1024);
        let line = format!(r#"{{"threadId":"t","turnId":"u","itemId":"m","delta":"{text}"}}"#);
        let events = play(&[], &[("item/agentMessage/delta", line.as_str()); 4]);
        assert_eq!(events.iter().filter(|event| event.starts_with("Delta")).count(), 3);
        assert!(events[3].starts_with("Ended(Failed"));
    }

    #[test]
    fn a_retry_is_waited_for_only_while_the_client_has_read_nothing() {
        let retry = (
            "error",
            r#"{"threadId":"t","turnId":"u","willRetry":true,"error":{"message":"cut","codexErrorInfo":"other"}}"#,
        );
        let delta = ("item/agentMessage/delta", r#"{"threadId":"t","turnId":"u","itemId":"m","delta":"x"}"#);
        assert_eq!(play(&[], &[retry]), Vec::<String>::new());
        let events = play(&[], &[delta, retry]);
        assert!(events.len() == 2 && events[1].starts_with("Ended(Failed"), "{events:?}");
        // What was said in an earlier step does not matter: only the current one is repeated.
        assert_eq!(play(&[], &[delta, STEP, retry]).len(), 2);
    }

    #[test]
    fn what_the_hands_did_is_told_without_outputs_and_contents() {
        let item = |item: &str| format!(r#"{{"threadId":"t","turnId":"u","item":{item}}}"#);
        let lines = [
            item(
                r#"{"type":"commandExecution","id":"c1","command":"bash -lc ls","commandActions":[],"cwd":"/work","status":"completed","exitCode":0,"aggregatedOutput":"secret"}"#,
            ),
            item(
                r#"{"type":"commandExecution","id":"c2","command":"sleep 9","commandActions":[],"cwd":"/work","status":"failed","exitCode":null}"#,
            ),
            item(
                r#"{"type":"fileChange","id":"f1","status":"declined","changes":[{"path":"/w/a","kind":{"type":"add"},"diff":"secret"},{"path":"/w/b","kind":{"type":"update","move_path":null},"diff":"secret"}]}"#,
            ),
        ];
        let lines: Vec<_> = lines.iter().map(|line| ("item/completed", line.as_str())).collect();
        let events = play(&[], &lines);
        insta::assert_snapshot!("actions", events.join("\n"));
    }
}
