//! A completion in one piece: the same steps, folded.

use portcullis_agent::{ToolCall, Usage};
use serde_json::{Value, json};

use super::answer::{Finish, Step};
use super::stream::{StreamHead, UsageBody, finish_word};

/// One choice that is being folded.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    text: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    calls: Vec<ToolCall>,
    finish: Option<Finish>,
}

impl Completion {
    /// Takes a step.
    pub fn on(&mut self, step: Step) {
        match step {
            Step::Text(text) => self.text.get_or_insert_default().push_str(&text),
            Step::Reasoning(text) => self.reasoning.get_or_insert_default().push_str(&text),
            Step::Refusal(text) => self.refusal.get_or_insert_default().push_str(&text),
            Step::Calls(calls) => self.calls = calls,
            Step::Finish(finish) => self.finish = Some(finish),
            Step::Fail(_) => {}
        }
    }

    /// The whole answer.
    pub fn body(head: &StreamHead, choices: Vec<Completion>, usage: Option<Usage>) -> Value {
        let legacy = head.legacy_functions;
        let choices: Vec<Value> =
            choices.into_iter().enumerate().map(|(index, choice)| choice.choice(index, legacy)).collect();
        let mut body = json!({
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            body["usage"] = json!(UsageBody::from(usage));
        }
        body
    }

    fn choice(self, index: usize, legacy: bool) -> Value {
        // An answer without text is an empty text; beside calls or a refusal it is null.
        let alone = self.calls.is_empty() && self.refusal.is_none();
        let content = self.text.or_else(|| alone.then(String::new));
        let mut message = json!({
            "role": "assistant",
            "content": content,
            "refusal": self.refusal,
            "annotations": [],
        });
        if let Some(reasoning) = self.reasoning {
            message["reasoning_content"] = reasoning.into();
        }
        let function = |call: &ToolCall| json!({"name": call.name, "arguments": call.arguments});
        match self.calls.first() {
            Some(call) if legacy => message["function_call"] = function(call),
            Some(_) => {
                let call = |call: &ToolCall| json!({"id": call.id.as_str(), "type": "function", "function": function(call)});
                message["tool_calls"] = self.calls.iter().map(call).collect();
            }
            None => {}
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": null,
            "finish_reason": self.finish.map(|finish| finish_word(finish, legacy)),
        })
    }
}
