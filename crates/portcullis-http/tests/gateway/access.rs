//! Keys, models, limits, health: everything that is decided before a turn runs.

use portcullis_access::Grant;
use portcullis_lab::Answer;
use portcullis_openai::chat::Sampling;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Options, TestGate, eventually, question};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_valid_key_opens_v1() {
    let gate = TestGate::start().await;
    let models = format!("{}/v1/models", gate.base);
    let chat = format!("{}/v1/chat/completions", gate.base);
    let wrong = format!("{}x", &gate.key[..gate.key.len() - 1]);
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Basic {}", gate.key)),
        Some(gate.key.clone()),
        Some(format!("Bearer {wrong}")),
        Some(format!("Bearer {} {}", gate.key, gate.key)),
    ];
    for header in headers {
        // A body that would be refused is not even read.
        for request in [gate.client.get(&models), gate.client.post(&chat).body("{")] {
            let request = match &header {
                Some(value) => request.header("authorization", value),
                None => request,
            };
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{header:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "invalid_api_key");
        }
    }
    let lower = gate.client.get(&models).header("authorization", format!("bearer {}", gate.key));
    assert_eq!(lower.send().await.unwrap().status(), 200);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_and_go_while_the_gateway_runs() {
    let gate = TestGate::start().await;
    let second = gate.store.create("second", &Grant::default(), jiff::Timestamp::now()).unwrap();
    let status = async || {
        let request =
            gate.client.get(format!("{}/v1/models", gate.base)).bearer_auth(second.secret.expose_secret());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    gate.store.revoke("second").unwrap();
    assert_eq!(status().await, 401);
    assert_eq!(gate.get("/v1/models").send().await.unwrap().status(), 200, "the other key is untouched");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_what_codex_offers_and_the_aliases_that_lead_there() {
    let gate = TestGate::start().await;
    let body: Value = gate.get("/v1/models").send().await.unwrap().json().await.unwrap();
    let names: Vec<&str> =
        body["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    insta::assert_debug_snapshot!("models", names);

    let one: Value = gate.get("/v1/models/codex-high").send().await.unwrap().json().await.unwrap();
    assert_eq!(one, json!({"id": "codex-high", "object": "model", "created": 0, "owned_by": "portcullis"}));
    for unknown in ["nope", "nowhere"] {
        let response = gate.get(&format!("/v1/models/{unknown}")).send().await.unwrap();
        assert_eq!(response.status(), 404);
        let (status, body) =
            gate.ask(&json!({"model": unknown, "messages": [{"role": "user", "content": "x"}]})).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    }

    // A model that only the configuration names is offered, and asked for by its name.
    gate.model.enqueue(Answer::text(["ok"]));
    let (status, body) =
        gate.ask(&json!({"model": "house-model", "messages": [{"role": "user", "content": "x"}]})).await;
    assert_eq!((status, &body["model"]), (200, &json!("house-model")));
    assert_eq!(gate.model.requests()[0].body["model"], "house-model");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_carried_out_is_refused_before_anything_runs() {
    let gate = TestGate::with(Options { sampling: Sampling::Reject, ..Options::default() }).await;
    let with = |key: &str, value: Value| {
        let mut body = question("Hi");
        body[key] = value;
        body
    };
    let said = |messages: Value| json!({"model": "gpt-5.5", "messages": messages});
    let user = |content: Value| said(json!([{"role": "user", "content": content}]));
    let data = |bytes: &str| user(json!([{"type": "image_url", "image_url": {"url": bytes}}]));
    let bodies = [
        json!([]),
        json!({"messages": []}),
        json!({"model": "gpt-5.5"}),
        json!({"model": 5, "messages": [{"role": "user", "content": "x"}]}),
        said(json!([])),
        said(json!([{"role": "king", "content": "x"}])),
        said(json!([{"role": "user"}])),
        user(json!(7)),
        user(json!([])),
        user(json!([{"type": "input_audio", "input_audio": {}}])),
        said(json!([{"role": "user", "content": "x", "extra": 1}])),
        said(json!([{"role": "tool", "tool_call_id": "c", "content": "x"}])),
        said(json!([
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "user", "content": "x"},
        ])),
        said(Value::Array(vec![json!({"role": "user", "content": "x"}); 101])),
        user(json!("x".repeat(513 * 1024))),
        data("https://elsewhere.example/a.png"),
        data("file:///etc/passwd"),
        data("data:image/png;base64,AAAA"),
        data("data:image/jpeg;base64,iVBORw0KGgo="),
        data("data:image/png,x"),
        with("no_such_field", json!(1)),
        with("logprobs", json!(true)),
        with("modalities", json!(["audio"])),
        with("temperature", json!(0.2)),
        with("temperature", json!("hot")),
        with("seed", json!(1)),
        with("n", json!(0)),
        with("n", json!(9)),
        with("stop", json!(["a", "b", "c", "d", "e"])),
        with("stop", json!("")),
        with("max_tokens", json!(0)),
        with("reasoning_effort", json!("ludicrous")),
        with("stream_options", json!({"include_usage": true})),
        with("response_format", json!({"type": "json_object"})),
        with("response_format", json!({"type": "json_schema", "json_schema": {"name": "a"}})),
        with("tools", json!([{"type": "web_search"}])),
        with("tools", json!([{"type": "function", "function": {"name": "a b"}}])),
        with("tools", json!([{"type": "function", "function": {"name": "mcp"}}])),
        with(
            "tools",
            json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "a"}}]),
        ),
        with("tool_choice", json!("required")),
        with("tool_choice", json!({"type": "function", "function": {"name": "ghost"}})),
    ];
    let mut seen = Vec::new();
    for body in bodies {
        let (status, answer) = gate.ask(&body).await;
        let error = &answer["error"];
        seen.push(format!("{status} {} {} {}", error["code"], error["param"], error["message"]));
    }
    insta::assert_snapshot!("refusals", seen.join("\n"));
    assert!(gate.model.requests().is_empty(), "a refused request reached the model");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_must_be_json() {
    let gate = TestGate::start().await;
    let url = format!("{}/v1/chat/completions", gate.base);
    let post = |kind: &str, body: String| {
        gate.client.post(&url).bearer_auth(&gate.key).header("content-type", kind).body(body)
    };
    let deep = format!("{{\"model\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let cases = [
        (post("text/plain", question("x").to_string()), 415, "unsupported_content_type"),
        (post("application/json", "{\"model\": ".to_owned()), 400, "invalid_json"),
        (post("application/json", deep), 400, "invalid_json"),
        (post("application/json", "\u{feff}{}".to_owned()), 400, "invalid_json"),
        (post("application/json; charset=utf-8", "x".repeat(1024 * 1024 + 1)), 413, "request_too_large"),
        (gate.client.put(&url).bearer_auth(&gate.key), 405, "method_not_allowed"),
        (gate.get("/v2/models"), 404, "unknown_url"),
    ];
    for (request, status, code) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{code}");
        assert!(response.headers().contains_key("x-request-id"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], code, "{body}");
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knobs_without_effect_are_named() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["ok"]));
    let mut body = question("Hi");
    body["temperature"] = json!(0.2);
    body["seed"] = json!(7);
    body["top_p"] = json!(1);
    let response = gate.post(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-portcullis-ignored"], "temperature, seed");
    gate.finish().await;
}

/// Without a login the gateway runs, is not ready, and says what to do; nothing is tried upstream.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_it_says_so() {
    let gate = TestGate::with(Options { openai: true, ..Options::default() }).await;
    let response = gate.client.get(format!("{}/readyz", gate.base)).send().await.unwrap();
    assert_eq!(response.status(), 503);
    let body: Value = response.json().await.unwrap();
    insta::assert_snapshot!("not_ready", serde_json::to_string_pretty(&body).unwrap());
    let (status, body) = gate.ask(&question("Hi")).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("login_required")));

    // A login that appears is noticed without a restart of the gateway. (Codex reads its own file; a key is enough
    // for it to say that somebody is signed in.)
    let login = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-not-a-real-key"}"#;
    std::fs::write(gate.dir().join("codex/auth.json"), login).unwrap();
    eventually("the login is noticed", async || {
        let response = gate.client.get(format!("{}/readyz", gate.base)).send().await.unwrap();
        response.status() == 200
    })
    .await;
    gate.finish().await;
}
