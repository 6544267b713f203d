//! Other settings while the gateway runs: they hold for the next request.

use std::sync::Arc;
use std::time::Duration;

use portcullis_http::{Alias, Settings};
use portcullis_openai::chat::Sampling;
use serde_json::{Value, json};

use crate::fake::{FakeGate, outcome};

type Change = fn(&mut Settings);
type Ask<'a> = Box<dyn Fn(&FakeGate) -> reqwest::RequestBuilder + 'a>;

/// A setting, a request that tells, and its answer before and afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_is_treated_as_the_new_settings_say() {
    let gate = FakeGate::start().await;
    let body = json!({"model": "codex", "messages": [{"role": "user", "content": "Hi"}]});
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    let chat = |body: Value| -> Ask<'_> { Box::new(move |gate| gate.post("/v1/chat/completions", &body)) };
    let named: Ask<'_> = Box::new(|gate| gate.request("GET", "/v1/models").header("host", "other.example"));
    let responses: Ask<'_> =
        Box::new(|gate| gate.post("/v1/responses", &json!({"model": "swift", "input": "Hi"})));
    let fine = (200, Value::Null);
    let table: [(Change, Ask<'_>, _, _); 6] = [
        (
            |settings| {
                let alias = Alias { model: "gpt-5.5".to_owned(), effort: None, profile: None };
                settings.aliases.insert("swift".to_owned(), alias);
            },
            responses,
            (404, json!("model_not_found")),
            fine.clone(),
        ),
        (
            |settings| settings.entrance.hosts = vec!["other.example".to_owned()],
            named,
            (421, json!("unknown_host")),
            fine.clone(),
        ),
        (
            |settings| settings.sampling = Sampling::Reject,
            chat(with("temperature", json!(0.5))),
            fine.clone(),
            (400, json!("unsupported_parameter")),
        ),
        (|settings| settings.chat.messages = 0, chat(body.clone()), fine.clone(), (400, Value::Null)),
        (
            |settings| settings.body_limit = 10,
            chat(body.clone()),
            (400, Value::Null),
            (413, json!("request_too_large")),
        ),
        (
            |settings| (settings.body_limit, settings.chat.messages) = (1 << 20, 9),
            chat(body.clone()),
            (413, json!("request_too_large")),
            fine.clone(),
        ),
    ];
    for (number, (change, ask, before, after)) in table.into_iter().enumerate() {
        assert_eq!(outcome(ask(&gate)).await, before, "{number}");
        gate.settings.send_modify(|settings| change(Arc::make_mut(settings)));
        assert_eq!(outcome(ask(&gate)).await, after, "{number}");
    }
    gate.settings.send_modify(|settings| Arc::make_mut(settings).deadline = Duration::from_secs(77));
    assert_eq!(outcome(gate.post("/v1/chat/completions", &body)).await, fine);
    assert_eq!(gate.agent.asked().last().unwrap().options.deadline, Duration::from_secs(77));
    gate.finish().await;
}
