//! The caller's own tools: calls that come back as an answer, turns that wait, conversations that are replayed.

use std::time::Duration;

use portcullis_access::Grant;
use portcullis_http::Parking;
use portcullis_lab::{Answer, ToolCall};
use serde_json::{Value, json};

use crate::support::{Options, PATIENCE, TestGate, eventually, joined, redact};

fn weather_tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }}])
}

fn asked(messages: &Value) -> Value {
    json!({"model": "gpt-5.5", "messages": messages, "tools": weather_tools()})
}

fn calls() -> Answer {
    Answer::tool_calls([
        ToolCall::new("call_a", "get_weather", "{ \"city\": \"Paris\" }"),
        ToolCall::new("call_b", "get_weather", "{\"city\":\"Rome\"}"),
    ])
    .with_text_before(["Let me ", "look."])
}

/// The conversation as a client sends it back, with its tools' outputs.
fn answered(answer: &Value) -> Value {
    json!([
        {"role": "user", "content": "Weather?"},
        answer["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
        {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "rain"}]},
    ])
}

/// The items as the model reads them. Within a turn its own items come back as it made them, with ids and
/// statuses of its provider; replayed ones have none.
fn without_ids(input: &Value) -> Value {
    let mut input = input.clone();
    for item in input.as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        item.remove("id");
        item.remove("status");
        for part in item.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            part.as_object_mut().unwrap().remove("annotations");
        }
    }
    input
}

/// What the model reads after the tools have run, whichever way it gets there.
fn expected_input() -> Value {
    let message = |role: &str, kind: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "name": "get_weather", "arguments": arguments, "call_id": id});
    let output =
        |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    json!([
        message("user", "input_text", "Weather?"),
        message("assistant", "output_text", "Let me look."),
        call("call_a", "{ \"city\": \"Paris\" }"),
        call("call_b", "{\"city\":\"Rome\"}"),
        output("call_a", "sun"),
        output("call_b", "rain"),
    ])
}

async fn metric(gate: &TestGate, line: &str) -> Option<String> {
    let text = gate.get("/metrics").send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|l| l.strip_prefix(line).map(|rest| rest.trim().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_round_trip_goes_on_in_the_same_turn() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let (status, answer) = gate.ask(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;
    assert_eq!(status, 200);
    insta::assert_snapshot!("calls", redact(&answer.to_string()));
    assert_eq!(metric(&gate, "portcullis_parked_turns ").await.as_deref(), Some("1"));

    gate.model.enqueue(Answer::text(["Sun and rain."]));
    // Some clients write the arguments anew; the turn has the model's own.
    let mut back = answered(&answer);
    back[1]["tool_calls"][0]["function"]["arguments"] = json!("{\"city\":\"Paris\"}");
    let (status, answer) = gate.ask(&asked(&back)).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("Sun and rain.")));
    let requests = gate.model.requests();
    assert_eq!(without_ids(&requests[1].body["input"]), expected_input());
    // The same turn of the same thread: no second prompt.
    let turn = |i: usize| requests[i].body["client_metadata"]["turn_id"].clone();
    assert_eq!(turn(0), turn(1));
    assert_eq!(
        metric(&gate, "portcullis_parked_turns_ended_total{how=\"resumed\"}").await.as_deref(),
        Some("1")
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_streamed_with_their_names_first() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let (_, text) = gate.stream(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;
    insta::assert_snapshot!("calls_stream", joined(&text));
    gate.finish().await;
}

/// When the parked turn is gone, the conversation is replayed, and the model reads the very same.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_survives_a_restart_of_the_gateway() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let (_, answer) = gate.ask(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;
    gate.finish().await;

    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Sun and rain."]));
    let (status, answer) = gate.ask(&asked(&answered(&answer))).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("Sun and rain.")));
    assert_eq!(without_ids(&gate.model.requests()[0].body["input"]), expected_input());
    gate.finish().await;
}

