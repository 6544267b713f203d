//! What the server will say: a description that is data, so that it can be compared, printed and inspected.
//!
//! An [`Answer`] becomes a list of [`Step`]s by a pure function, [`Answer::steps`]; only `playback` performs them.

mod events;
mod steps;

use std::time::Duration;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

pub use steps::Step;

/// One answer to one `POST …/responses` or `POST …/images/…`.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    reply: Reply,
    headers: HeaderMap,
    usage: Usage,
    every: Duration,
    first_after: Option<Duration>,
    stop: Option<Stop>,
}

/// What kind of reply it is.
#[derive(Clone, Debug, PartialEq)]
enum Reply {
    /// A faithful Responses stream, made from its parts.
    Stream { parts: Vec<Part>, ending: Ending },
    /// These events and no others.
    Raw(Vec<(String, Value)>),
    /// No stream: a status and a JSON body.
    Status(StatusCode, Value),
}

/// One output item of a stream.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Reasoning(Vec<String>),
    Text(Vec<String>),
    Refusal(String),
    ToolCall(ToolCall),
}

/// The last event of a stream.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    Completed,
    Failed { code: String, message: String },
    Incomplete { reason: String },
}

/// Where a stream stops before its end, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    CutAfter(usize),
    HangAfter(usize),
    HangAfterLastDelta,
}

/// A call of one of the client's functions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ToolCall {
    /// Pairs the call with its output in the next request.
    pub call_id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as the model would write them: usually a JSON object, but any text is sent as it is.
    pub arguments: String,
    /// Where the function stands, if not among the others.
    pub namespace: Option<String>,
}

impl ToolCall {
    /// A call, from anything that turns into strings.
    pub fn new(call_id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { call_id: call_id.into(), name: name.into(), arguments: arguments.into(), namespace: None }
    }

    /// A call of a function that stands in a namespace.
    #[must_use]
    pub fn within(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

/// The tokens that the answer claims to have cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// Input tokens, the cached ones included.
    pub input: u64,
    /// Input tokens that came from the cache.
    pub cached: u64,
    /// Output tokens, the reasoning ones included.
    pub output: u64,
    /// Output tokens that were reasoning.
    pub reasoning: u64,
}

impl Default for Usage {
    /// Four different numbers, so that a test notices when two of them are swapped.
    fn default() -> Self {
        Self { input: 11, cached: 3, output: 7, reasoning: 2 }
    }
}

impl Answer {
    /// A message, each string one `response.output_text.delta`.
    pub fn text<T: Into<String>>(deltas: impl IntoIterator<Item = T>) -> Self {
        Self::stream(vec![Part::Text(strings(deltas))], Ending::Completed)
    }

    /// A reasoning summary, then a message.
    pub fn reasoning<R: Into<String>, T: Into<String>>(
        summary: impl IntoIterator<Item = R>,
        text: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::stream(vec![Part::Reasoning(strings(summary)), Part::Text(strings(text))], Ending::Completed)
    }

    /// Calls of the client's functions, all in this one answer.
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self::stream(calls.into_iter().map(Part::ToolCall).collect(), Ending::Completed)
    }

