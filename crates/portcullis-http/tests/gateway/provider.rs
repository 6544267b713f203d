//! A provider that fails: whoever asks is told so at once, also who waits, and pictures have a provider of their own.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_agent::{AdmissionLimits, BreakerLimits};
use portcullis_lab::{Answer, demo, draw};
use serde_json::{Value, json};

use crate::support::{Keeping, Options, TestGate, eventually, question};

fn failing(status: u16) -> Answer {
    Answer::status(status, json!({"error": {"message": "on purpose"}}))
}

/// A status, the error's code, and the seconds after which to come back.
async fn told(request: reqwest::RequestBuilder) -> (u16, Value, Option<u64>) {
    let response = request.send().await.unwrap();
    let (status, wait) = (response.status().as_u16(), response.headers().get("retry-after").cloned());
    let body: Value = response.json().await.unwrap();
    (status, body["error"]["code"].clone(), wait.map(|wait| wait.to_str().unwrap().parse().unwrap()))
}

/// Whether a condition of `/readyz` holds. The gateway is ready in any case.
async fn condition(gate: &TestGate, name: &str) -> bool {
    let ready = gate.client.get(format!("{}/readyz", gate.base)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 200, "the gateway is alive");
    let ready: Value = ready.json().await.unwrap();
    let conditions = ready["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|condition| condition["name"] == name).unwrap();
    assert_eq!(condition["required"], false);
    condition["ok"].as_bool().unwrap()
}

async fn metric(gate: &TestGate, name: &str) -> String {
    let text = gate.get("/metrics").send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").trim().to_owned()
}

const OPEN: &str = "portcullis_provider_circuit_open{circuit=\"provider\"}";
const IMAGES_OPEN: &str = "portcullis_provider_circuit_open{circuit=\"images_provider\"}";

/// A provider that fails turn after turn is not asked again and again: new turns are refused at once, then one tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_turn_after_turn_is_given_a_rest() {
    let breaker = BreakerLimits { failures: 3, wait: Duration::from_secs(2) };
    let gate = TestGate::with(Options { breaker, ..Options::default() }).await;
    // What is the caller's own fault counts for nothing.
    for (status, expected) in [(500, 502), (400, 400), (429, 429), (400, 400), (500, 502)] {
        gate.model.enqueue(failing(status));
        assert_eq!(gate.ask(&question("Hi")).await.0, expected, "the model answers {status}");
    }
    let (status, code, wait) = told(gate.post(&question("Hi"))).await;
    assert_eq!((status, code), (503, json!("provider_down")));
    assert!([Some(1), Some(2)].contains(&wait), "{wait:?}");
    assert_eq!(gate.model.requests().len(), 5, "the provider was asked, though it failed");

    assert_eq!((condition(&gate, "provider").await, metric(&gate, OPEN).await.as_str()), (false, "1"));

    gate.model.respond_with(|_| Answer::text(["Whole"]));
    eventually("somebody may try", async || gate.ask(&question("Hi")).await.0 == 200).await;
    assert_eq!((condition(&gate, "provider").await, metric(&gate, OPEN).await.as_str()), (true, "0"));
    gate.finish().await;
}

/// Requests that wait for a place when the provider turns out to be down do not fail one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_the_queue_is_told_at_once_that_the_provider_is_down() {
    let breaker = BreakerLimits { failures: 1, wait: Duration::from_secs(30) };
    let admission = AdmissionLimits { turns: 1, profiles: [1; 3], queue: 8, wait: Duration::from_mins(1) };
    let gate = TestGate::with(Options { admission, breaker, ..Options::default() }).await;
    // Each of them would take so long.
    gate.model.respond_with(|_| failing(500).first_after(Duration::from_secs(3)));
    let first = told(gate.post(&question("Hi")));
    let others = async {
        gate.model.wait_for_requests(1, Duration::from_secs(20)).await.unwrap();
        let others = join_all((0..4).map(|_| told(gate.post(&question("And me?")))));
        let all_wait = eventually("they wait", async || {
            metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await == "4"
        });
        let (others, ()) = tokio::join!(others, all_wait);
        (others, std::time::Instant::now())
    };
    let first = async { (first.await, std::time::Instant::now()) };
    let ((first, failed), (others, refused)) = tokio::join!(first, others);
    assert_eq!((first.0, first.1), (502, json!("upstream_error")));
    for (status, code, wait) in others {
        assert_eq!((status, code), (503, json!("provider_down")));
        assert!([Some(29), Some(30)].contains(&wait), "{wait:?}");
    }
    let after = refused.saturating_duration_since(failed);
    assert!(after < Duration::from_secs(1), "they waited for {after:?}");
    // The next in the queue may have been let in at the same moment.
    assert!(gate.model.requests().len() <= 2, "the provider was asked, though it failed");
    assert_eq!(metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await, "0");
    gate.finish().await;
}

/// Whoever draws may fail while the model talks, and the other way round. The model's call for a picture counts for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_have_a_circuit_of_their_own() {
    let breaker = BreakerLimits { failures: 2, wait: Duration::from_secs(2) };
    let gate = TestGate::with(Options { breaker, pictures: Some(Keeping::Off), ..Options::default() }).await;
    gate.model.respond_with(demo::answer);
    gate.model.draw_with(|_| failing(500));
    let draw = || {
        let request = gate.client.post(format!("{}/v1/images/generations", gate.base));
        told(request.bearer_auth(&gate.key).json(&json!({"prompt": "a star"})))
    };
    for _ in 0..2 {
        assert_eq!(draw().await, (502, json!("upstream_error"), None));
    }
    let (status, code, wait) = draw().await;
    assert_eq!((status, code), (503, json!("provider_down")));
    assert!([Some(1), Some(2)].contains(&wait), "{wait:?}");
    assert_eq!(gate.model.picture_requests().len(), 2, "the service was asked, though it failed");
    let circuits = async || (metric(&gate, IMAGES_OPEN).await, metric(&gate, OPEN).await);
    assert_eq!(circuits().await, ("1".to_owned(), "0".to_owned()));
    assert!(!condition(&gate, "images_provider").await && condition(&gate, "provider").await);
    assert_eq!(gate.ask(&question("Hi")).await.0, 200, "words have a circuit of their own");

    gate.model.draw_with(|received| draw::answer(received).first_after(Duration::ZERO));
    eventually("somebody may try", async || draw().await.0 == 200).await;
    assert!(condition(&gate, "images_provider").await);
    assert_eq!(circuits().await, ("0".to_owned(), "0".to_owned()));
    gate.finish().await;
}
