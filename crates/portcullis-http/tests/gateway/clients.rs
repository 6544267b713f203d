//! The official clients, run against the gateway as their users run them. The scripts are in `tests/clients`: each
//! runs one scenario with its client's own idioms and checks what the client saw; here is what the model answers,
//! and what reached it.

use std::process::Stdio;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_lab::Answer;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::TestGate;

/// How long a script may take; the slowest client takes a few seconds to import.
const LIMIT: Duration = Duration::from_mins(1);

/// Who is asking. Where clients differ in what they send, this says how.
struct Client {
    /// The script, under `tests/clients`.
    script: &'static str,
    /// How it writes a call's arguments when it sends them back: as they came, or in its own way.
    arguments: fn(&str) -> String,
    /// The schema that it makes of a person with a name and an age.
    person: fn() -> Value,
    /// The schema that it makes of a function with one city.
    city: fn() -> Value,
    /// How often it asks again when the model is busy.
    repeats: usize,
}

const OPENAI_PYTHON: Client = Client {
    script: "python/openai_sdk.py",
    arguments: verbatim,
    person: || with(pydantic_person(), json!({"additionalProperties": false})),
    city: || with(plain_city(), json!({"additionalProperties": false})),
    repeats: 0,
};

const OPENAI_NODE: Client = Client {
    script: "node/openai_sdk.mjs",
    arguments: verbatim,
    person: zod_person,
    city: plain_city,
    repeats: 0,
};

/// One test for each client and each scenario that it has.
macro_rules! run {
    ($($name:ident $client:ident: $($(#[$meta:meta])* $scenario:ident)+;)+) => {$(
        mod $name {
            $(
                $(#[$meta])*
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    super::$scenario(&super::$client).await;
                }
            )+
        }
    )+};
}

mod chat;
mod events;
mod responses;

impl Client {
    async fn run(&self, gate: &TestGate, scenario: &str) -> Value {
        run_script(self.script, gate, scenario).await
    }
}

/// Runs a scenario of a script and returns what the script says that its client saw.
pub(crate) async fn run_script(script_name: &str, gate: &TestGate, scenario: &str) -> Value {
    let clients = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let script = clients.join(script_name);
    let python = clients.join("python/.venv/bin/python");
    let (program, installed) = match script.extension() {
        Some("py") => (python.clone(), python),
        _ => (Utf8PathBuf::from("node"), clients.join("node/node_modules/openai")),
    };
    assert!(installed.exists(), "{installed} is missing; `make clients` brings it");
    let home = gate.dir().join("home");
    std::fs::create_dir_all(&home).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, no child of it")]
    let mut command = Command::new(&program);
    command
        .arg(&script)
        .arg(scenario)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", clients.join("python/.venv/bin")))
        .env("LANG", "C.UTF-8")
        .env("HOME", &home)
        .env("BASE_URL", format!("{}/v1", gate.base))
        .env("API_KEY", &gate.key)
        .current_dir(&home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = tokio::time::timeout(LIMIT, command.output())
        .await
        .unwrap_or_else(|_| panic!("{script_name} {scenario} took longer than {LIMIT:?}"))
        .unwrap_or_else(|error| panic!("{program} could not be started: {error}"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{} {scenario}: {}\n{out}\n{err}", script_name, done.status);
    serde_json::from_str(out.trim_end().lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{script_name} {scenario}: {error}\n{out}\n{err}"))
}

async fn hello(client: &Client, scenario: &str, answer: Answer) -> Value {
    let gate = TestGate::start().await;
    gate.model.enqueue(answer);
    client.run(&gate, scenario).await;
    let request = gate.model.requests().remove(0).body;
    gate.finish().await;
    request
}

fn hello_answer() -> Answer {
    Answer::text(["Hel", "lo ", "wörld"])
}

fn message(role: &str, kind: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

fn user(text: &str) -> Value {
    message("user", "input_text", text)
}

fn developer(text: &str) -> Value {
    message("developer", "input_text", text)
}

/// What is said, without what the provider and Codex note beside it.
fn bare(input: &Value) -> Value {
    let mut input = input.clone();
    for item in input.as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        item.remove("id");
        item.remove("status");
        for part in item.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            part.as_object_mut().unwrap().remove("annotations");
        }
    }
    input
}

/// As no client would write it by itself.
fn verbatim(city: &str) -> String {
    format!("{{ \"city\":\n\"{city}\" }}")
}

fn as_python_writes(city: &str) -> String {
    format!("{{\"city\": \"{city}\"}}")
}

fn as_javascript_writes(city: &str) -> String {
    format!("{{\"city\":\"{city}\"}}")
}

fn plain_city() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn plain_person() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    })
}

fn pydantic_person() -> Value {
    let mut person = with(plain_person(), json!({"title": "Person"}));
    person["properties"]["name"]["title"] = json!("Name");
    person["properties"]["age"]["title"] = json!("Age");
    person
}

fn zod_person() -> Value {
    let schema = json!({"additionalProperties": false, "$schema": "http://json-schema.org/draft-07/schema#"});
    let mut person = with(plain_person(), schema);
    person["properties"]["age"] = json!({"type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64});
    person
}

fn with(mut value: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("members: {more}") };
    value.as_object_mut().unwrap().extend(more);
    value
}