    /// A message that holds a refusal instead of text.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::stream(vec![Part::Refusal(refusal.into())], Ending::Completed)
    }

    /// A stream that begins and then reports `response.failed`.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::stream(Vec::new(), Ending::Completed).then_failed(code, message)
    }

    /// A stream that begins and then reports `response.incomplete`, say for `max_output_tokens`.
    pub fn incomplete(reason: impl Into<String>) -> Self {
        Self::stream(Vec::new(), Ending::Completed).then_incomplete(reason)
    }

    /// A status and a JSON body instead of a stream. Panics if `status` is no HTTP status.
    pub fn status(status: u16, body: Value) -> Self {
        let status = StatusCode::from_u16(status).expect("the script names an HTTP status");
        Self::new(Reply::Status(status, body))
    }

    /// A picture, as the Images API returns it.
    pub fn picture(bytes: &[u8]) -> Self {
        let data =
            serde_json::json!([{ "b64_json": base64::engine::general_purpose::STANDARD.encode(bytes) }]);
        Self::status(200, serde_json::json!({ "created": 1_767_225_600, "data": data }))
    }

    /// These events, in this order, with nothing added: for streams that no builder makes.
    pub fn raw_events(events: Vec<(String, Value)>) -> Self {
        Self::new(Reply::Raw(events))
    }

    /// Puts a message in front of what is there: a model that says what it is about to call.
    pub fn with_text_before<T: Into<String>>(self, deltas: impl IntoIterator<Item = T>) -> Self {
        self.with_part_before(Part::Text(strings(deltas)))
    }

    /// Puts a reasoning summary in front of what is there.
    pub fn with_reasoning_before<R: Into<String>>(self, summary: impl IntoIterator<Item = R>) -> Self {
        self.with_part_before(Part::Reasoning(strings(summary)))
    }

    /// Ends the stream with `response.failed`, after what it already says.
    pub fn then_failed(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.with_ending(Ending::Failed { code: code.into(), message: message.into() })
    }

    /// Ends the stream with `response.incomplete`, after what it already says.
    pub fn then_incomplete(self, reason: impl Into<String>) -> Self {
        self.with_ending(Ending::Incomplete { reason: reason.into() })
    }

    /// Adds a header to the HTTP response. Panics if it is not a valid one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("the script gives a valid header name");
        let value = HeaderValue::try_from(value).expect("the script gives a valid header value");
        self.headers.append(name, value);
        self
    }

    /// The usage that the closing event reports.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Waits this long before each delta (text, reasoning, refusal and arguments alike).
    pub fn every(mut self, delay: Duration) -> Self {
        self.every = delay;
        self
    }

    /// Waits this long before the first delta, instead of what [`Answer::every`] says; before the closing event if
    /// there is no delta; before the whole response if it is a [`Answer::status`].
    pub fn first_after(mut self, delay: Duration) -> Self {
        self.first_after = Some(delay);
        self
    }

    /// Breaks the TCP connection after `events` events. Of more than fits into a socket buffer, a client that reads
    /// slowly may miss the end. Streams only.
    pub fn cut_after(mut self, events: usize) -> Self {
        self.stop = Some(Stop::CutAfter(events));
        self
    }

    /// Falls silent after the last delta, in the middle of the item, and stays so until the client leaves. A stream
    /// without deltas falls silent before its closing event, one of raw events after all of them. Streams only.
    pub fn hang(mut self) -> Self {
        self.stop = Some(Stop::HangAfterLastDelta);
        self
    }

    /// Falls silent after `events` events, until the client leaves. Streams only.
    pub fn hang_after(mut self, events: usize) -> Self {
        self.stop = Some(Stop::HangAfter(events));
        self
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Status, body and delay, if this is not a stream.
    pub(crate) fn as_status(&self) -> Option<(StatusCode, &Value, Duration)> {
        let Reply::Status(status, body) = &self.reply else { return None };
        Some((*status, body, self.first_after.unwrap_or_default()))
    }

    fn new(reply: Reply) -> Self {
        Self {
            reply,
            headers: HeaderMap::new(),
            usage: Usage::default(),
            every: Duration::ZERO,
            first_after: None,
            stop: None,
        }
    }

    fn stream(parts: Vec<Part>, ending: Ending) -> Self {
        Self::new(Reply::Stream { parts, ending })
    }

    fn with_part_before(mut self, part: Part) -> Self {
        let Reply::Stream { parts, .. } = &mut self.reply else {
            panic!("only a built stream has parts: {self:?}")
        };
        parts.insert(0, part);
        self
    }

    fn with_ending(mut self, new: Ending) -> Self {
        let Reply::Stream { ending, .. } = &mut self.reply else {
            panic!("only a built stream has an ending: {self:?}")
        };
        *ending = new;
        self
    }
}

fn strings<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}