/// A parked turn goes on only for the conversation that it holds, and only for its own principal.
#[tokio::test(flavor = "multi_thread")]
async fn another_conversation_or_another_key_is_replayed() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let (_, answer) = gate.ask(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;

    gate.model.respond_with(|_| Answer::text(["ok"]));
    let mut edited = answered(&answer);
    edited[0]["content"] = json!("Weather, in detail?");
    assert_eq!(gate.ask(&asked(&edited)).await.0, 200);
    let other = gate.store.create("other", &Grant::default(), jiff::Timestamp::now()).unwrap();
    let other = secrecy::ExposeSecret::expose_secret(&other.secret).to_owned();
    let url = format!("{}/v1/chat/completions", gate.base);
    let response =
        gate.client.post(url).bearer_auth(other).json(&asked(&answered(&answer))).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let requests = gate.model.requests();
    let turns: std::collections::BTreeSet<String> =
        requests.iter().map(|r| r.body["client_metadata"]["turn_id"].to_string()).collect();
    assert_eq!(turns.len(), 3, "three turns on three threads");
    assert_eq!(
        metric(&gate, "portcullis_parked_turns ").await.as_deref(),
        Some("1"),
        "the first still waits"
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_turns_are_bounded_in_number_and_time() {
    let parking = Parking { most: 1, wait: Duration::from_millis(500) };
    let gate = TestGate::with(Options { parking, ..Options::default() }).await;
    for text in ["Weather?", "And now?"] {
        gate.model.enqueue(calls());
        assert_eq!(gate.ask(&asked(&json!([{"role": "user", "content": text}]))).await.0, 200);
    }
    let how = async |how: &str| {
        metric(&gate, &format!("portcullis_parked_turns_ended_total{{how=\"{how}\"}}")).await
    };
    assert_eq!(how("evicted").await.as_deref(), Some("1"));
    eventually("the other has waited too long", async || how("expired").await.as_deref() == Some("1")).await;
    assert_eq!(metric(&gate, "portcullis_parked_turns ").await.as_deref(), Some("0"));
    gate.finish().await;
}

/// A worker that dies while a turn is parked takes the turn with it, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_turn_whose_worker_died_is_replayed() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let (_, answer) = gate.ask(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;
    let pid = gate.agent.worker_pid().unwrap();
    let signal = rustix::process::Signal::KILL;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        signal,
    )
    .unwrap();
    eventually("another worker is ready", async || {
        gate.agent.worker_pid().is_some_and(|now| now != pid) && gate.agent.ready(PATIENCE).await
    })
    .await;
    gate.model.enqueue(Answer::text(["Sun and rain."]));
    let (status, _) = gate.ask(&asked(&answered(&answer))).await;
    assert_eq!(status, 200);
    assert_eq!(without_ids(&gate.model.requests()[1].body["input"]), expected_input());
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_at_a_time_is_kept_by_the_gateway() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let mut body = asked(&json!([{"role": "user", "content": "Weather?"}]));
    body["parallel_tool_calls"] = json!(false);
    let (_, answer) = gate.ask(&body).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 1);

    gate.model.enqueue(Answer::text(["ok"]));
    body["messages"] = json!([
        {"role": "user", "content": "Weather?"},
        message,
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
    ]);
    assert_eq!(gate.ask(&body).await.0, 200);
    let input = gate.model.requests()[1].body["input"].clone();
    let withheld = input
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["call_id"] == "call_b" && item["output"].is_string());
    assert!(withheld.unwrap()["output"].as_str().unwrap().starts_with("This call was not run"));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_demands_of_tools_is_checked() {
    let gate = TestGate::start().await;
    let user = json!([{"role": "user", "content": "Weather?"}]);
    let with = |choice: Value| {
        let mut body = asked(&user);
        body["tool_choice"] = choice;
        body
    };
    // None: nothing is offered, and a call that the model makes up comes to nothing.
    gate.model.enqueue(Answer::text(["no tools"]));
    assert_eq!(gate.ask(&with(json!("none"))).await.0, 200);
    assert_eq!(gate.model.requests()[0].body["tools"], json!([]));

    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    for choice in [json!("required"), named] {
        gate.model.enqueue(Answer::text(["I would rather talk."]));
        let (status, body) = gate.ask(&with(choice.clone())).await;
        assert_eq!((status, &body["error"]["code"]), (502, &json!("tool_choice_not_honored")));
        gate.model.enqueue(Answer::text(["I would rather talk."]));
        let (status, text) = gate.stream(&with(choice.clone())).await;
        assert!(
            status == 200 && text.contains("tool_choice_not_honored") && !text.contains("[DONE]"),
            "{text}"
        );
        gate.model.enqueue(calls());
        let (status, body) = gate.ask(&with(choice)).await;
        assert_eq!((status, &body["choices"][0]["finish_reason"]), (200, &json!("tool_calls")));
    }
    gate.finish().await;
}

