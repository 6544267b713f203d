//! What a turn asks, in the form that `codex exec` takes: pure.

use std::fmt::Write as _;

use camino::Utf8Path;
use portcullis_agent::{Author, HistoryItem, Message, Part, RequestFault, TurnRequest};
use serde_json::{Value, json};
use toml::Table;
use uuid::Uuid;

use crate::app_server::summary_word;
use crate::binary::PINNED_VERSION;
use crate::history::item;

/// Where a session lies, below `sessions`. Codex finds it by its id; the day says nothing.
pub(super) const SESSION_DIR: &str = "2026/01/01";
const TIME: &str = "2026-01-01T00-00-00";
/// The schema of the answer, in the turn's home.
pub(super) const SCHEMA_FILE: &str = "schema.json";

/// A turn as `codex exec resume` takes it.
#[derive(Debug)]
pub(super) struct Asked {
    id: Uuid,
    /// Items of the Responses API before the prompt.
    before: Vec<Value>,
    pub(super) prompt: String,
    /// Settings of this turn.
    pub(super) settings: Table,
    pub(super) schema: Option<Value>,
}

impl Asked {
    /// Refuses what can not reach the model as it was sent: Codex puts words of its own around the pictures of a prompt, and a
    /// prompt is one text.
    pub(super) fn of(request: &TurnRequest, id: Uuid) -> Result<Self, RequestFault> {
        let TurnRequest { history, tools, options, .. } = request;
        if !tools.is_empty() {
            return Err(fault(
                "tools",
                "This gateway runs each turn as a process of its own, which can not call your tools.",
            ));
        }
        let Some((HistoryItem::Message(Message { author: Author::User, parts }), before)) =
            history.split_last()
        else {
            return Err(no_prompt());
        };
        let [Part::Text(prompt)] = parts.as_slice() else { return Err(no_prompt()) };
        if prompt.trim().is_empty() {
            return Err(no_prompt());
        }
        let mut settings = Table::new();
        let words = [
            ("model", Some(options.model.as_str())),
            ("model_reasoning_effort", options.effort.as_deref()),
            ("model_reasoning_summary", summary_word(options.summary)),
            ("model_verbosity", options.verbosity.as_deref()),
            ("service_tier", options.service_tier.as_deref()),
        ];
        for (name, word) in words {
            settings.extend(word.map(|word| (name.to_owned(), word.into())));
        }
        Ok(Self {
            id,
            before: before.iter().map(item).collect(),
            prompt: prompt.clone(),
            settings,
            schema: options.output_schema.clone(),
        })
    }

    /// The session's file, below the home. Its name carries the id.
    pub(super) fn session_file(&self) -> String {
        format!("sessions/{SESSION_DIR}/rollout-{TIME}-{}.jsonl", self.id)
    }

    /// The conversation as a session of Codex's (measured on 0.169.0): a head, then one line for each item.
    pub(super) fn session(&self, cwd: &Utf8Path, provider: &str) -> String {
        let time = "2026-01-01T00:00:00.000Z";
        let head = json!({"timestamp": time, "type": "session_meta", "payload": {
            "id": self.id.to_string(), "timestamp": time, "cwd": cwd, "originator": "portcullis",
            "cli_version": PINNED_VERSION, "source": "exec", "model_provider": provider,
        }});
        let mut text = format!("{head}\n");
        for item in &self.before {
            let _ =
                writeln!(text, "{}", json!({"timestamp": time, "type": "response_item", "payload": item}));
        }
        text
    }

    /// The command line. Nothing of the conversation is on it, where everybody on the machine could read it.
    pub(super) fn args(&self, home: &Utf8Path) -> Vec<String> {
        let mut args: Vec<String> = [
            "exec",
            "--json",
            "--ephemeral",
            "--skip-git-repo-check",
            "--strict-config",
            "--sandbox",
            "read-only",
        ]
        .map(str::to_owned)
        .to_vec();
        if self.schema.is_some() {
            args.extend(["--output-schema".to_owned(), home.join(SCHEMA_FILE).into_string()]);
        }
        args.extend(["resume".to_owned(), self.id.to_string(), "-".to_owned()]);
        args
    }
}

