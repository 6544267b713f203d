//! Requests with an `Idempotency-Key`: run once, answered as often as they are asked.

use std::time::Duration;

use portcullis_access::Grant;
use serde_json::{Value, json};

use crate::fake::FakeGate;
use crate::support::{eventually, question};

const CHAT: &str = "/v1/chat/completions";

/// A status, whether it is a replay, and the body.
async fn told(request: reqwest::RequestBuilder) -> (u16, bool, String) {
    let response = request.send().await.unwrap();
    let replayed = response.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
    (response.status().as_u16(), replayed, response.text().await.unwrap())
}

fn keyed(gate: &FakeGate, path: &str, key: &str, body: &Value) -> reqwest::RequestBuilder {
    gate.post(path, body).header("idempotency-key", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_run_once_and_answered_alike() {
    let gate = FakeGate::start().await;
    let mut streamed = question("Hi");
    streamed["stream"] = true.into();
    let response = json!({"model": "codex", "input": "Hi"});
    for (number, (path, body)) in
        [(CHAT, question("Hi")), (CHAT, streamed), ("/v1/responses", response)].into_iter().enumerate()
    {
        let key = format!("key-{number}");
        let first = told(keyed(&gate, path, &key, &body)).await;
        assert_eq!((first.0, first.1), (200, false), "{first:?}");
        // Ids and times are those of the first.
        assert_eq!(told(keyed(&gate, path, &key, &body)).await, (200, true, first.2.clone()));
        assert_eq!(gate.agent.asked().len(), number + 1);

        let (status, replayed, error) = told(keyed(&gate, path, &key, &question("Bye"))).await;
        assert_eq!((status, replayed), (422, false));
        assert!(error.contains("idempotency_key_reused"), "{error}");
    }
    // Another principal's key of that name is another one; and without one every request is its own.
    let other = gate.another_key("other", &Grant::default());
    let of_other =
        gate.request_of(&other, "POST", CHAT).json(&question("Hi")).header("idempotency-key", "key-0");
    assert!(!told(of_other).await.1);
    assert!(!told(gate.post(CHAT, &question("Hi"))).await.1);
    assert_eq!(gate.agent.asked().len(), 5);
    for bad in ["", " ", &"x".repeat(256)] {
        assert_eq!(told(keyed(&gate, CHAT, bad, &question("Hi"))).await.0, 400);
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_loses_no_answer_and_two_at_once_are_one() {
    let gate = FakeGate::start().await;
    gate.agent.hold();
    let left = keyed(&gate, CHAT, "k", &question("Hi")).timeout(Duration::from_millis(100)).send().await;
    assert!(left.unwrap_err().is_timeout());
    eventually("it runs", async || gate.agent.asked().len() == 1).await;
    let (question, others) = (question("Hi"), ["k", "k"]);
    let asking = futures_util::future::join_all(others.map(|key| told(keyed(&gate, CHAT, key, &question))));
    let letting = async {
        // They have no turns of their own that one could wait for.
        eventually("it is answered", async || gate.agent.let_go() == 1).await;
    };
    let (answers, ()) = tokio::join!(asking, letting);
    assert!(
        answers.iter().all(|answer| answer.0 == 200 && answer.1 && answer.2 == answers[0].2),
        "{answers:?}"
    );
    assert_eq!(gate.agent.asked().len(), 1, "it was run again");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_too() {
    let gate = FakeGate::start().await;
    let unknown = json!({"model": "nobody", "messages": [{"role": "user", "content": "Hi"}]});
    let first = told(keyed(&gate, CHAT, "final", &unknown)).await;
    assert_eq!((first.0, first.1), (404, false));
    assert_eq!(told(keyed(&gate, CHAT, "final", &unknown)).await, (404, true, first.2));
    gate.finish().await;
}
