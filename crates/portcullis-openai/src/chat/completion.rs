//! A completion in one piece: the same steps, folded.

use portcullis_agent::{ToolCall, Usage};
use serde::Serialize;

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

    /// The whole answer, as it is serialised.
    pub fn body(head: &StreamHead, choices: Vec<Completion>, usage: Option<Usage>) -> CompletionBody<'_> {
        let legacy = head.legacy_functions;
        CompletionBody {
            id: &head.id,
            object: "chat.completion",
            created: head.created,
            model: &head.model,
            choices: choices
                .into_iter()
                .enumerate()
                .map(|(index, choice)| choice.choice(index, legacy))
                .collect(),
            usage: usage.map(UsageBody::from),
        }
    }

    fn choice(self, index: usize, legacy: bool) -> Choice {
        // An answer without text is an empty text; beside calls or a refusal it is null.
        let alone = self.calls.is_empty() && self.refusal.is_none();
        let function = |call: ToolCall| Function { name: call.name, arguments: call.arguments };
        let (mut function_call, mut tool_calls) = (None, Vec::new());
        if legacy {
            function_call = self.calls.into_iter().next().map(function);
        } else {
            let call = |call: ToolCall| Call {
                id: call.id.as_str().to_owned(),
                kind: "function",
                function: function(call),
            };
            tool_calls = self.calls.into_iter().map(call).collect();
        }
        Choice {
            index,
            message: Message {
                role: "assistant",
                content: self.text.or_else(|| alone.then(String::new)),
                refusal: self.refusal,
                annotations: [],
                reasoning_content: self.reasoning,
                function_call,
                tool_calls,
            },
            logprobs: None,
            finish_reason: self.finish.map(|finish| finish_word(finish, legacy)),
        }
    }
}

/// A completion on the wire: <https://platform.openai.com/docs/api-reference/chat/object>.
#[derive(Debug, Serialize)]
pub struct CompletionBody<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageBody>,
}

#[derive(Debug, Serialize)]
struct Choice {
    index: usize,
    message: Message,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Debug, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}
