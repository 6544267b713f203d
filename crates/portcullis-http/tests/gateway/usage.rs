//! `GET /v1/usage`: what is counted, who sees it, and as what.

use portcullis_access::{Grant, Scope};
use portcullis_lab::{Answer, Usage, draw};
use serde_json::{Value, json};

use crate::fake::{FakeGate, outcome};
use crate::images::studio;
use crate::support::{Keeping, PATIENCE, eventually, question};

/// Counts are the provider's own; a turn whose cost nobody told is counted, and its cost is not guessed.
#[tokio::test(flavor = "multi_thread")]
async fn turns_of_the_real_codex_are_counted_as_its_provider_counts_them() {
    let gate = studio(Keeping::Off).await;
    for input in [21, 40] {
        let usage = Usage { input, cached: 5, output: 9, reasoning: 4 };
        gate.model.enqueue(Answer::text(["Hello"]).usage(usage));
        assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    }
    gate.model.enqueue(Answer::failed("server_error", "no"));
    assert_eq!(gate.ask(&question("Hi")).await.0, 502);
    gate.model.enqueue(Answer::text(["First "]).hang());
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let mut response = gate.post(&body).send().await.unwrap();
    response.chunk().await.unwrap().unwrap();
    drop(response);
    gate.model.wait_for_close(3, PATIENCE).await.unwrap();
    gate.model.enqueue_picture(Answer::picture(&draw::picture("a star", 64, 64, 0, false)));
    let picture = gate.client.post(format!("{}/v1/images/generations", gate.base)).bearer_auth(&gate.key);
    assert_eq!(picture.json(&json!({"prompt": "a star"})).send().await.unwrap().status(), 200);

    let usage = async || -> Value {
        gate.get("/v1/usage?group_by=model").send().await.unwrap().json().await.unwrap()
    };
    eventually("the turn that was left is counted", async || {
        usage().await.pointer("/data/0/turns") == Some(&json!(4))
    })
    .await;
    // Codex tells the cost of the step that had it drawn, and not that of the drawing.
    let pictures = json!({
        "model": "gpt-image-2", "turns": 1, "failed_turns": 0, "unreported_turns": 0, "input_tokens": 48,
        "cached_input_tokens": 0, "output_tokens": 2, "reasoning_tokens": 0, "pictures": 1,
    });
    let words = json!({
        "model": "gpt-5.5", "turns": 4, "failed_turns": 1, "unreported_turns": 2, "input_tokens": 61,
        "cached_input_tokens": 10, "output_tokens": 18, "reasoning_tokens": 8, "pictures": 0,
    });
    assert_eq!(usage().await, json!({"object": "list", "data": [words, pictures]}));
    gate.finish().await;
}

/// What a row of the table says: key, model, turns, tokens.
fn row(name: &str, model: &str, turns: u64) -> String {
    format!("{name} {model} {turns} {} {}", 7 * turns, 3 * turns)
}

fn rows(body: &Value) -> Vec<String> {
    let of = |row: &Value| {
        format!(
            "{} {} {} {} {}",
            row["name"].as_str().unwrap(),
            row["model"].as_str().unwrap(),
            row["turns"],
            row["input_tokens"],
            row["output_tokens"]
        )
    };
    body["data"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_its_own_and_the_operator_sees_all() {
    let gate = FakeGate::start().await;
    let other = gate.another_key("-other", &Grant::default());
    let operator =
        gate.another_key("operator", &Grant { scopes: [Scope::Operator].into(), ..Grant::default() });
    let id = |key: &str| key.strip_prefix("pcl_").unwrap().split('_').next().unwrap().to_owned();
    for (key, model, turns) in
        [(&gate.key, "gpt-5.5", 2), (&gate.key, "house-model", 1), (&other, "codex", 3)]
    {
        for _ in 0..turns {
            let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
            assert_eq!(
                outcome(gate.request_of(key, "POST", "/v1/chat/completions").json(&body)).await.0,
                200
            );
        }
    }
    let ask = async |key: &str, query: &str| -> Value {
        let asked = gate.request_of(key, "GET", &format!("/v1/usage{query}")).send().await.unwrap();
        asked.json().await.unwrap()
    };
    let (own, others) =
        ([row("test", "gpt-5.5", 2), row("test", "house-model", 1)], [row("-other", "gpt-5.5", 3)]);
    let mut all = rows(&ask(&operator, "").await);
    all.sort();
    assert_eq!(all, [&others[..], &own[..]].concat());
    assert_eq!(rows(&ask(&gate.key, "").await), own);
    assert_eq!(rows(&ask(&other, "").await), others);
    let (mine, theirs) = (id(&gate.key), id(&other));
    assert_eq!(rows(&ask(&gate.key, &format!("?key={mine}")).await), own);
    assert_eq!(rows(&ask(&operator, &format!("?key={theirs}")).await), others);
    assert_eq!(rows(&ask(&operator, &format!("?key={mine}&model=house-model")).await), own[1..]);
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let (yesterday, tomorrow) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    assert_eq!(rows(&ask(&gate.key, &format!("?from={yesterday}&to={tomorrow}")).await), own);
    for never in [format!("?from={tomorrow}"), format!("?to={yesterday}")] {
        assert_eq!(ask(&operator, &never).await, json!({"object": "list", "data": []}));
    }
    assert_eq!(ask(&operator, "?group_by=").await["data"][0]["turns"], 6);

    let refused = gate.request_of(&other, "GET", &format!("/v1/usage?key={mine}"));
    assert_eq!(outcome(refused).await, (403, json!("scope_not_granted")));
    for (query, code) in [
        ("?from=yesterday", Value::Null),
        ("?from=2026-11-28T00:00:00Z", Value::Null),
        ("?from=2026-11-28&to=2026-11-27", Value::Null),
        ("?group_by=hour", Value::Null),
        ("?format=xml", Value::Null),
        ("?until=2026-11-28", json!("invalid_query")),
    ] {
        assert_eq!(outcome(gate.request("GET", &format!("/v1/usage{query}"))).await, (400, code), "{query}");
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_gets_a_table_that_runs_nothing() {
    let gate = FakeGate::start().await;
    let key = gate.another_key("-1", &Grant::default());
    let body = json!({"model": "codex", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(outcome(gate.request_of(&key, "POST", "/v1/chat/completions").json(&body)).await.0, 200);
    let csv = gate.request_of(&key, "GET", "/v1/usage?group_by=key,model");
    let response = csv.header("accept", "text/csv;q=0.9, application/json;q=0.1").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    let id = key.strip_prefix("pcl_").unwrap().split('_').next().unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        format!(
            "key,name,model,turns,failed_turns,unreported_turns,input_tokens,cached_input_tokens,output_tokens,\
             reasoning_tokens,pictures\r\n{id},'-1,gpt-5.5,1,0,0,7,0,3,0,0\r\n"
        )
    );
    let asked = async |query: &str, accept: &str| {
        let request = gate.request_of(&key, "GET", &format!("/v1/usage{query}")).header("accept", accept);
        request.send().await.unwrap().headers()["content-type"].to_str().unwrap().to_owned()
    };
    assert_eq!(asked("?format=json", "text/csv").await, "application/json");
    assert!(asked("?format=csv", "application/json").await.starts_with("text/csv"));
    assert_eq!(asked("", "*/*").await, "application/json");
    gate.finish().await;
}
