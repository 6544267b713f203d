//! A completion piece by piece: steps in, server-sent events out.

use portcullis_agent::{ToolCall, Usage};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Finish, Step};

/// What every chunk of a stream repeats.
#[derive(Clone, Debug)]
pub struct StreamHead {
    /// `chatcmpl-…`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// The model that answers.
    pub model: String,
    /// Whether the last chunk holds the usage.
    pub include_usage: bool,
    /// The request used `functions`.
    pub legacy_functions: bool,
}

/// A stream of chunks for one or several choices. Ends once: with `[DONE]`, or with an error event and no `[DONE]`.
#[derive(Debug)]
pub struct ChatStream {
    head: StreamHead,
    /// Which choices have said their role.
    begun: Vec<bool>,
    open: usize,
    ended: bool,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "ChunkUsage::is_absent")]
    usage: ChunkUsage,
}

/// The `usage` member of a chunk, where OpenAI tells apart "not asked for" and "not yet".
#[derive(Serialize)]
#[serde(untagged)]
enum ChunkUsage {
    #[serde(skip)]
    Absent,
    /// Written as null.
    Unknown(()),
    Known(UsageBody),
}

impl ChunkUsage {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionDelta<'a>>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// `usage`, as clients read it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.total(),
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_input },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

pub(crate) fn finish_word(finish: Finish, legacy: bool) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls if legacy => "function_call",
        Finish::ToolCalls => "tool_calls",
    }
}

impl ChatStream {
    /// A stream of so many choices.
    pub fn new(head: StreamHead, choices: usize) -> Self {
        Self { head, begun: vec![false; choices], open: choices, ended: false }
    }

    /// Whether nothing follows.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Writes what a step of a choice means. A failure is written with [`ChatStream::fail`], by whoever knows its body.
    pub fn on(&mut self, index: usize, step: &Step, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if !std::mem::replace(&mut self.begun[index], true) {
            self.delta(index, Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, out);
        }
        match step {
            Step::Text(text) => self.delta(index, Delta { content: Some(text), ..Delta::default() }, out),
            Step::Reasoning(text) => {
                self.delta(index, Delta { reasoning_content: Some(text), ..Delta::default() }, out);
            }
            Step::Refusal(text) => self.delta(index, Delta { refusal: Some(text), ..Delta::default() }, out),
            Step::Calls(calls) => self.calls(index, calls, out),
            Step::Finish(finish) => {
                let reason = finish_word(*finish, self.head.legacy_functions);
                self.chunk(index, Delta::default(), Some(reason), out);
                self.open -= 1;
            }
            Step::Fail(_) => {}
        }
    }

    /// Ends the stream when every choice has finished; `usage` is the sum over them, where it is known.
    pub fn finish(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        if self.ended || self.open > 0 {
            return;
        }
        if self.head.include_usage {
            let usage = usage.map_or(ChunkUsage::Unknown(()), |usage| ChunkUsage::Known(usage.into()));
            self.event(&[], usage, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.ended = true;
    }

    /// Ends the stream with an error event: never a clean stop.
    pub fn fail(&mut self, body: &Value, out: &mut Vec<u8>) {
        if !self.ended {
            write_event(body, out);
            self.ended = true;
        }
    }

    fn calls(&self, index: usize, calls: &[ToolCall], out: &mut Vec<u8>) {
        if self.head.legacy_functions {
            for call in calls {
                let head = FunctionDelta { name: Some(&call.name), arguments: "" };
                self.delta(index, Delta { function_call: Some(head), ..Delta::default() }, out);
                let arguments = FunctionDelta { name: None, arguments: &call.arguments };
                self.delta(index, Delta { function_call: Some(arguments), ..Delta::default() }, out);
            }
            return;
        }
        for (number, call) in calls.iter().enumerate() {
            let function = FunctionDelta { name: Some(&call.name), arguments: "" };
            let head =
                CallDelta { index: number, id: Some(call.id.as_str()), kind: Some("function"), function };
            self.delta(index, Delta { tool_calls: Some([head]), ..Delta::default() }, out);
            let function = FunctionDelta { name: None, arguments: &call.arguments };
            let arguments = CallDelta { index: number, id: None, kind: None, function };
            self.delta(index, Delta { tool_calls: Some([arguments]), ..Delta::default() }, out);
        }
    }

    fn delta(&self, index: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.chunk(index, delta, None, out);
    }

    fn chunk(&self, index: usize, delta: Delta<'_>, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        // OpenAI sends `usage: null` on every chunk before the one that holds it.
        let usage = if self.head.include_usage { ChunkUsage::Unknown(()) } else { ChunkUsage::Absent };
        self.event(&[ChunkChoice { index, delta, logprobs: None, finish_reason }], usage, out);
    }

    fn event(&self, choices: &[ChunkChoice<'_>], usage: ChunkUsage, out: &mut Vec<u8>) {
        let StreamHead { id, created, model, .. } = &self.head;
        let chunk = Chunk { id, object: "chat.completion.chunk", created: *created, model, choices, usage };
        write_event(&chunk, out);
    }
}

fn write_event(value: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, value)
        .expect("writing to memory does not fail, and our types serialise");
    out.extend_from_slice(b"\n\n");
}
