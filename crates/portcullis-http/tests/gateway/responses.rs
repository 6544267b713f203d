//! `/v1/responses` and `/v1/conversations` against the real Codex.

use std::sync::Arc;
use std::time::Duration;

use portcullis_access::Grant;
use portcullis_lab::{Answer, ToolCall, Usage};
use serde_json::{Value, json};

use crate::support::{Options, PATIENCE, TestGate, eventually};

impl TestGate {
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn respond(&self, body: &Value) -> (u16, Value) {
        self.call("POST", "/v1/responses", Some(body)).await
    }

    async fn respond_stream(&self, body: &Value) -> Vec<Value> {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let request =
            self.client.post(format!("{}/v1/responses", self.base)).bearer_auth(&self.key).json(&body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        events(&response.text().await.unwrap())
    }
}

/// The events of a stream; each says its name twice and the same.
fn events(text: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        assert_eq!(data["sequence_number"], events.len());
        events.push(data);
    }
    events
}

/// Replaces what differs from run to run.
fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let is_id = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 32);
            match ["resp_", "msg_", "fc_", "fco_", "ctc_", "conv_"].into_iter().find(|prefix| is_id(prefix)) {
                Some(prefix) => json!(format!("{prefix}ID")),
                None => value.clone(),
            }
        }
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let value = if key.ends_with("_at") { json!(0) } else { redacted(value) };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| redacted(event).to_string()).collect::<Vec<_>>().join("\n")
}

fn hi() -> Value {
    json!({"model": "gpt-5.5", "input": "Hi"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_event_in_its_order() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::reasoning(["Let me think."], ["Hello."]).usage(Usage {
        input: 21,
        cached: 5,
        output: 9,
        reasoning: 4,
    }));
    let mut body = hi();
    body["reasoning"] = json!({"effort": "high", "summary": "auto"});
    body["instructions"] = json!("Be brief.");
    body["metadata"] = json!({"a": "b"});
    let events = gate.respond_stream(&body).await;
    insta::assert_snapshot!("response_stream", lines(&events));
    let input = gate.model.requests()[0].body["input"].clone();
    assert_eq!(
        (&input[0]["role"], &input[0]["content"][0]["text"]),
        (&json!("developer"), &json!("Be brief."))
    );

    // The kept response is the one of the last event.
    let last = &events.last().unwrap()["response"];
    let (status, kept) =
        gate.call("GET", &format!("/v1/responses/{}", last["id"].as_str().unwrap()), None).await;
    assert_eq!((status, &kept), (200, last));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_and_its_continuation() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Four."]));
    let (status, first) =
        gate.respond(&json!({"model": "codex", "input": [{"role": "user", "content": "2+2?"}]})).await;
    assert_eq!(status, 200);
    insta::assert_snapshot!("response", serde_json::to_string_pretty(&redacted(&first)).unwrap());

    gate.model.enqueue(Answer::text(["Five."]));
    let id = first["id"].as_str().unwrap();
    let (status, second) =
        gate.respond(&json!({"model": "codex", "input": "And one more?", "previous_response_id": id, "instructions": "Now."})).await;
    assert_eq!((status, &second["previous_response_id"]), (200, &json!(id)));
    let texts: Vec<String> =
        gate.model.requests()[1].input().iter().map(|item| item["content"][0]["text"].to_string()).collect();
    assert_eq!(texts, ["\"Now.\"", "\"2+2?\"", "\"Four.\"", "\"And one more?\""]);

    let items = format!("/v1/responses/{id}/input_items?order=asc&limit=1");
    let (status, list) = gate.call("GET", &items, None).await;
    assert_eq!(
        (status, &list["data"][0]["content"]),
        (200, &json!([{"type": "input_text", "text": "2+2?"}]))
    );

    // Deleted is deleted, also as a beginning.
    let path = format!("/v1/responses/{id}");
    assert_eq!(gate.call("DELETE", &path, None).await.1["deleted"], json!(true));
    assert_eq!(gate.call("GET", &path, None).await.0, 404);
    let (status, error) =
        gate.respond(&json!({"model": "codex", "input": "x", "previous_response_id": second["id"]})).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("previous_response_not_found")));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stored_is_not_there_and_others_see_nothing() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::text(["ok"]));
    let mut body = hi();
    body["store"] = json!(false);
    let (_, unkept) = gate.respond(&body).await;
    assert_eq!(
        gate.call("GET", &format!("/v1/responses/{}", unkept["id"].as_str().unwrap()), None).await.0,
        404
    );

    let (_, mine) = gate.respond(&hi()).await;
    let id = mine["id"].as_str().unwrap();
    let other = gate.store.create("other", &Grant::default(), jiff::Timestamp::now()).unwrap();
    let other = secrecy::ExposeSecret::expose_secret(&other.secret).to_owned();
    for (method, path) in [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/v1/responses/{id}{path}", gate.base);
        let response = gate.client.request(method, url).bearer_auth(&other).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let url = format!("{}/v1/responses", gate.base);
    let body = json!({"model": "codex", "input": "x", "previous_response_id": id});
    let response = gate.client.post(url).bearer_auth(&other).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(gate.call("GET", &format!("/v1/responses/{id}"), None).await.0, 200);
    gate.finish().await;
}

