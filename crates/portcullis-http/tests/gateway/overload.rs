//! More requests than may run: who waits, who is refused, and what they are told.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_access::{Grant, KeyLimits};
use portcullis_agent::AdmissionLimits;
use serde_json::Value;

use crate::fake::FakeGate;
use crate::support::{Options, eventually, question};

fn crowded(turns: usize, queue: usize, wait: Duration) -> Options {
    let admission = AdmissionLimits { turns, profiles: [turns; 3], queue, wait };
    Options { admission, ..Options::default() }
}

/// A status, the seconds after which to come back, and the place in the queue.
async fn told_with_place(request: reqwest::RequestBuilder) -> (u16, Option<u64>, Option<u64>) {
    let response = request.send().await.unwrap();
    let number = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().parse().unwrap())
    };
    let (seconds, place) = (number("retry-after"), number("x-portcullis-queue-position"));
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status == 429, body["error"]["code"] == "rate_limit_exceeded", "{body}");
    (status, seconds, place)
}

async fn told(request: reqwest::RequestBuilder) -> (u16, Option<u64>) {
    let (status, seconds, _) = told_with_place(request).await;
    (status, seconds)
}

async fn metric(gate: &FakeGate, name: &str) -> String {
    let text = gate.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none");
    line.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_at_once_and_the_rest_is_answered() {
    let gate = FakeGate::with(crowded(2, 4, Duration::from_mins(1))).await;
    gate.agent.hold();
    let chat = || told_with_place(gate.post("/v1/chat/completions", &question("Hi")));
    let crowd = join_all((0..60).map(|_| chat()));
    let conduct = async {
        // Nobody is let go before all that do not fit have their answer.
        eventually("the others are refused", async || {
            metric(&gate, "portcullis_queue_refused_total{queue=\"turns\",why=\"full\"}").await == "54"
        })
        .await;
        assert_eq!(metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await, "4");
        assert_eq!(gate.agent.asked().len(), 2);
        let mut answered = 0;
        eventually("the rest is answered", async || {
            answered += gate.agent.let_go();
            answered == 6
        })
        .await;
    };
    let (answers, ()) = tokio::join!(crowd, conduct);
    let (refused, answered): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, ..)| *status == 429);
    assert_eq!(refused.len(), 54);
    // Four wait for two places, and turns last five seconds at a guess.
    assert!(refused.iter().all(|told| *told == (429, Some(15), None)), "{refused:?}");
    let mut places: Vec<_> = answered.into_iter().map(|(status, _, place)| (status, place)).collect();
    places.sort_unstable();
    assert_eq!(places, [None, None, Some(1), Some(2), Some(3), Some(4)].map(|place| (200, place)));
    assert_eq!(metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await, "0");
    assert_eq!(metric(&gate, "portcullis_queue_wait_seconds_count{queue=\"turns\"}").await, "4");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_has_an_end_and_a_client_that_leaves_waits_no_longer() {
    let gate = FakeGate::with(crowded(1, 4, Duration::from_millis(300))).await;
    gate.agent.hold();
    let first = gate.post("/v1/chat/completions", &question("Hi")).send();
    let others = async {
        eventually("the first runs", async || gate.agent.asked().len() == 1).await;
        for path in ["/v1/chat/completions", "/v1/responses"] {
            let body = serde_json::json!({"model": "codex", "input": "Hi", "messages": [{"role": "user", "content": "Hi"}]});
            let mut body = body;
            body.as_object_mut().unwrap().remove(if path.ends_with("responses") {
                "messages"
            } else {
                "input"
            });
            let (status, seconds) = told(gate.post(path, &body)).await;
            assert_eq!(status, 429, "{path}");
            assert!(seconds.is_some_and(|seconds| seconds >= 1));
            let left = gate.post(path, &body).timeout(Duration::from_millis(50)).send().await;
            assert!(left.unwrap_err().is_timeout());
            eventually("the queue is empty", async || {
                metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await == "0"
            })
            .await;
        }
        gate.agent.let_go();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.unwrap().status(), 200);
    assert_eq!(gate.agent.asked().len(), 1, "what was refused or left was run");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_as_many_turns_as_it_may_and_others_go_on() {
    let gate = FakeGate::with(crowded(4, 8, Duration::from_mins(1))).await;
    let limits = KeyLimits { turns: 1.try_into().ok(), ..KeyLimits::default() };
    let narrow = gate.another_key("narrow", &Grant { limits, ..Grant::default() });
    gate.agent.hold();
    let ask = |key: &str| told(gate.request_of(key, "POST", "/v1/chat/completions").json(&question("Hi")));
    let conduct = async {
        eventually("both wait and run", async || {
            metric(&gate, "portcullis_queue_length{queue=\"turns\"}").await == "1"
                && gate.agent.asked().len() == 2
        })
        .await;
        let mut answered = 0;
        eventually("all are answered", async || {
            answered += gate.agent.let_go();
            answered == 3
        })
        .await;
    };
    let (first, second, other, ()) = tokio::join!(ask(&narrow), ask(&narrow), ask(&gate.key), conduct);
    assert_eq!([first, second, other], [(200, None); 3]);
    gate.finish().await;
}

/// The headers that say where a key stands.
fn standing(response: &reqwest::Response) -> Vec<String> {
    let names = ["limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens"];
    let header = |name: &str| response.headers().get(format!("x-ratelimit-{name}"));
    names.map(|name| header(name).map_or("-", |value| value.to_str().unwrap()).to_owned()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_so_many_requests_and_tokens_in_a_minute() {
    let gate = FakeGate::start().await;
    let limited = |requests: u32, tokens: u32| {
        let limits = KeyLimits {
            turns: None,
            requests_per_minute: requests.try_into().ok(),
            tokens_per_minute: tokens.try_into().ok(),
        };
        Grant { limits, ..Grant::default() }
    };
    let ask = async |key: &str| {
        let request = gate.request_of(key, "POST", "/v1/chat/completions").json(&question("Hi"));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let standing = standing(&response);
        let seconds: Option<u64> =
            response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        let reset = response.headers().keys().filter(|name| name.as_str().contains("-reset-")).count();
        assert_eq!(reset, standing.iter().filter(|value| *value != "-").count() / 2);
        (status, standing, seconds, response.json::<Value>().await.unwrap()["error"]["type"].clone())
    };
    // A turn costs ten tokens.
    let few = gate.another_key("few", &limited(2, 0));
    assert_eq!(ask(&few).await.1, ["2", "1", "-", "-"]);
    assert_eq!(ask(&few).await.1, ["2", "0", "-", "-"]);
    let (status, told, seconds, kind) = ask(&few).await;
    assert_eq!(
        (status, told, kind),
        (429, vec!["2".into(), "0".into(), "-".into(), "-".into()], "requests".into())
    );
    assert!(seconds.is_some_and(|seconds| (20..=30).contains(&seconds)), "{seconds:?}");

    let small = gate.another_key("small", &limited(0, 15));
    assert_eq!(ask(&small).await.1, ["-", "-", "15", "15"]);
    assert_eq!(ask(&small).await.1[..3], ["-", "-", "15"]);
    let (status, told, seconds, kind) = ask(&small).await;
    assert_eq!((status, told[3].as_str(), kind), (429, "0", "tokens".into()));
    assert!(seconds.is_some_and(|seconds| (10..=30).contains(&seconds)), "{seconds:?}");

    // What is wrong with a request is told with the headers, too; a key without limits has none.
    let many = gate.another_key("many", &limited(100, 0));
    let wrong = gate.request_of(&many, "GET", "/v1/models/nope").send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), standing(&wrong)[1].as_str()), (404, "99"));
    assert_eq!(ask(&gate.key).await.1, ["-"; 4]);
    assert_eq!(gate.agent.asked().len(), 5);
    gate.finish().await;
}
