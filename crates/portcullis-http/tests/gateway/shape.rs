//! The shape of answers: stop texts, limits, several choices, schemas, reasoning, refusals, pictures.

use std::time::Duration;

use portcullis_lab::Answer;
use serde_json::{Value, json};

use crate::support::{PATIENCE, TestGate, joined, question, redact};

fn with(key: &str, value: Value) -> Value {
    let mut body = question("Hi");
    body[key] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_text_ends_the_answer_and_the_turn() {
    let gate = TestGate::start().await;
    let pieces = ["One, tw", "o, th", "ree, four, five"];
    for stream in [false, true] {
        gate.model.enqueue(Answer::text(pieces).every(Duration::from_millis(5)).hang());
        let mut body = with("stop", json!(["three", "nine"]));
        body["stream_options"] = if stream { json!({"include_usage": true}) } else { Value::Null };
        if stream {
            let (_, text) = gate.stream(&body).await;
            insta::assert_snapshot!("stop_stream", joined(&text));
        } else {
            let (_, answer) = gate.ask(&body).await;
            let choice = &answer["choices"][0];
            assert_eq!(
                (&choice["message"]["content"], &choice["finish_reason"]),
                (&json!("One, two, "), &json!("stop"))
            );
            assert!(answer.get("usage").is_none(), "the cost of a step that was cut is not known");
        }
    }
    for index in 0..2 {
        gate.model.wait_for_close(index, PATIENCE).await.unwrap();
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_tokens_ends_the_answer_with_length() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["One two three four five six seven eight"]).hang());
    let (_, answer) = gate.ask(&with("max_completion_tokens", json!(4))).await;
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("One two three four"), &json!("length"))
    );
    // One that is not met changes nothing.
    gate.model.enqueue(Answer::text(["One two"]));
    let (_, answer) = gate.ask(&with("max_tokens", json!(100))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_choices_are_several_turns_and_cost_their_sum() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|request| Answer::text([format!("answer {}", request.index)]));
    let (_, answer) = gate.ask(&with("n", json!(3))).await;
    let mut texts: Vec<&str> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["message"]["content"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, ["answer 0", "answer 1", "answer 2"]);
    assert_eq!(answer["usage"]["prompt_tokens"], 33);
    let (_, text) = gate.stream(&with("n", json!(2))).await;
    assert_eq!(text.matches("\"finish_reason\":\"stop\"").count(), 2);
    assert!(text.contains("\"index\":1") && text.ends_with("data: [DONE]\n\n"));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_reaches_the_model_and_json_objects_are_checked() {
    let gate = TestGate::start().await;
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
        "required": ["b", "a"], "additionalProperties": false});
    gate.model.enqueue(Answer::text(["{\"b\":\"x\",", "\"a\":1}"]));
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "thing", "strict": true, "schema": schema}});
    let (status, answer) = gate.ask(&with("response_format", format)).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("{\"b\":\"x\",\"a\":1}")));
    let sent = &gate.model.requests()[0].body["text"]["format"];
    assert_eq!((&sent["schema"], &sent["strict"]), (&schema, &json!(true)));

    let mut body = question("Answer in JSON.");
    body["response_format"] = json!({"type": "json_object"});
    gate.model.enqueue(Answer::text(["{\"ok\": true}"]));
    assert_eq!(gate.ask(&body).await.0, 200);
    gate.model.enqueue(Answer::text(["Sure: {\"ok\": true}"]));
    let (status, answer) = gate.ask(&body).await;
    assert_eq!((status, &answer["error"]["code"]), (502, &json!("response_format_not_honored")));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_is_shown_when_it_is_asked_for() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::reasoning(["Let me ", "think."], ["Four."]));
    let (_, answer) = gate.ask(&with("reasoning", json!({"effort": "high", "summary": "auto"}))).await;
    insta::assert_snapshot!("reasoning", redact(&answer.to_string()));
    let (_, text) = gate.stream(&with("reasoning", json!({"summary": "detailed"}))).await;
    insta::assert_snapshot!("reasoning_stream", joined(&text));
    gate.ask(&question("Hi")).await;
    let asked: Vec<Value> = gate.model.requests().iter().map(|r| r.body["reasoning"].clone()).collect();
    let expected = [
        json!({"effort": "high", "summary": "auto"}),
        json!({"effort": "medium", "summary": "detailed"}),
        json!({"effort": "medium"}),
    ];
    assert_eq!(asked, expected);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_refusal() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::refusal("I can't help with that."));
    let (_, answer) = gate.ask(&question("Hi")).await;
    insta::assert_snapshot!("refusal", redact(&answer.to_string()));
    let (_, text) = gate.stream(&question("Hi")).await;
    assert!(
        text.contains("\"refusal\":\"The model declined") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );

    // What a client echoes of it is what the model said.
    gate.model.respond_with(|_| Answer::text(["ok"]));
    let messages = json!([{"role": "user", "content": "a"}, answer["choices"][0]["message"], {"role": "user", "content": "b"}]);
    assert_eq!(gate.ask(&with("messages", messages)).await.0, 200);
    assert_eq!(gate.model.requests()[2].input().len(), 3);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_reach_the_model_byte_by_byte() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::text(["A dot."]));
    let dot = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let picture =
        |url: &str, detail: Value| json!({"type": "image_url", "image_url": {"url": url, "detail": detail}});
    let content = json!([
        {"type": "text", "text": "What are they?"},
        picture(dot, json!("high")),
        picture(dot, Value::Null),
        picture(dot, json!("low")),
    ]);
    let messages = json!([{"role": "user", "content": content}]);
    let (status, answer) = gate.ask(&with("messages", messages)).await;
    assert_eq!(status, 200, "{answer}");
    let expected = json!([
        {"type": "input_text", "text": "What are they?"},
        {"type": "input_image", "image_url": dot, "detail": "high"},
        {"type": "input_image", "image_url": dot},
        {"type": "input_image", "image_url": dot},
    ]);
    assert_eq!(gate.model.requests()[0].body["input"][0]["content"], expected);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verbosity_and_tier_reach_the_model() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["ok"]));
    let mut body = with("verbosity", json!("high"));
    body["service_tier"] = json!("priority");
    assert_eq!(gate.ask(&body).await.0, 200);
    let sent = &gate.model.requests()[0].body;
    assert_eq!((&sent["text"]["verbosity"], &sent["service_tier"]), (&json!("high"), &json!("priority")));
    gate.finish().await;
}

