//! What a key may do: its scopes, models, profiles and end.

use jiff::ToSpan as _;
use portcullis_access::{Grant, Scope};
use portcullis_agent::Profile;
use serde_json::{Value, json};

use crate::fake::{FakeGate, outcome};
use crate::support::{Options, question};

fn granted(grant: Grant) -> Options {
    Options { grant, ..Options::default() }
}

/// Every route that needs a key, and its scope.
const ROUTES: [(&str, &str, Scope); 30] = [
    ("GET", "/v1/models", Scope::Inference),
    ("GET", "/v1/models/codex", Scope::Inference),
    ("POST", "/v1/chat/completions", Scope::Inference),
    ("POST", "/v1/responses", Scope::Inference),
    ("POST", "/v1/responses/compact", Scope::Inference),
    ("POST", "/v1/responses/input_tokens", Scope::Inference),
    ("GET", "/v1/responses/resp_1", Scope::Inference),
    ("DELETE", "/v1/responses/resp_1", Scope::Inference),
    ("POST", "/v1/responses/resp_1/cancel", Scope::Inference),
    ("GET", "/v1/responses/resp_1/input_items", Scope::Inference),
    ("POST", "/v1/conversations", Scope::Inference),
    ("GET", "/v1/conversations/conv_1", Scope::Inference),
    ("POST", "/v1/conversations/conv_1", Scope::Inference),
    ("DELETE", "/v1/conversations/conv_1", Scope::Inference),
    ("GET", "/v1/conversations/conv_1/items", Scope::Inference),
    ("POST", "/v1/conversations/conv_1/items", Scope::Inference),
    ("GET", "/v1/conversations/conv_1/items/i", Scope::Inference),
    ("DELETE", "/v1/conversations/conv_1/items/i", Scope::Inference),
    ("GET", "/v1/images", Scope::Images),
    ("POST", "/v1/images/generations", Scope::Images),
    ("POST", "/v1/images/edits", Scope::Images),
    ("POST", "/v1/images/variations", Scope::Images),
    ("GET", "/v1/capabilities", Scope::Images),
    ("POST", "/v1/images/generate", Scope::Images),
    ("GET", "/v1/images/img_1/file", Scope::Images),
    ("DELETE", "/v1/images/img_1/file", Scope::Images),
    ("GET", "/metrics", Scope::Metrics),
    ("GET", "/v1/usage", Scope::Inference),
    ("GET", "/v1/approvals", Scope::Operator),
    ("POST", "/v1/approvals/1", Scope::Operator),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_routes_of_its_scopes_and_no_others() {
    let gate = FakeGate::start().await;
    for scope in Scope::ALL {
        let key = gate.another_key(scope.word(), &Grant { scopes: [scope].into(), ..Grant::default() });
        for (method, path, needed) in ROUTES {
            let (status, code) = outcome(gate.request_of(&key, method, path)).await;
            let refused = (status, code.as_str()) == (403, Some("scope_not_granted"));
            // Everybody who can cause costs sees them, and so does the operator.
            let opens = scope == needed || path == "/v1/usage" && scope != Scope::Metrics;
            assert_eq!(refused, !opens, "{scope}: {method} {path} {status} {code}");
            assert_ne!(status, 401);
            let nobody = gate.client.request(method.parse().unwrap(), format!("{}{path}", gate.base));
            // What image plug-ins know has a word of its own for it.
            let plugins = ["/v1/capabilities", "/v1/images/generate", "/v1/images/img_1/file"];
            let word = if plugins.contains(&path) { "unauthorized" } else { "invalid_api_key" };
            assert_eq!(outcome(nobody).await, (401, json!(word)), "{method} {path}");
        }
    }
    let table = include_str!("../../src/router.rs");
    let listed =
        table.matches("get(").count() + table.matches("post(").count() + table.matches("delete(").count();
    assert_eq!(
        listed,
        ROUTES.len() + ["/livez", "/readyz", "/healthz"].len(),
        "a route is not in the list of this test"
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_models_and_no_others() {
    let grant = Grant { models: ["codex".to_owned(), "house-model".to_owned()].into(), ..Grant::default() };
    let gate = FakeGate::with(granted(grant)).await;
    let models: Value = gate.request("GET", "/v1/models").send().await.unwrap().json().await.unwrap();
    let names: Vec<_> =
        models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["house-model", "codex"]);
    for (model, expected) in [
        ("codex", (200, Value::Null)),
        ("house-model", (200, Value::Null)),
        // The model behind an alias that is allowed, under its own name and under another alias.
        ("gpt-5.5", (403, json!("model_not_allowed"))),
        ("codex-high", (403, json!("model_not_allowed"))),
        ("no-such-model", (404, json!("model_not_found"))),
    ] {
        let chat = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
        assert_eq!(outcome(gate.post("/v1/chat/completions", &chat)).await, expected, "{model}");
        let response = json!({"model": model, "input": "Hi"});
        assert_eq!(outcome(gate.post("/v1/responses", &response)).await, expected, "{model}");
        assert_eq!(outcome(gate.request("GET", &format!("/v1/models/{model}"))).await, expected, "{model}");
    }
    // The name of a model lets every alias of it pass.
    let key = gate.another_key("own", &Grant { models: ["gpt-5.5".to_owned()].into(), ..Grant::default() });
    let body = json!({"model": "codex-high", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(outcome(gate.request_of(&key, "POST", "/v1/chat/completions").json(&body)).await.0, 200);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_ask_for_less_than_its_key_and_for_no_more() {
    let gate = FakeGate::with(granted(Grant { profile: Profile::Read, ..Grant::default() })).await;
    let chat_key = gate.another_key("chat", &Grant::default());
    let work_key = gate.another_key("work", &Grant { profile: Profile::Work, ..Grant::default() });
    // The alias `reader` is for `read`.
    let cases = [
        (&gate.key, "codex", None, Ok(Profile::Read)),
        (&gate.key, "codex", Some("chat"), Ok(Profile::Chat)),
        (&gate.key, "codex", Some("read"), Ok(Profile::Read)),
        (&gate.key, "codex", Some("work"), Err((403, "profile_not_allowed"))),
        (&gate.key, "codex", Some("Chat"), Err((400, "unknown_profile"))),
        (&gate.key, "codex", Some(""), Err((400, "unknown_profile"))),
        (&chat_key, "codex", None, Ok(Profile::Chat)),
        (&chat_key, "codex", Some("read"), Err((403, "profile_not_allowed"))),
        (&chat_key, "reader", None, Err((403, "profile_not_allowed"))),
        (&work_key, "codex", None, Ok(Profile::Work)),
        (&work_key, "reader", None, Ok(Profile::Read)),
        (&work_key, "reader", Some("chat"), Ok(Profile::Chat)),
        (&work_key, "reader", Some("work"), Err((403, "profile_not_allowed"))),
    ];
    for (key, model, header, expected) in cases {
        let bodies = [
            (
                "/v1/chat/completions",
                json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]}),
            ),
            ("/v1/responses", json!({"model": model, "input": "Hi"})),
        ];
        for (path, body) in bodies {
            let mut request = gate.request_of(key, "POST", path).json(&body);
            if let Some(word) = header {
                request = request.header("x-portcullis-profile", word);
            }
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let told = response.headers().get("x-portcullis-profile").cloned();
            let answer: Value = response.json().await.unwrap();
            match expected {
                Ok(profile) => {
                    assert_eq!(status, 200, "{model} {header:?}: {answer}");
                    assert_eq!(told.unwrap(), profile.word());
                    assert_eq!(gate.agent.asked().last().unwrap().profile, profile, "{model} {header:?}");
                }
                Err(refused) => {
                    assert_eq!(
                        (status, answer["error"]["code"].as_str().unwrap()),
                        refused,
                        "{model} {header:?}"
                    );
                }
            }
        }
    }
    // An alias that is wider than the key is not offered to it.
    let aliases = async |key: &str| {
        let models: Value =
            gate.request_of(key, "GET", "/v1/models").send().await.unwrap().json().await.unwrap();
        models.to_string().contains("\"reader\"")
    };
    assert!(aliases(&work_key).await && !aliases(&chat_key).await);
    gate.finish().await;
}

/// What was said in one profile is never read by a turn in another.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_does_not_cross_profiles() {
    let gate = FakeGate::with(granted(Grant { profile: Profile::Work, ..Grant::default() })).await;
    let respond = async |profile: &str, body: Value| {
        let request = gate.post("/v1/responses", &body).header("x-portcullis-profile", profile);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let (_, first) = respond("work", json!({"model": "codex", "input": "the secret plan"})).await;
    let id = first["id"].as_str().unwrap().to_owned();
    let goes_on = |id: &str| json!({"model": "codex", "input": "go on", "previous_response_id": id});
    for profile in ["chat", "read"] {
        let (status, refused) = respond(profile, goes_on(&id)).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("previous_response_not_found")));
        let item = first["output"][0]["id"].as_str().unwrap();
        let by_id = json!({"model": "codex", "input": [{"type": "item_reference", "id": item}]});
        let (status, refused) = respond(profile, by_id).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("item_not_found")));
    }
    assert_eq!(respond("work", goes_on(&id)).await.0, 200);
    assert_eq!(gate.agent.asked().last().unwrap().history.len(), 3);

    // A conversation belongs to the profile of the request that made it.
    let made = gate.post("/v1/conversations", &json!({})).header("x-portcullis-profile", "read").send();
    let made: Value = made.await.unwrap().json().await.unwrap();
    let conversation = made["id"].as_str().unwrap();
    let talk = || json!({"model": "codex", "input": "Hi", "conversation": conversation});
    assert_eq!(respond("work", talk()).await.0, 404);
    assert_eq!(respond("read", talk()).await.0, 200);

    // Its owner can read and delete it whatever the profile; a key that is narrower can not.
    let narrow = gate.another_key("narrow", &Grant::default());
    for path in [format!("/v1/responses/{id}"), format!("/v1/conversations/{conversation}")] {
        assert_eq!(outcome(gate.request_of(&narrow, "GET", &path)).await.0, 404);
        assert_eq!(outcome(gate.request("GET", &path)).await.0, 200);
        assert_eq!(outcome(gate.request("DELETE", &path)).await.0, 200);
        assert_eq!(outcome(gate.request("GET", &path)).await.0, 404);
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_is_refused_and_told_so() {
    let gate = FakeGate::start().await;
    let expired = Some(jiff::Timestamp::now() - 1.second());
    let key = gate.another_key("old", &Grant { expires: expired, ..Grant::default() });
    let refused = outcome(gate.request_of(&key, "POST", "/v1/chat/completions").json(&question("Hi"))).await;
    assert_eq!(refused, (401, json!("expired_api_key")));
    assert!(gate.agent.asked().is_empty());
    gate.finish().await;
}
