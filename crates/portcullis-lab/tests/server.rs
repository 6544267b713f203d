//! The server over real sockets.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use portcullis_lab::{Answer, HowClosed, ModelServer, ToolCall, WaitError, demo};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// Only what should not happen takes this long.
const LIMIT: Duration = Duration::from_secs(10);
/// The promise that an interrupted turn lets go of its model connection.
const PROMPTLY: Duration = Duration::from_millis(100);

async fn ask(server: &ModelServer, text: &str) -> Response {
    let body = json!({"model": "m", "stream": true, "input": text});
    Client::new()
        .post(format!("{}/responses", server.base_url()))
        .json(&body)
        .send()
        .await
        .expect("the server answers")
}

/// Reads until `needle` has arrived.
async fn read_until(response: &mut Response, needle: &str) {
    let mut seen = String::new();
    while !seen.contains(needle) {
        let chunk = response.chunk().await.expect("the stream is whole").expect("the stream goes on");
        seen.push_str(std::str::from_utf8(&chunk).expect("events are text"));
    }
}

#[tokio::test]
async fn answers_come_in_order_then_from_the_responder_then_not_at_all() {
    let server = ModelServer::start().await.unwrap();
    let unscripted = ask(&server, "zero").await;
    assert_eq!(unscripted.status(), 500);
    let message = "lab: no answer was scripted for this request";
    assert_eq!(
        unscripted.json::<Value>().await.unwrap(),
        json!({"error": {"type": "server_error", "code": "unscripted", "message": message}})
    );

    server.enqueue(Answer::text(["first"]));
    server.enqueue(Answer::status(429, json!({"error": {"code": "slow"}})).header("retry-after", "7"));
    server.respond_with(|received| Answer::text([format!("echo {}", received.last_user_text().unwrap())]));
    assert_eq!(server.unused_answers(), 2);

    let first = ask(&server, "one").await;
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let text = first.text().await.unwrap();
    assert!(text.starts_with("event: response.created\ndata: {"), "{text}");
    assert!(text.contains("\"delta\":\"first\"") && text.contains("event: response.completed\n"), "{text}");
    let second = ask(&server, "two").await;
    assert_eq!((second.status().as_u16(), &second.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert!(ask(&server, "three").await.text().await.unwrap().contains("echo three"));

    let requests = server.wait_for_requests(4, LIMIT).await.unwrap();
    let seen: Vec<_> =
        requests.iter().map(|r| (r.index, r.path.as_str(), r.last_user_text().unwrap())).collect();
    let path = "/v1/responses";
    assert_eq!(seen, [(0, path, "zero"), (1, path, "one"), (2, path, "two"), (3, path, "three")]);
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    for index in 0..4 {
        assert_eq!(server.wait_for_close(index, LIMIT).await.unwrap().how, HowClosed::Answered);
    }
    assert_eq!(server.open_streams(), 0);
}

#[tokio::test]
async fn what_it_does_not_know_is_refused_and_remembered() {
    let server = ModelServer::start().await.unwrap();
    let models = reqwest::get(format!("{}/models?client_version=1", server.base_url())).await.unwrap();
    assert_eq!(models.status(), 404);
    assert!(models.json::<Value>().await.unwrap()["error"]["message"].is_string());
    let garbage =
        Client::new().post(format!("{}/responses", server.base_url())).body("{").send().await.unwrap();
    assert_eq!(garbage.status(), 400);
    let others: Vec<_> = server.other_requests().into_iter().map(|r| (r.index, r.path, r.body)).collect();
    assert_eq!(
        others,
        [
            (0, "/v1/models?client_version=1".to_owned(), Value::Null),
            (1, "/v1/responses".to_owned(), Value::Null)
        ]
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_promptly_whatever_the_server_waits_for() {
    let server = ModelServer::start().await.unwrap();
    let hour = Duration::from_hours(1);
    let silent = [
        Answer::text(["a", "b"]).hang(),
        Answer::text(["a", "b"]).first_after(Duration::from_millis(1)).every(hour),
    ];
    for (index, answer) in silent.into_iter().enumerate() {
        server.enqueue(answer);
        let mut response = ask(&server, "hello").await;
        read_until(&mut response, "\"delta\":\"a\"").await;
        assert_eq!(server.open_streams(), 1);
        let left = Instant::now();
        drop(response);
        let closed = server.wait_for_close(index, LIMIT).await.unwrap();
        assert_eq!(closed.how, HowClosed::ClientGone);
        assert!(closed.at.duration_since(left) < PROMPTLY, "{:?}", closed.at.duration_since(left));
    }

    // Not even the head of the response was sent.
    server.enqueue(Answer::status(500, json!({})).first_after(hour));
    let request = tokio::time::timeout(LIMIT, async {
        tokio::select! {
            _ = ask(&server, "hello") => panic!("answered"),
            requests = server.wait_for_requests(3, LIMIT) => requests.unwrap(),
        }
    });
    request.await.unwrap();
    let left = Instant::now();
    let closed = server.wait_for_close(2, LIMIT).await.unwrap();
    assert_eq!(closed.how, HowClosed::ClientGone);
    assert!(closed.at.saturating_duration_since(left) < PROMPTLY);
    assert_eq!(server.open_streams(), 0);
}

#[tokio::test]
async fn a_cut_comes_after_its_events_and_is_an_error_for_the_client() {
    let server = ModelServer::start().await.unwrap();
    for events in [0, 6] {
        server.enqueue(Answer::text(["a", "b"]).cut_after(events));
        let mut stream = ask(&server, "hello").await.bytes_stream();
        let (mut text, mut failed) = (String::new(), false);
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Err(_) => failed = true,
            }
        }
        assert!(failed, "the body ended as if it were whole: {text}");
        assert_eq!(text.matches("event: ").count(), events, "{text}");
    }
    assert_eq!(server.wait_for_close(1, LIMIT).await.unwrap().how, HowClosed::Cut);
}

#[tokio::test]
async fn waiting_in_vain_says_what_was_missing() {
    let server = ModelServer::start().await.unwrap();
    let waited = Duration::from_millis(1);
    assert_eq!(
        server.wait_for_requests(1, waited).await.unwrap_err(),
        WaitError::TooFewRequests { wanted: 1, seen: 0, waited }
    );
    assert_eq!(server.wait_for_close(0, waited).await, Err(WaitError::NotReceived { index: 0, waited }));
    server.enqueue(Answer::tool_calls([ToolCall::new("c", "n", "{}")]).hang());
    let _response = ask(&server, "hello").await;
    assert_eq!(server.wait_for_close(0, waited).await, Err(WaitError::StillOpen { index: 0, waited }));
}

#[tokio::test]
async fn shutdown_ends_what_is_open() {
    let server = ModelServer::start().await.unwrap();
    let addr = server.addr();
    server.enqueue(Answer::text(["a"]).hang());
    let mut response = ask(&server, "hello").await;
    read_until(&mut response, "\"delta\":\"a\"").await;
    tokio::time::timeout(PROMPTLY, server.shutdown()).await.expect("shutdown does not wait for the client");
    response.chunk().await.expect_err("the stream broke");
    tokio::net::TcpStream::connect(addr).await.expect_err("nobody listens");

    let dropped = ModelServer::start().await.unwrap();
    dropped.enqueue(Answer::text(["a"]).hang());
    let mut response = ask(&dropped, "hello").await;
    read_until(&mut response, "\"delta\":\"a\"").await;
    drop(dropped);
    response.chunk().await.expect_err("the stream broke");
}

#[tokio::test]
async fn large_bodies_and_the_demo_pass_through() {
    let server = ModelServer::start().await.unwrap();
    server.respond_with(demo::answer);
    let image = format!("data:image/png;base64,{}", "A".repeat(20 << 20));
    let body = json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "what is 6*7"}, {"type": "input_image", "image_url": image},
    ]}]});
    let url = format!("{}/responses", server.base_url());
    let response = Client::new().post(&url).json(&body).send().await.unwrap();
    let text = response.text().await.unwrap();
    assert!(text.contains("6 × 7 is 42."), "{text}");
}