fn tools() -> Value {
    json!([
        {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
        {"type": "custom", "name": "patch", "description": "Applies a patch."},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_outputs_come_back_by_id_or_as_items() {
    let gate = TestGate::start().await;
    let answer = || {
        Answer::tool_calls([
            ToolCall::new("call_a", "get_weather", "{ \"city\":\"Paris\"}"),
            ToolCall::new("call_p", "patch", "{\"input\":\"*** Begin\"}"),
        ])
    };
    gate.model.enqueue(answer());
    let body = json!({"model": "codex", "input": "Weather?", "tools": tools()});
    let events = gate.respond_stream(&body).await;
    insta::assert_snapshot!("response_calls", lines(&events[2..]));
    let first = events.last().unwrap()["response"].clone();

    let outputs = json!([
        {"type": "function_call_output", "call_id": "call_a", "output": "sun"},
        {"type": "custom_tool_call_output", "call_id": "call_p", "output": "done"},
    ]);
    // By id: the same turn goes on.
    gate.model.enqueue(Answer::text(["Sunny."]));
    let next =
        json!({"model": "codex", "input": outputs, "previous_response_id": first["id"], "tools": tools()});
    let (status, second) = gate.respond(&next).await;
    assert_eq!((status, &second["output"][0]["content"][0]["text"]), (200, &json!("Sunny.")));
    let turn = |i: usize| gate.model.requests()[i].body["client_metadata"]["turn_id"].clone();
    assert_eq!(turn(0), turn(1));

    // As items, nothing kept: replayed, and the model reads the same calls and outputs.
    gate.model.enqueue(Answer::text(["Sunny."]));
    let mut input = vec![json!({"role": "user", "content": "Weather?"})];
    input.extend(first["output"].as_array().unwrap().clone());
    input.extend(outputs.as_array().unwrap().clone());
    let (status, _) =
        gate.respond(&json!({"model": "codex", "input": input, "store": false, "tools": tools()})).await;
    assert_eq!(status, 200);
    let read = |i: usize| {
        let requests = gate.model.requests();
        let items = requests[i].input().iter().filter(|item| item["call_id"].is_string());
        let shown = items.map(|item| {
            format!("{} {} {}{}", item["type"], item["call_id"], item["arguments"], item["output"])
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(read(1), read(2));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_status_early_and_their_event_late() {
    let gate = TestGate::start().await;
    gate.model
        .enqueue(Answer::status(429, json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}})));
    let (status, error) = gate.respond(&hi()).await;
    assert_eq!((status, &error["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    gate.model.enqueue(Answer::text(["Half ", "an ", "answer"]).cut_after(6));
    let events = gate.respond_stream(&hi()).await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["error"]["code"]),
        (&json!("response.failed"), &json!("server_error"))
    );
    gate.model.enqueue(Answer::text(["As much ", "as fits"]).then_incomplete("max_output_tokens"));
    let (_, cut) = gate.respond(&hi()).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    gate.model.enqueue(Answer::text(["One two three four five six"]).hang());
    let mut body = hi();
    body["max_output_tokens"] = json!(3);
    let (_, cut) = gate.respond(&body).await;
    assert_eq!(
        (&cut["status"], &cut["output"][0]["content"][0]["text"]),
        (&json!("incomplete"), &json!("One two three"))
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_its_response() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Once "]).hang());
    let mut body = hi();
    body["stream"] = json!(true);
    let request = gate.client.post(format!("{}/v1/responses", gate.base)).bearer_auth(&gate.key).json(&body);
    let mut response = request.send().await.unwrap();
    assert!(!response.chunk().await.unwrap().unwrap().is_empty());
    drop(response);
    let left = std::time::Instant::now();
    let closed = gate.model.wait_for_close(0, PATIENCE).await.unwrap();
    assert!(closed.at.saturating_duration_since(left) < Duration::from_millis(100));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_response_outlives_its_client_and_can_be_read_again() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["One ", "two ", "three"]).every(Duration::from_millis(100)));
    let mut body = hi();
    body["background"] = json!(true);
    body["stream"] = json!(true);
    let request = gate.client.post(format!("{}/v1/responses", gate.base)).bearer_auth(&gate.key).json(&body);
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("output_text.delta") {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    drop(response);
    let seen = text.matches("event: ").count();
    let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    // The rest, from where the stream broke.
    let path = format!("{}/v1/responses/{id}?stream=true&starting_after={}", gate.base, seen - 1);
    let rest = gate.client.get(path).bearer_auth(&gate.key).send().await.unwrap().text().await.unwrap();
    let all = events(&format!("{text}{rest}"));
    assert_eq!(all.last().unwrap()["type"], "response.completed");
    let said: String = all
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta")
        .map(|e| e["delta"].as_str().unwrap())
        .collect();
    assert_eq!(said, "One two three");

    // And all of it again, long after.
    let path = format!("{}/v1/responses/{id}?stream=true", gate.base);
    let again = gate.client.get(path).bearer_auth(&gate.key).send().await.unwrap().text().await.unwrap();
    assert_eq!(events(&again), all);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_response_can_be_polled_and_cancelled() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Once "]).hang());
    let mut body = hi();
    body["background"] = json!(true);
    let (status, queued) = gate.respond(&body).await;
    assert_eq!((status, &queued["status"]), (200, &json!("queued")));
    let path = format!("/v1/responses/{}", queued["id"].as_str().unwrap());
    eventually("it runs", async || gate.call("GET", &path, None).await.1["status"] == "in_progress").await;
    gate.model.wait_for_requests(1, PATIENCE).await.unwrap();
    let (status, cancelled) = gate.call("POST", &format!("{path}/cancel"), None).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")));
    assert_eq!(gate.call("GET", &path, None).await.1, cancelled);
    gate.model.wait_for_close(0, PATIENCE).await.unwrap();
    gate.finish().await;
}

/// What was running when a gateway died is failed with its reason, never running for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_background_response_of_a_dead_gateway_has_failed() {
    let options = Options::default();
    let kept = Arc::clone(&options.kept);
    let gate = TestGate::with(options).await;
    let id = portcullis_store::ResponseId::new("resp_of_a_dead_gateway");
    let new = portcullis_store::NewResponse {
        id: id.clone(),
        principal: gate.principal(),
        created: jiff::Timestamp::now(),
        background: true,
        previous: None,
        conversation: None,
        input_items: Vec::new(),
        body: json!({"id": id.as_str(), "object": "response", "status": "in_progress"}).to_string(),
        status: portcullis_store::Status::InProgress,
    };
    portcullis_store::Responses::create(&*kept, new).await.unwrap();
    let key = gate.key.clone();
    let keys = std::fs::read(gate.store.path()).unwrap();
    gate.finish().await;

    let mut gate = TestGate::with(Options { kept, ..Options::default() }).await;
    std::fs::write(gate.store.path(), keys).unwrap();
    gate.key = key;
    let (status, body) = gate.call("GET", "/v1/responses/resp_of_a_dead_gateway", None).await;
    assert_eq!(
        (status, &body["status"], &body["error"]["code"]),
        (200, &json!("failed"), &json!("server_error"))
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_hold_what_was_said() {
    let gate = TestGate::start().await;
    let (status, made) = gate
        .call("POST", "/v1/conversations", Some(&json!({"metadata": {"topic": "sums"}, "items": [{"role": "developer", "content": "Be brief."}]})))
        .await;
    assert_eq!(
        (status, &made["object"], &made["metadata"]),
        (200, &json!("conversation"), &json!({"topic": "sums"}))
    );
    let path = format!("/v1/conversations/{}", made["id"].as_str().unwrap());
    gate.model.respond_with(|request| Answer::text([format!("answer {}", request.index)]));
    for text in ["2+2?", "3+3?"] {
        let body = json!({"model": "codex", "input": text, "conversation": made["id"]});
        let (status, answer) = gate.respond(&body).await;
        assert_eq!((status, &answer["conversation"]["id"]), (200, &made["id"]));
    }
    let texts = |input: &[Value]| {
        input.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(gate.model.requests()[1].input()), ["Be brief.", "2+2?", "answer 0", "3+3?"]);

    let (_, list) = gate.call("GET", &format!("{path}/items?order=asc"), None).await;
    assert_eq!(
        texts(list["data"].as_array().unwrap()),
        ["Be brief.", "2+2?", "answer 0", "3+3?", "answer 1"]
    );
    let item = format!("{path}/items/{}", list["data"][0]["id"].as_str().unwrap());
    assert_eq!(gate.call("GET", &item, None).await.1, list["data"][0]);
    assert_eq!(gate.call("DELETE", &item, None).await.0, 200);
    assert_eq!(gate.call("GET", &item, None).await.0, 404);
    let (_, more) = gate
        .call("POST", &format!("{path}/items"), Some(&json!({"items": [{"role": "user", "content": "x"}]})))
        .await;
    assert_eq!(more["data"][0]["content"][0]["text"], "x");
    let (_, updated) = gate.call("POST", &path, Some(&json!({"metadata": {"topic": "more"}}))).await;
    assert_eq!(updated["metadata"], json!({"topic": "more"}));
    assert_eq!(gate.call("DELETE", &path, None).await.1["object"], "conversation.deleted");
    assert_eq!(gate.call("GET", &path, None).await.0, 404);
    let (status, _) =
        gate.respond(&json!({"model": "codex", "input": "x", "conversation": made["id"]})).await;
    assert_eq!(status, 404);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_carried_out_is_refused() {
    let gate = TestGate::start().await;
    let with = |key: &str, value: Value| {
        let mut body = hi();
        body[key] = value;
        body
    };
    let bodies = [
        json!({"model": "codex"}),
        with("input", json!([])),
        with("input", json!([{"type": "computer_call"}])),
        with("input", json!([{"type": "function_call_output", "call_id": "c", "output": "x"}])),
        with("input", json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}])),
        with("input", json!([{"type": "item_reference", "id": "msg_nowhere"}])),
        with("tools", json!([{"type": "web_search"}])),
        with("truncation", json!("auto")),
        with("previous_response_id", json!("resp_nowhere")),
        with("conversation", json!("conv_nowhere")),
        with("top_logprobs", json!(3)),
        with("surprise", json!(1)),
        json!({"model": "codex", "input": "x", "background": true, "store": false}),
        json!({"model": "codex", "input": "x", "conversation": "c", "previous_response_id": "r"}),
    ];
    let mut seen = Vec::new();
    for body in bodies {
        let (status, answer) = gate.respond(&body).await;
        let error = &answer["error"];
        seen.push(format!("{status} {} {} {}", error["code"], error["param"], error["message"]));
    }
    for path in ["/v1/responses/compact", "/v1/responses/input_tokens"] {
        seen.push(gate.call("POST", path, Some(&hi())).await.0.to_string());
    }
    insta::assert_snapshot!("response_refusals", seen.join("\n"));
    assert!(gate.model.requests().is_empty());
    gate.finish().await;
}

/// The Codex CLI writes its tools among the items for newer models. Functions and custom tools are offered; what is
/// not is named.
#[tokio::test(flavor = "multi_thread")]
async fn tools_among_the_items_are_offered() {
    let gate = TestGate::start().await;
    let function = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}});
    let body = json!({"model": "codex", "store": false, "tools": [function("first")], "input": [
        {"type": "additional_tools", "role": "developer", "tools": [
            {"type": "namespace", "name": "functions", "description": "", "tools": [function("second")]},
            {"type": "namespace", "name": "agents", "description": "", "tools": [function("third")]},
            {"type": "custom", "name": "fourth"},
            {"type": "tool_search", "execution": "client"},
        ]},
        {"role": "user", "content": "Hi"},
    ]});
    gate.model.enqueue(Answer::text(["ok"]));
    let request = gate.client.post(format!("{}/v1/responses", gate.base)).bearer_auth(&gate.key).json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-portcullis-ignored"], "tools.namespace, tools.tool_search");
    let asked = gate.model.requests().remove(0);
    let names: Vec<&Value> = asked.tools().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["first", "second", "fourth"]);
    assert_eq!(asked.input().len(), 1);
    gate.finish().await;
}

/// A response that can not be kept says so, and is not there; the next one without `store` works.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_told_and_loses_nothing_else() {
    let kept = Arc::new(portcullis_store::Memory::new(64));
    let gate = TestGate::with(Options { kept, ..Options::default() }).await;
    gate.model.respond_with(|_| Answer::text(["Hello."]));
    let events = gate.respond_stream(&hi()).await;
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.failed"), &json!("failed")));
    let path = format!("/v1/responses/{}", last["response"]["id"].as_str().unwrap());
    assert_eq!(gate.call("GET", &path, None).await.0, 404);
    let mut body = hi();
    body["background"] = json!(true);
    assert_eq!(gate.respond(&body).await.0, 503);
    let mut body = hi();
    body["store"] = json!(false);
    assert_eq!(gate.respond(&body).await.1["status"], "completed");
    gate.finish().await;
}
