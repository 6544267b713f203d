//! `POST /v1/chat/completions` against the real Codex: what comes back, and what reached the model.

use std::time::Duration;

use crate::support::{Options, PATIENCE, TestGate, joined, question, redact};
use portcullis_lab::{Answer, Usage};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_role_deltas_finish_usage_and_done() {
    let gate = TestGate::start().await;
    let usage = Usage { input: 21, cached: 5, output: 9, reasoning: 4 };
    gate.model.enqueue(Answer::text(["Hel", "lo ", "wörld\n"]).every(Duration::from_millis(5)).usage(usage));
    let mut body = question("Hi");
    body["stream_options"] = json!({"include_usage": true});
    let (status, text) = gate.stream(&body).await;
    assert_eq!(status, 200);
    insta::assert_snapshot!("stream", joined(&text));
    gate.finish().await;
}

/// A word goes out when it comes, not when the answer is whole.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_word_goes_out_while_the_model_still_speaks() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["First "]).hang());
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let mut response = gate.post(&body).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut text = String::new();
    while !text.contains("First ") {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    drop(response);
    gate.model.wait_for_close(0, PATIENCE).await.unwrap();
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_is_the_same_answer() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Hel", "lo"]).usage(Usage {
        input: 21,
        cached: 5,
        output: 9,
        reasoning: 4,
    }));
    let response = gate.post(&question("Hi")).send().await.unwrap();
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    let text = response.text().await.unwrap();
    insta::assert_snapshot!("whole", redact(&text));
    gate.finish().await;
}