/// A picture server that answers one path with a picture, one with a redirect, one with too much, one with a page.
async fn pictures() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test aborts it")]
    let task = tokio::task::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let (status, body) = match head.split(' ').nth(1).unwrap() {
                "/dot.png" => ("200 OK", include_bytes!("../../../../tests/clients/dot.png").to_vec()),
                "/half" => ("200 OK", [b"\x89PNG\r\n\x1a\n".to_vec(), vec![0; 150 * 1024]].concat()),
                "/elsewhere" => ("302 Found\r\nlocation: /dot.png", Vec::new()),
                "/large" => ("200 OK", [b"\x89PNG\r\n\x1a\n".to_vec(), vec![0; 300 * 1024]].concat()),
                _ => ("200 OK", b"<html>".to_vec()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // A client that has seen enough hangs up.
            let _cut = stream.write_all(&[head.into_bytes(), body].concat()).await;
        }
    });
    (addr, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_by_url_come_from_listed_hosts_only() {
    let gate = TestGate::start().await;
    let (addr, server) = pictures().await;
    let ask = async |url: &str| {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        gate.ask(&with("messages", json!([{"role": "user", "content": content}]))).await
    };
    gate.model.enqueue(Answer::text(["A dot."]));
    assert_eq!(ask(&format!("http://{addr}/dot.png")).await.0, 200);
    let sent = gate.model.requests()[0].body["input"][0]["content"][0]["image_url"].clone();
    assert!(sent.as_str().unwrap().starts_with("data:image/png;base64,iVBOR"), "{sent}");

    let port = addr.port();
    let refused = [
        ("/elsewhere", "http://127.0.0.1", "could not be fetched"),
        ("/large", "http://127.0.0.1", "at most 262144 bytes"),
        ("/page", "http://127.0.0.1", "none of PNG"),
        ("/dot.png", "http://localhost", "not listed"),
        ("/dot.png", "http://127.0.0.1@localhost", "not listed"),
        ("/dot.png", "http://someone@127.0.0.1", "not listed"),
        ("/dot.png", "http://localhost\\@127.0.0.1", "not listed"),
    ];
    for (path, host, why) in refused {
        let (status, answer) = ask(&format!("{host}:{port}{path}")).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(why), "{host} {path}: {status} {message}");
    }
    // Each is small enough, and both together are not.
    let half = json!({"type": "image_url", "image_url": {"url": format!("http://{addr}/half")}});
    let messages = json!([{"role": "user", "content": [half, half]}]);
    assert_eq!(gate.ask(&with("messages", messages)).await.0, 400);
    assert_eq!(gate.model.requests().len(), 1);
    server.abort();
    gate.finish().await;
}
