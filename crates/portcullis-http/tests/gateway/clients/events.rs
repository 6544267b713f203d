//! The events of responses, held against the types of OpenAI's own SDK.

use std::process::Stdio;

use camino::Utf8Path;
use portcullis_lab::{Answer, ToolCall};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{LIMIT, hello_answer, plain_person, with};
use crate::support::TestGate;

/// Events held against the types of OpenAI's own SDK; `faults` is what it finds.
async fn faults_of(events: &[Value], kinds: &[&str]) -> Vec<String> {
    let python = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/python");
    let mut lines = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    lines.push('\n');
    #[expect(clippy::disallowed_methods, reason = "a reader of what the gateway said, no child of it")]
    let mut child = Command::new(python.join(".venv/bin/python"))
        .arg(python.join("validate_events.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).await.unwrap();
    let done = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", done.status);
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(seen["responses"].as_u64().unwrap() >= 3, "{seen}");
    for kind in kinds {
        assert!(seen["events"].as_array().unwrap().contains(&json!(kind)), "there is no {kind}: {seen}");
    }
    let text = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    };
    // Not named by the SDK's types, and let through: `store`, and the `status` of a custom tool call.
    let named = [".response.store", ".item.status", ".output[].status"];
    let unknown = text(&seen["unknown"]).into_iter().filter(|f| !named.iter().any(|name| f.ends_with(name)));
    let unknown = unknown.map(|field| format!("unknown: {field}"));
    text(&seen["faults"]).into_iter().chain(unknown).collect()
}

/// The events of a response, as they come.
async fn told_of(gate: &TestGate, body: &Value) -> Vec<Value> {
    let url = format!("{}/v1/responses", gate.base);
    let text = gate.client.post(url).bearer_auth(&gate.key).json(body).send().await.unwrap().text().await;
    data_of(&text.unwrap())
}

fn data_of(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn asking(more: Value) -> Value {
    let body = json!({
        "model": "gpt-5.5", "input": "Hi", "stream": true,
        "instructions": "Be brief.", "metadata": {"a": "b"}, "max_output_tokens": 1000,
        "reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        ],
    });
    with(body, more)
}

async fn checked(answer: Answer, more: Value, kinds: &[&str]) {
    let gate = TestGate::start().await;
    gate.model.enqueue(answer);
    let events = told_of(&gate, &asking(more)).await;
    let faults = faults_of(&events, kinds).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_text_are_the_official_ones() {
    let kinds = ["response.output_text.delta", "response.output_text.done", "response.completed"];
    checked(hello_answer(), json!({}), &kinds).await;
    let format = json!({"type": "json_schema", "name": "person", "schema": plain_person(), "strict": true});
    let answer = Answer::text(["{\"name\":\"Ada\",\"age\":36}"]);
    checked(answer, json!({"text": {"format": format}, "tool_choice": "none"}), &kinds).await;
}

/// A summary of two parts, as the provider streams it.
fn two_thoughts() -> Answer {
    let event = |data: Value| (data["type"].as_str().unwrap().to_owned(), data);
    let thoughts = ["First.", "Second."];
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
    ];
    for (at, text) in thoughts.iter().enumerate() {
        let place = json!({"item_id": "rs_1", "output_index": 0, "summary_index": at});
        let part = json!({"type": "summary_text", "text": text});
        events.extend([
            with(place.clone(), json!({"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}})),
            with(place.clone(), json!({"type": "response.reasoning_summary_text.delta", "delta": text})),
            with(place.clone(), json!({"type": "response.reasoning_summary_text.done", "text": text})),
            with(place, json!({"type": "response.reasoning_summary_part.done", "part": part})),
        ]);
    }
    let summary = thoughts.map(|text| json!({"type": "summary_text", "text": text}));
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "sealed"});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]});
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    events.extend([
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": message}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ]);
    Answer::raw_events(events.into_iter().map(event).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_reasoning_are_the_official_ones() {
    let gate = TestGate::start().await;
    gate.model.enqueue(two_thoughts());
    let events = told_of(&gate, &asking(json!({}))).await;
    let kinds = [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ];
    let faults = faults_of(&events, &kinds).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    let parts = events.iter().filter(|event| event["type"] == "response.reasoning_summary_part.done");
    let parts: Vec<(&Value, &Value)> = parts.map(|e| (&e["summary_index"], &e["part"]["text"])).collect();
    assert_eq!(parts, [(&json!(0), &json!("First.")), (&json!(1), &json!("Second."))]);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_calls_are_the_official_ones() {
    let city = |id: &str| ToolCall::new(id, "get_weather", "{\"city\":\"Paris\"}");
    let kinds = ["response.function_call_arguments.delta", "response.function_call_arguments.done"];
    let answer = Answer::tool_calls([city("call_a"), city("call_b")]).with_text_before(["Let me look."]);
    checked(answer, json!({}), &kinds).await;
    let patch = ToolCall::new("call_p", "patch", "{\"input\":\"*** Begin\"}");
    let kinds = ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"];
    checked(Answer::tool_calls([patch]), json!({"tool_choice": {"type": "custom", "name": "patch"}}), &kinds)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_refusal_are_the_official_ones() {
    let kinds = ["response.refusal.delta", "response.refusal.done", "response.completed"];
    checked(Answer::refusal("I will not."), json!({}), &kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_failure_are_the_official_ones() {
    checked(Answer::text(["Half ", "an ", "answer"]).cut_after(6), json!({}), &["response.failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_what_is_incomplete_are_the_official_ones() {
    let kinds = ["response.incomplete"];
    checked(Answer::text(["As much"]).then_incomplete("max_output_tokens"), json!({}), &kinds).await;
    checked(Answer::text(["One two three four"]), json!({"max_output_tokens": 2}), &kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_the_background_are_the_official_ones() {
    checked(hello_answer(), json!({"background": true}), &["response.completed"]).await;

    // Cancelled; its events are read when it is over.
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Once "]).hang());
    let url = format!("{}/v1/responses", gate.base);
    let body = asking(json!({"background": true, "stream": false}));
    let begun = gate.client.post(&url).bearer_auth(&gate.key).json(&body).send().await.unwrap();
    let begun: Value = begun.json().await.unwrap();
    let path = format!("{url}/{}", begun["id"].as_str().unwrap());
    gate.model.wait_for_requests(1, LIMIT).await.unwrap();
    let cancelled = gate.client.post(format!("{path}/cancel")).bearer_auth(&gate.key).send().await.unwrap();
    assert_eq!(cancelled.json::<Value>().await.unwrap()["status"], "cancelled");
    let text = gate.client.get(format!("{path}?stream=true")).bearer_auth(&gate.key).send().await.unwrap();
    let events = data_of(&text.text().await.unwrap());
    let faults = faults_of(&events, &["response.created", "response.incomplete"]).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    gate.finish().await;
}
