//! What only the operator may: to answer what agents ask. And what is written down of those who may not.

use portcullis_access::{Grant, Scope};
use portcullis_agent::{ApprovalKind, Profile, Question, Verdict};
use serde_json::{Value, json};

use crate::fake::{FakeGate, outcome};

fn question(profile: Profile) -> Question {
    Question {
        request: "req".into(),
        principal: "k:app".into(),
        profile,
        thread: "th".into(),
        turn: "tu".into(),
        kind: ApprovalKind::Command,
        about: "rm -r /ws; TOKEN=hunter2".to_owned(),
    }
}

fn operator() -> Grant {
    Grant { scopes: [Scope::Operator].into(), ..Grant::default() }
}

fn audited(gate: &FakeGate) -> Vec<(String, String, Value)> {
    let mut lines = Vec::new();
    portcullis_audit::read(&gate.dir.path().join("audit"), |line, text| {
        assert!(!text.contains("hunter2"), "{text}");
        lines.push((line.who, line.event, Value::Object(line.fields)));
    })
    .unwrap();
    lines
}

#[tokio::test]
async fn the_operator_answers_and_it_is_written_down_first() {
    let gate = FakeGate::start().await;
    let key = gate.another_key("operator", &operator());
    for (decision, verdict) in [("approve", Verdict::Approved), ("decline", Verdict::Declined)] {
        let asking = gate.approvals.ask(question(Profile::Work));
        let answering = async {
            let waiting: Value =
                gate.request_of(&key, "GET", "/v1/approvals").send().await.unwrap().json().await.unwrap();
            let mut shown = waiting["data"][0].clone();
            let id = shown["id"].as_str().unwrap().to_owned();
            let (asked, expires) = (shown["asked_at"].take(), shown["expires_at"].take());
            assert_eq!(expires.as_u64().unwrap() - asked.as_u64().unwrap(), 60);
            assert_eq!(
                shown,
                json!({
                    "id": id, "kind": "command", "about": "rm -r /ws; TOKEN=hunter2", "principal": "k:app",
                    "profile": "work", "request": "req", "thread": "th", "turn": "tu", "asked_at": null, "expires_at": null,
                })
            );
            let path = format!("/v1/approvals/{id}");
            let bad = gate.request_of(&key, "POST", &path).json(&json!({"decision": "maybe"}));
            assert_eq!(outcome(bad).await.0, 400);
            let answer = gate.request_of(&key, "POST", &path).json(&json!({"decision": decision}));
            let told: Value = answer.send().await.unwrap().json().await.unwrap();
            assert_eq!(told, json!({"id": id, "decision": verdict.word(), "in_time": true}));
            let again = gate.request_of(&key, "POST", &path).json(&json!({"decision": decision}));
            assert_eq!(outcome(again).await, (404, json!("not_found")));
        };
        assert_eq!(tokio::join!(asking, answering).0, verdict);
    }
    let lines = audited(&gate);
    let events: Vec<_> = lines.iter().map(|(_, event, _)| event.as_str()).collect();
    assert_eq!(events, ["approval_asked", "approval_decided", "approval_asked", "approval_decided"]);
    assert_eq!((lines[0].0.as_str(), &lines[0].2["about"]), ("k:app", &json!("rm -r /ws; TOKEN=***")));
    assert!(lines[1].0.ends_with(":operator"), "{lines:?}");
    assert_eq!((&lines[1].2["verdict"], &lines[3].2["verdict"]), (&json!("approved"), &json!("declined")));
    gate.finish().await;
}

/// What is not in the log does not happen.
#[tokio::test]
async fn a_yes_that_can_not_be_written_down_is_a_no() {
    let gate = FakeGate::start().await;
    let key = gate.another_key("operator", &operator());
    std::os::unix::fs::symlink("/dev/full", gate.dir.path().join("audit/audit.jsonl")).unwrap();
    let asking = gate.approvals.ask(question(Profile::Work));
    let answering = async {
        let id = gate.approvals.waiting()[0].id.clone();
        let yes = gate
            .request_of(&key, "POST", &format!("/v1/approvals/{id}"))
            .json(&json!({"decision": "approve"}));
        assert_eq!(outcome(yes).await, (503, json!("unaudited")));
    };
    assert_eq!(tokio::join!(asking, answering).0, Verdict::Declined);
    gate.finish().await;
}

#[tokio::test]
async fn who_was_refused_is_written_down_in_a_few_lines() {
    let gate = FakeGate::start().await;
    for _ in 0..50 {
        assert_eq!(outcome(gate.request_of("pcl_wrong", "GET", "/v1/models")).await.0, 401);
        assert_eq!(outcome(gate.request("GET", "/v1/approvals")).await, (403, json!("scope_not_granted")));
    }
    let post = json!({"decision": "approve"});
    assert_eq!(
        outcome(gate.request("POST", "/v1/approvals/x").json(&post)).await,
        (403, json!("scope_not_granted"))
    );
    let wide = gate.request("GET", "/v1/models").header("x-portcullis-profile", "work");
    assert_eq!(outcome(wide).await, (403, json!("profile_not_allowed")));
    let narrow =
        gate.another_key("narrow", &Grant { models: ["house-model".to_owned()].into(), ..Grant::default() });
    let chat = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]});
    let model = gate.request_of(&narrow, "POST", "/v1/chat/completions").json(&chat);
    assert_eq!(outcome(model).await, (403, json!("model_not_allowed")));
    gate.audit.close().await;
    let mut refused: Vec<_> = audited(&gate)
        .into_iter()
        .map(|(who, event, fields)| {
            let who = who.split_once(':').map_or(who.as_str(), |(_, name)| name);
            format!("{who} {event} {} {} {}", fields["why"], fields["wanted"], fields["count"])
        })
        .collect();
    refused.sort();
    assert_eq!(
        refused,
        [
            "narrow refused \"model\" \"gpt-5.5\" 1",
            "test refused \"profile\" \"work\" 1",
            "test refused \"scope\" \"operator\" 51",
            "unknown refused \"authentication\" null 50",
        ]
    );
    gate.finish().await;
}
