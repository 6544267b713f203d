//! The built-in demo model: what someone sees who has no login yet and pastes a curl line.
//!
//! It is a pure function of the request. It shows what the gateway carries (text word by word, tools, schemas,
//! usage) and never pretends to be a real model.

mod arithmetic;
mod instance;
mod toolbox;

use std::time::Duration;

use serde_json::Value;

use crate::{Answer, Received, ToolCall, Usage, received::texts};

/// Slow enough to see that it streams, fast enough not to wait for it.
const EVERY_WORD: Duration = Duration::from_millis(25);
/// As much of what was asked, or of what a tool returned, as is repeated.
const MAX_ECHO_CHARS: usize = 160;
/// The namespace of Codex's own function that draws.
const DRAWS: &str = "image_gen";
/// As many tools as are named.
const MAX_TOOLS_NAMED: usize = 8;
/// Said once in a conversation, and recognised when it comes back as history.
const INTRODUCTION: &str =
    "I am Portcullis's built-in demo model: a small script that shows the gateway at work, not a real model.";

/// Answers as the demo model.
///
/// Where a function that draws is offered, it is called. Otherwise, in this order: a tool's output is reported; a tool that the user mentions is called; a JSON schema is satisfied;
/// otherwise it says what it received. The usage is its own count of words, a rough one.
pub fn answer(received: &Received) -> Answer {
    let schema = wanted_schema(received);
    let outputs = new_tool_outputs(received);
    let asked = received.last_user_text().unwrap_or_default();
    if outputs.is_empty() && !received.tools_within(DRAWS).is_empty() && !asked.trim().is_empty() {
        return draw(received, asked);
    }
    if outputs.is_empty()
        && let Some(tool) = toolbox::mentioned(&received.tools(), asked)
    {
        return call(received, tool);
    }
    let (text, gap) = match schema {
        Some(schema) => (instance::of(schema).to_string(), ','),
        None if outputs.is_empty() => (describe(received, asked), ' '),
        None => (report(&outputs), ' '),
    };
    let words = text.split_inclusive(gap);
    let usage = rough_usage(received, &text);
    Answer::text(words).every(EVERY_WORD).usage(usage)
}

fn wanted_schema(received: &Received) -> Option<&Value> {
    let format = &received.body["text"]["format"];
    (format["type"] == "json_schema").then(|| &format["schema"])
}

/// What tools returned since the user last spoke.
fn new_tool_outputs(received: &Received) -> Vec<String> {
    let input = received.input();
    let after = input.iter().rposition(|item| item["role"] == "user").map_or(0, |last| last + 1);
    let outputs = input[after..].iter().filter(|item| item["type"] == "function_call_output");
    outputs.map(|item| texts(&item["output"]).collect::<Vec<_>>().join(" ")).collect()
}

fn call(received: &Received, tool: &Value) -> Answer {
    let name = tool["name"].as_str().unwrap_or_default();
    let arguments = instance::of(&tool["parameters"]).to_string();
    // The length of the input keeps the id apart from those that an earlier run of the server left in the history.
    let call_id = format!("call_demo_{}_{}", received.index, received.input().len());
    let usage = rough_usage(received, &arguments);
    Answer::tool_calls([ToolCall::new(call_id, name, arguments)]).every(EVERY_WORD).usage(usage)
}

/// Draws as it is told: with these references, on such a background.
fn draw(received: &Received, asked: &str) -> Answer {
    let told = |argument: &str| {
        let developers = received.input().iter().filter(|item| item["role"] == "developer");
        let mut lines = developers.flat_map(|item| texts(&item["content"])).flat_map(str::lines);
        lines.find_map(|line| {
            serde_json::from_str::<Value>(
                line.strip_prefix(argument)?.split_once(" must be ")?.1.trim_start_matches("exactly "),
            )
            .ok()
        })
    };
    let mut arguments = serde_json::json!({ "prompt": asked });
    for argument in ["referenced_image_paths", "transparent_background"] {
        if let Some(value) = told(argument) {
            arguments[argument] = value;
        }
    }
    let (call_id, arguments) = (format!("call_draw_{}", received.index), arguments.to_string());
    let usage = rough_usage(received, &arguments);
    Answer::tool_calls([ToolCall::new(call_id, "imagegen", arguments).within(DRAWS)]).usage(usage)
}

fn report(outputs: &[String]) -> String {
    let quoted: Vec<String> = outputs.iter().map(|output| quoted(output)).collect();
    match quoted.as_slice() {
        [one] => format!("The tool returned {one}."),
        many => format!("The {} tools returned {}.", many.len(), listed(many, "and")),
    }
}

fn describe(received: &Received, asked: &str) -> String {
    let mut sentences = Vec::new();
    if !introduced(received) {
        sentences.push(INTRODUCTION.to_owned());
    }
    if asked.trim().is_empty() {
        sentences.push("You sent no text.".to_owned());
    } else {
        sentences.push(format!("You asked: {}.", quoted(asked)));
    }
    sentences.extend(arithmetic::solve(asked));
    let messages = count_of(received, |role| matches!(role, "user" | "assistant"));
    let top_level = received.body["instructions"].as_str().is_some_and(|text| !text.is_empty());
    let instructions =
        count_of(received, |role| matches!(role, "system" | "developer")) + usize::from(top_level);
    let tools: Vec<String> =
        received.tools().iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect();
    sentences.push(format!(
        "I received {}, {} and {}.",
        counted(messages.max(usize::from(received.body["input"].is_string())), "message"),
        counted(instructions, "system or developer instruction"),
        counted(tools.len(), "tool"),
    ));
    if !tools.is_empty() {
        let shown = &tools[..tools.len().min(MAX_TOOLS_NAMED)];
        let rest = if shown.len() < tools.len() { " (or another)" } else { "" };
        sentences.push(format!("Mention {}{rest} and I will call it.", listed(shown, "or")));
    }
    sentences.join(" ")
}

fn introduced(received: &Received) -> bool {
    let mut said = received.input().iter().filter(|item| item["role"] == "assistant");
    said.any(|item| texts(&item["content"]).any(|text| text.contains(INTRODUCTION)))
}

fn count_of(received: &Received, role: impl Fn(&str) -> bool) -> usize {
    let messages =
        received.input().iter().filter(|item| matches!(item["type"].as_str(), None | Some("message")));
    messages.filter(|item| item["role"].as_str().is_some_and(&role)).count()
}

fn quoted(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_ECHO_CHARS) {
        words.truncate(end);
        words.push('…');
    }
    format!("“{words}”")
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn listed(items: &[String], joined_by: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {joined_by} {last}", most.join(", ")),
    }
}

/// Words for tokens: the instructions and every text of the input on one side, the answer on the other.
fn rough_usage(received: &Received, answer: &str) -> Usage {
    let words = |text: &str| text.split_whitespace().count() as u64;
    let texts_of = |item: &Value| {
        let all = texts(&item["content"]).chain(texts(&item["output"])).chain(item["arguments"].as_str());
        all.map(words).sum::<u64>()
    };
    let plain = [&received.body["instructions"], &received.body["input"]];
    let input = plain.iter().filter_map(|text| text.as_str()).map(words).sum::<u64>()
        + received.input().iter().map(texts_of).sum::<u64>();
    Usage { input, cached: 0, output: words(answer), reasoning: 0 }
}

#[cfg(test)]
mod tests;
