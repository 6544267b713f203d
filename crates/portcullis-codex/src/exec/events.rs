//! What the lines of `codex exec --json` mean: a state machine without I/O.

use portcullis_agent::{AgentError, Item, Outcome, Reasoning, TurnEvent, Usage};
use serde::Deserialize;

use crate::errors::exec_error;

/// The lines of one turn.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// What it complained of last; the turn may still go on.
    last_error: Option<AgentError>,
}

/// A line, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Line {
    #[serde(rename = "item.completed")]
    ItemCompleted { item: Told },
    #[serde(rename = "turn.completed")]
    TurnCompleted { usage: Cost },
    #[serde(rename = "turn.failed")]
    TurnFailed { error: Complaint },
    #[serde(rename = "error")]
    Error(Complaint),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    AgentMessage {
        id: String,
        text: String,
    },
    Reasoning {
        id: String,
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    message: String,
}

/// In tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cost {
    #[serde(rename = "input_tokens")]
    input: u64,
    #[serde(rename = "cached_input_tokens")]
    cached_input: u64,
    #[serde(rename = "cache_write_input_tokens")]
    cache_write: u64,
    #[serde(rename = "output_tokens")]
    output: u64,
    #[serde(rename = "reasoning_output_tokens")]
    reasoning: u64,
}

impl Events {
    /// What a line means. A line that is none is left out: the turn's end tells what came of it.
    pub(super) fn on(&mut self, line: &str, emit: &mut dyn FnMut(TurnEvent)) {
        let line = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(error) => {
                return tracing::warn!(
                    "A line of `codex exec` is not as it is known and is left out: {error}"
                );
            }
        };
        match line {
            Line::ItemCompleted { item: Told::AgentMessage { id, text } } => {
                emit(TurnEvent::ItemCompleted(Item::Message { id: id.into(), text, refusal: None }));
            }
            Line::ItemCompleted { item: Told::Reasoning { id, text } } => {
                let reasoning = Reasoning { id: id.into(), summary: vec![text], encrypted: None };
                emit(TurnEvent::ItemCompleted(Item::Reasoning(reasoning)));
            }
            Line::TurnCompleted { usage } => {
                let Cost { input, cached_input, cache_write, output, reasoning } = usage;
                emit(TurnEvent::StepCompleted(Usage { input, cached_input, cache_write, output, reasoning }));
                emit(TurnEvent::Ended(Outcome::Completed));
            }
            Line::TurnFailed { error } => {
                // The last complaint is the same one, in full.
                let error = self.last_error.take().unwrap_or_else(|| exec_error(&error.message));
                emit(TurnEvent::Ended(Outcome::Failed(error)));
            }
            Line::Error(complaint) => self.last_error = Some(exec_error(&complaint.message)),
            Line::ItemCompleted { item: Told::Other } | Line::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(lines: &[&str]) -> Vec<String> {
        let (mut events, mut told) = (Events::default(), Vec::new());
        for line in lines {
            events.on(line, &mut |event| {
                told.push(match event {
                    TurnEvent::ItemCompleted(Item::Message { text, .. }) => format!("said {text}"),
                    TurnEvent::ItemCompleted(Item::Reasoning(thought)) => {
                        format!("thought {:?}", thought.summary)
                    }
                    TurnEvent::StepCompleted(usage) => format!("{} in, {} out", usage.input, usage.output),
                    TurnEvent::Ended(Outcome::Failed(error)) => error.kind.word().to_owned(),
                    TurnEvent::Ended(outcome) => outcome.word().to_owned(),
                    other => panic!("{other:?}"),
                });
            });
        }
        told
    }

    #[test]
    fn lines_become_events() {
        let told = events(&[
            r#"{"type":"thread.started","thread_id":"t"}"#,
            r#"{"type":"turn.started"}"#,
            "WARNING: not a line",
            r#"{"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"hm"}}"#,
            r#"{"type":"item.completed","item":{"id":"item_1","type":"of_the_future"}}"#,
            r#"{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"Hello"}}"#,
            r#"{"type":"turn.completed","usage":{"input_tokens":5,"cached_input_tokens":0,"output_tokens":2}}"#,
        ]);
        assert_eq!(told, ["thought [\"hm\"]", "said Hello", "5 in, 2 out", "completed"]);
    }

    /// As the real one says it for answers of the provider (measured on 0.169.0).
    #[test]
    fn failures_keep_their_meaning() {
        let table = [
            (
                "{\"error\": {\"message\": \"Invalid schema\", \"code\": \"invalid_json_schema\"}}",
                "invalid_input",
            ),
            (
                "unexpected status 401 Unauthorized: no, url: http://127.0.0.1:1/v1/responses",
                "login_required",
            ),
            ("exceeded retry limit, last status: 429 Too Many Requests", "rate_limited"),
            (
                "We\u{2019}re currently experiencing high demand, which may cause temporary errors.",
                "upstream",
            ),
            ("Incomplete response returned, reason: max_output_tokens", "output_limit"),
            ("stream disconnected before completion: status 400 is what we call it", "upstream"),
            (
                "{\"error\": {\"message\": \"unexpected status 429 in a tool\", \"code\": \"bad\"}}",
                "invalid_input",
            ),
        ];
        for (message, kind) in table {
            let message = serde_json::to_string(message).unwrap();
            let error = format!(r#"{{"type":"error","message":{message}}}"#);
            let failed = format!(r#"{{"type":"turn.failed","error":{{"message":{message}}}}}"#);
            assert_eq!(events(&[&error, &failed]), [kind], "{message}");
            assert_eq!(events(&[&failed]), [kind], "{message}");
            assert_eq!(events(&[&error]), [""; 0], "{message}");
        }
    }
}
