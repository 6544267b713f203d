//! From an answer to the steps that perform it. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Answer, Reply, Stop, events};

/// One thing that the server does while it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Sends one server-sent event.
    Event {
        /// The `event:` line.
        name: String,
        /// The `data:` line.
        data: Value,
    },
    /// Waits, unless the client leaves.
    Delay(Duration),
    /// Breaks the connection.
    Cut,
    /// Says nothing until the client leaves.
    Hang,
}

impl Step {
    /// The bytes that the step puts on the wire, if any.
    pub fn sse(&self) -> Option<Bytes> {
        let Self::Event { name, data } = self else { return None };
        Some(format!("event: {name}\ndata: {data}\n\n").into())
    }
}

impl Answer {
    /// What the server does when this answers the request with that index and `model`. Empty for a
    /// [`Answer::status`], which has no stream.
    pub fn steps(&self, index: usize, model: &str) -> Vec<Step> {
        let mut events = match &self.reply {
            Reply::Stream { parts, ending } => {
                events::stream(events::Identity { index, model }, parts, ending, self.usage)
            }
            Reply::Raw(events) => events.clone(),
            Reply::Status(..) => return Vec::new(),
        };
        let delayed = first_delayed(&events);
        let last = match self.stop {
            None => None,
            Some(Stop::CutAfter(count)) => {
                events.truncate(count);
                Some(Step::Cut)
            }
            Some(Stop::HangAfter(count)) => {
                events.truncate(count);
                Some(Step::Hang)
            }
            Some(Stop::HangAfterLastDelta) => {
                events.truncate(self.spoken(&events));
                Some(Step::Hang)
            }
        };
        let mut steps = Vec::with_capacity(events.len() * 2 + 1);
        for (at, (name, data)) in events.into_iter().enumerate() {
            let delay = match self.first_after {
                Some(first) if Some(at) == delayed => first,
                _ if is_delta(&name) => self.every,
                _ => Duration::ZERO,
            };
            if !delay.is_zero() {
                steps.push(Step::Delay(delay));
            }
            steps.push(Step::Event { name, data });
        }
        steps.extend(last);
        steps
    }

    /// How many events a hanging answer still says.
    fn spoken(&self, events: &[(String, Value)]) -> usize {
        if matches!(self.reply, Reply::Raw(_)) {
            return events.len();
        }
        match events.iter().rposition(|(name, _)| is_delta(name)) {
            Some(last) => last + 1,
            None => events.len().saturating_sub(1),
        }
    }
}

/// The event before which [`Answer::first_after`] waits.
fn first_delayed(events: &[(String, Value)]) -> Option<usize> {
    events.iter().position(|(name, _)| is_delta(name)).or(events.len().checked_sub(1))
}

fn is_delta(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "delta")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ToolCall, Usage};

    fn transcript(answer: &Answer) -> String {
        let lines = answer.steps(4, "lab-model").into_iter().map(|step| match (step.sse(), step) {
            (Some(bytes), _) => String::from_utf8(bytes.into()).expect("an event is text"),
            (None, Step::Delay(delay)) => format!("<wait {} ms>\n\n", delay.as_millis()),
            (None, Step::Cut) => "<cut>\n".to_owned(),
            (None, _) => "<hang>\n".to_owned(),
        });
        lines.collect()
    }

    #[test]
    fn each_kind_of_answer_is_this_stream() {
        let usage = Usage { input: 100, cached: 40, output: 20, reasoning: 5 };
        let call = |n: u8| ToolCall::new(format!("call_{n}"), "get_weather", r#"{"city":"Zürich"}"#);
        let ms = Duration::from_millis;
        let cases = [
            ("text", Answer::text(["Hel", "lo"])),
            ("text_paced", Answer::text(["a ", "b ", "c"]).first_after(ms(300)).every(ms(20)).usage(usage)),
            ("reasoning", Answer::reasoning(["thinking ", "hard"], ["answer"])),
            ("tool_calls", Answer::tool_calls([call(0), call(1)]).with_text_before(["Let me look."])),
            ("tool_call_without_arguments", Answer::tool_calls([ToolCall::new("call_0", "now", "")])),
            ("refusal", Answer::refusal("I can't")),
            ("failed", Answer::failed("rate_limit_exceeded", "slow down").first_after(ms(5))),
            ("incomplete", Answer::text(["half of"]).then_incomplete("max_output_tokens")),
            ("cut", Answer::text(["Hel", "lo"]).cut_after(5)),
            ("hang", Answer::text(["Hel", "lo"]).hang()),
            ("hang_without_deltas", Answer::incomplete("content_filter").hang()),
            ("raw", Answer::raw_events(vec![("odd".to_owned(), json!({"type": "odd"}))]).hang()),
        ];
        for (name, answer) in cases {
            insta::assert_snapshot!(name, transcript(&answer));
        }
    }

    #[test]
    fn a_status_has_no_stream() {
        assert_eq!(Answer::status(429, json!({})).steps(0, "m"), []);
    }
}
