//! How much of the account's limits is used: what the provider says on its answers, by way of the real Codex.

use portcullis_lab::Answer;
use serde_json::{Value, json};

use crate::support::{LOCAL, TestGate, eventually, question};

async fn account(gate: &TestGate) -> Vec<String> {
    let text = gate.get("/metrics").send().await.unwrap().text().await.unwrap();
    text.lines().filter(|line| line.starts_with("portcullis_account")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_of_the_provider_is_told_and_nothing_is_made_up() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["ok"]));
    assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    assert_eq!(account(&gate).await, [""; 0]);
    let answer = Answer::text(["ok"])
        .header("x-codex-primary-used-percent", "42")
        .header("x-codex-primary-window-minutes", "300")
        .header("x-codex-primary-reset-at", "4102444800")
        .header("x-codex-secondary-used-percent", "7")
        .header("x-codex-secondary-window-minutes", "10080");
    gate.model.enqueue(answer);
    assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    eventually("the limits are told", async || !account(&gate).await.is_empty()).await;
    let of = |window: &str| format!("{{worker=\"codex-1\",limit=\"codex\",window=\"{window}\"}}");
    let (primary, secondary) = (of("primary"), of("secondary"));
    let mut told = account(&gate).await;
    told.sort();
    assert_eq!(
        told,
        [
            format!("portcullis_account_resets_timestamp_seconds{primary} 4102444800"),
            format!("portcullis_account_used_percent{primary} 42"),
            format!("portcullis_account_used_percent{secondary} 7"),
            format!("portcullis_account_window_seconds{primary} 18000"),
            format!("portcullis_account_window_seconds{secondary} 604800"),
        ]
    );
    // An answer that says nothing of it undoes nothing.
    gate.model.enqueue(Answer::text(["ok"]));
    assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    assert_eq!(account(&gate).await.len(), 5);
    // Answers are at most a few seconds behind.
    let told = async |name: &str| {
        let response = gate.get("/v1/models").send().await.unwrap();
        let value = response.headers().get(format!("x-portcullis-account-{name}"));
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    eventually("answers tell, too", async || told("primary-used-percent").await.as_deref() == Some("42"))
        .await;
    assert_eq!(told("secondary-used-percent").await.as_deref(), Some("7"));
    assert!(told("primary-reset-after").await.is_some());
    assert_eq!(told("secondary-reset-after").await, None);
    // The operator's own commands are told by `/readyz`, and nobody else is, whatever key he has.
    let ready = async |word: Option<&str>| -> Value {
        let request = gate.client.get(format!("{}/readyz", gate.base));
        let request = word.map_or(request.try_clone().unwrap(), |word| request.bearer_auth(word));
        request.send().await.unwrap().json().await.unwrap()
    };
    for word in [None, Some(""), Some(&gate.key), Some("local-wor")] {
        assert_eq!(ready(word).await["account"], Value::Null);
    }
    let window = |name: &str, used: i32, seconds: u64, resets_at: Value| json!({"limit": "codex", "window": name, "used_percent": used, "window_seconds": seconds, "resets_at": resets_at});
    assert_eq!(
        ready(Some(LOCAL)).await["account"],
        json!([
            window("primary", 42, 18_000, 4_102_444_800_u64.into()),
            window("secondary", 7, 604_800, Value::Null)
        ])
    );
    gate.finish().await;
}