fn no_prompt() -> RequestFault {
    fault(
        "messages",
        "This gateway runs each turn as a process of its own, whose prompt is one text: the last message must be the user's, \
         with one text part and no picture.",
    )
}

fn fault(param: &str, message: &str) -> RequestFault {
    RequestFault {
        message: Some(message.to_owned()),
        param: Some(param.to_owned()),
        code: Some("unsupported_by_runner".to_owned()),
        class: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_agent::{Profile, ReasoningSummary, ToolSpec, TurnOptions};

    use super::*;

    fn said(author: Author, parts: Vec<Part>) -> HistoryItem {
        HistoryItem::Message(Message { author, parts })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn request(history: Vec<HistoryItem>) -> TurnRequest {
        let options = TurnOptions {
            effort: Some("high".to_owned()),
            summary: ReasoningSummary::Auto,
            output_schema: Some(json!({"type": "object"})),
            ..TurnOptions::new("gpt-5.5".into(), Duration::from_secs(1))
        };
        TurnRequest { history, ..TurnRequest::new("r".into(), "k".into(), Profile::Chat, options) }
    }

    #[test]
    fn a_conversation_is_a_session_and_its_last_question_the_prompt() {
        let id = Uuid::from_u128(7);
        let asked = Asked::of(
            &request(vec![
                said(Author::Developer, vec![text("be brief")]),
                said(Author::User, vec![text("Hi")]),
                said(Author::Assistant, vec![text("Hello")]),
                said(Author::User, vec![text(" again\n")]),
            ]),
            id,
        )
        .unwrap();
        assert_eq!(asked.prompt, " again\n");
        let lines: Vec<Value> = asked
            .session("/cwd".into(), "openai")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["payload"]["id"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(lines[0]["payload"]["model_provider"], "openai");
        let roles: Vec<_> = lines[1..].iter().map(|line| line["payload"]["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["developer", "user", "assistant"]);
        let args = asked.args("/h".into());
        assert_eq!(
            args[args.len() - 5..],
            ["--output-schema", "/h/schema.json", "resume", &id.to_string(), "-"]
        );
        assert_eq!(
            toml::to_string(&asked.settings).unwrap(),
            "model = \"gpt-5.5\"\nmodel_reasoning_effort = \"high\"\nmodel_reasoning_summary = \"auto\"\n"
        );
    }

    #[test]
    fn what_would_not_arrive_as_it_was_sent_is_refused() {
        let picture =
            || Part::Image { url: "data:,".to_owned(), detail: portcullis_agent::ImageDetail::Auto };
        let histories = [
            vec![],
            vec![said(Author::User, vec![text("Hi")]), said(Author::Assistant, vec![text("Hello")])],
            vec![said(Author::User, vec![text("a"), text("b")])],
            vec![said(Author::User, vec![text("what is it?"), picture()])],
            vec![said(Author::User, vec![text(" \n")])],
        ];
        for history in histories {
            let fault = Asked::of(&request(history.clone()), Uuid::nil()).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some("messages"), "{history:?}");
        }
        let mut with_tools = request(vec![said(Author::User, vec![text("Hi")])]);
        with_tools.tools.push(ToolSpec {
            name: "f".to_owned(),
            description: String::new(),
            parameters: json!({}),
        });
        assert_eq!(Asked::of(&with_tools, Uuid::nil()).unwrap_err().param.as_deref(), Some("tools"));
        // Earlier pictures are a part of the session, and arrive as they are.
        let earlier =
            vec![said(Author::User, vec![text("x"), picture()]), said(Author::User, vec![text("Hi")])];
        assert_eq!(Asked::of(&request(earlier), Uuid::nil()).unwrap().before.len(), 1);
    }
}