/// The older form has one call, no ids, and words of its own.
#[tokio::test(flavor = "multi_thread")]
async fn functions_of_the_older_form_work() {
    let gate = TestGate::start().await;
    gate.model.enqueue(calls());
    let functions = json!([weather_tools()[0]["function"]]);
    let mut body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Weather?"}], "functions": functions});
    let (_, answer) = gate.ask(&body).await;
    insta::assert_snapshot!("function_call", redact(&answer.to_string()));
    gate.model.enqueue(Answer::text(["ok"]));
    body["messages"] = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "function_call": answer["choices"][0]["message"]["function_call"]},
        {"role": "function", "name": "get_weather", "content": "sun"},
    ]);
    let (status, answer) = gate.ask(&body).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("ok")));
    gate.finish().await;
}

/// A call that Codex answers itself (a name that was not offered) is not the client's business.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_offered_stays_inside() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::tool_calls([
        ToolCall::new("call_x", "exec_command", "{\"cmd\":\"id\"}"),
        ToolCall::new("call_a", "get_weather", "{\"city\":\"Paris\"}"),
    ]));
    let (_, answer) = gate.ask(&asked(&json!([{"role": "user", "content": "Weather?"}]))).await;
    let names: Vec<&str> = answer["choices"][0]["message"]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["call_a"]);
    gate.finish().await;
}

/// Codex keeps this name for itself; the caller's tool of that name reaches the model all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_tool_with_a_name_of_codexs_own_works() {
    let gate = TestGate::start().await;
    let mut body = asked(&json!([{"role": "user", "content": "List."}]));
    body["tools"] = json!([{"type": "function", "function": {"name": "exec_command", "description": "Runs.", "parameters": {"type": "object", "properties": {}}}}]);
    for restart in [false, true] {
        let number = gate.model.requests().len();
        let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_e", "name": "exec_command", "namespace": "client", "arguments": "{}", "status": "completed"});
        let event = |name: &str, data: Value| (name.to_owned(), data);
        gate.model.enqueue(Answer::raw_events(vec![
            event("response.created", json!({"type": "response.created", "response": {"id": "resp_1"}})),
            event("response.output_item.done", json!({"type": "response.output_item.done", "output_index": 0, "item": call})),
            event("response.completed", json!({"type": "response.completed", "response": {"id": "resp_1", "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}})),
        ]));
        let (status, answer) = gate.ask(&body).await;
        let message = &answer["choices"][0]["message"];
        assert_eq!((status, &message["tool_calls"][0]["function"]["name"]), (200, &json!("exec_command")));
        let offered =
            gate.model.requests()[number].tools().iter().map(|t| t["name"].clone()).collect::<Vec<_>>();
        assert_eq!(offered, ["exec_command"]);

        gate.model.enqueue(Answer::text(["ok"]));
        let mut next = body.clone();
        let first = if restart { "List, please." } else { "List." };
        next["messages"] = json!([
            {"role": "user", "content": first}, message, {"role": "tool", "tool_call_id": "call_e", "content": "a b"},
        ]);
        assert_eq!(gate.ask(&next).await.0, 200);
        let input = without_ids(&gate.model.requests()[number + 1].body["input"]);
        let called = json!({"type": "function_call", "name": "exec_command", "namespace": "client", "arguments": "{}", "call_id": "call_e"});
        assert_eq!(input[1], called);
    }
    gate.finish().await;
}