/// What the client sent is what the model gets: the whole request, but for Codex's ids.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_receives_the_conversation_and_nothing_else() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["ok"]));
    let body = json!({
        "model": "codex-high",
        "messages": [
            {"role": "system", "content": "Be brief.\n"},
            {"role": "user", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": " <two> "}]},
            {"role": "assistant", "content": "Uno."},
            {"role": "developer", "content": "Now in German."},
            {"role": "user", "content": "  Three? \u{1F600} "},
        ],
        "user": "somebody", "metadata": {"a": "b"}, "store": false, "temperature": 1,
    });
    let (status, _) = gate.ask(&body).await;
    assert_eq!(status, 200);
    let request = gate.model.requests().remove(0);
    let message = |role: &str, kind: &str, texts: &[&str]| {
        let content: Vec<Value> = texts.iter().map(|text| json!({"type": kind, "text": text})).collect();
        json!({"type": "message", "role": role, "content": content})
    };
    let mut input = request.body["input"].clone();
    for item in input.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("id");
    }
    let expected = json!([
        message("developer", "input_text", &["Be brief.\n"]),
        message("user", "input_text", &["One.", " <two> "]),
        message("assistant", "output_text", &["Uno."]),
        message("developer", "input_text", &["Now in German."]),
        message("user", "input_text", &["  Three? \u{1F600} "]),
    ]);
    assert_eq!(input, expected);
    let rest: Vec<&String> = request.body.as_object().unwrap().keys().collect();
    insta::assert_debug_snapshot!("members", rest);
    assert_eq!(request.body["tools"], json!([]));
    assert_eq!(request.body["reasoning"], json!({"effort": "high"}));

    // What Codex adds is its own ids and settings: at most 1 KiB beyond the client's own content is the goal
    // for the part that the model reads; the rest is metadata of the transport.
    let read_by_model = |key: &str| key != "client_metadata" && key != "prompt_cache_key";
    let members = request.body.as_object().unwrap().iter();
    let read: serde_json::Map<String, Value> =
        members.filter(|(key, _)| read_by_model(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let beyond = Value::Object(read).to_string().len() - body["messages"].to_string().len();
    assert!(beyond < 1024, "{beyond} bytes beyond the client's messages reached the model");
    gate.finish().await;
}

/// How a provider fails.
pub(crate) fn failures() -> [Answer; 10] {
    let error = |code: &str| json!({"error": {"message": "Schema is bad", "type": "invalid_request_error", "param": "text", "code": code}});
    [
        Answer::status(429, error("rate_limit_exceeded")).header("retry-after", "7"),
        Answer::status(400, error("invalid_json_schema")),
        Answer::status(400, error("context_length_exceeded")),
        Answer::status(401, error("invalid_api_key")),
        Answer::status(500, error("server_error")),
        Answer::failed("context_length_exceeded", "too long"),
        Answer::failed("rate_limit_exceeded", "slow down"),
        Answer::failed("insufficient_quota", "no money"),
        Answer::incomplete("content_filter"),
        Answer::text(["lost"]).cut_after(1),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_failures_keep_their_meaning() {
    let gate = TestGate::start().await;
    let mut seen = Vec::new();
    for answer in failures() {
        // The same failure, whole and as a stream: its status is there both times, since nothing was said yet.
        gate.model.enqueue(answer.clone());
        let (status, body) = gate.ask(&question("Hi")).await;
        gate.model.enqueue(answer);
        let (stream_status, text) = gate.stream(&question("Hi")).await;
        assert_eq!((status, &body), (stream_status, &serde_json::from_str(&text).unwrap()));
        seen.push(format!("{status} {body}"));
    }
    insta::assert_snapshot!("failures", seen.join("\n"));
    gate.finish().await;
}

/// What the provider cut at its own limit is an answer, not a failure; its cost is not known.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_at_the_providers_limit_finishes_with_length() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["As much ", "as fits"]).then_incomplete("max_output_tokens"));
    let (status, body) = gate.ask(&question("Hi")).await;
    let choice = &body["choices"][0];
    assert_eq!((status, &choice["message"]["content"]), (200, &json!("As much as fits")));
    assert_eq!((&choice["finish_reason"], body.get("usage")), (&json!("length"), None));
    gate.finish().await;
}

/// A stream that breaks after the first words is an error event and never a clean stop, also where Codex would
/// ask the model again: the client would read the beginning twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_the_middle_is_an_error_event() {
    for stream_retries in [0, 2] {
        let gate = TestGate::with(Options { stream_retries, ..Options::default() }).await;
        gate.model.respond_with(|_| {
            Answer::text(["Half ", "an ", "answer"]).every(Duration::from_millis(5)).cut_after(6)
        });
        let (status, text) = gate.stream(&question("Hi")).await;
        assert_eq!(status, 200);
        insta::assert_snapshot!("cut", joined(&text));
        gate.finish().await;
    }
}

/// A retry before the first word is Codex's business: the client sees one clean answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_first_word_is_repaired_by_a_retry() {
    let gate = TestGate::with(Options { stream_retries: 2, ..Options::default() }).await;
    gate.model.enqueue(Answer::text(["lost"]).cut_after(1));
    gate.model.enqueue(Answer::text(["found"]));
    let (status, body) = gate.ask(&question("Hi")).await;
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("found")));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_interrupts_the_turn_at_once() {
    let gate = TestGate::start().await;
    for (index, stream) in [true, false, true, false].into_iter().enumerate() {
        gate.model.enqueue(Answer::text(["Once ", "upon "]).hang());
        let mut body = question("Hi");
        body["stream"] = json!(stream);
        let request = gate.post(&body);
        if stream {
            let mut response = request.send().await.unwrap();
            let first = response.chunk().await.unwrap().unwrap();
            assert!(!first.is_empty());
            drop(response);
        } else {
            let pending = tokio::time::timeout(Duration::from_millis(300), request.send());
            assert!(pending.await.is_err(), "a hanging answer was answered");
        }
        let left = std::time::Instant::now();
        let closed = gate.model.wait_for_close(index, PATIENCE).await.unwrap();
        let took = closed.at.saturating_duration_since(left);
        assert!(took < Duration::from_millis(100), "the model saw its client leave after {took:?}");
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_takes_too_long_ends_with_its_own_error() {
    let gate = TestGate::with(Options { deadline: Duration::from_millis(400), ..Options::default() }).await;
    gate.model.respond_with(|_| Answer::text(["Once "]).hang());
    let (status, text) = gate.stream(&question("Hi")).await;
    assert_eq!(status, 200);
    assert!(text.contains("\"code\":\"timeout\"") && !text.contains("[DONE]"), "{text}");
    let (status, body) = gate.ask(&question("Hi")).await;
    assert_eq!((status, &body["error"]["code"]), (504, &json!("timeout")));
    for index in 0..2 {
        gate.model.wait_for_close(index, PATIENCE).await.unwrap();
    }
    gate.finish().await;
}

/// A model that thinks for long does not keep the head waiting: proxies would give up.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_model_does_not_hold_the_head_back() {
    let gate =
        TestGate::with(Options { first_event: Duration::from_millis(100), ..Options::default() }).await;
    gate.model.enqueue(Answer::text(["late"]).first_after(Duration::from_secs(1)));
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let asked = std::time::Instant::now();
    let response = gate.post(&body).send().await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(900));
    let text = response.text().await.unwrap();
    assert!(text.contains("late") && text.ends_with("data: [DONE]\n\n"), "{text}");
    gate.finish().await;
}
