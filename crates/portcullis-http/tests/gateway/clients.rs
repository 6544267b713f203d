//! The official clients, run against the gateway as their users run them. The scripts are in `tests/clients`: each
//! runs one scenario with its client's own idioms and checks what the client saw; here is what the model answers,
//! and what reached it.

use std::process::Stdio;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_lab::{Answer, ToolCall};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
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

const LANGCHAIN: Client = Client {
    script: "python/langchain_client.py",
    arguments: as_python_writes,
    city: plain_city,
    ..OPENAI_PYTHON
};

const LITELLM: Client = Client { script: "python/litellm_client.py", city: plain_city, ..OPENAI_PYTHON };

const PYDANTIC_AI: Client = Client {
    script: "python/pydantic_ai_client.py",
    person: || with(plain_person(), json!({"additionalProperties": false})),
    ..OPENAI_PYTHON
};

const LLM: Client = Client {
    script: "python/llm_client.py",
    arguments: as_python_writes,
    person: || with(plain_person(), json!({"additionalProperties": false})),
    city: plain_city,
    repeats: 2,
};

const OPENAI_NODE: Client = Client {
    script: "node/openai_sdk.mjs",
    arguments: verbatim,
    person: zod_person,
    city: plain_city,
    repeats: 0,
};

const AI_SDK: Client = Client {
    script: "node/ai_sdk.mjs",
    arguments: as_javascript_writes,
    // It sends `$schema` too; Codex leaves it out.
    city: || with(plain_city(), json!({"additionalProperties": false})),
    ..OPENAI_NODE
};

const RESPONSES_PYTHON: Client = Client { script: "python/responses_sdk.py", ..OPENAI_PYTHON };
const RESPONSES_NODE: Client = Client {
    script: "node/responses_sdk.mjs",
    city: || with(plain_city(), json!({"additionalProperties": false})),
    ..OPENAI_NODE
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

run! {
    openai_python OPENAI_PYTHON:
        chat stream stream_helper parse tools tools_stream image history errors models several stop max_tokens
        reasoning;
    langchain LANGCHAIN:
        chat stream parse tools tools_stream image history errors several stop max_tokens reasoning;
    litellm LITELLM:
        chat stream parse
        tools
        tools_stream image history
        bad_key
        errors several stop max_tokens reasoning;
    pydantic_ai PYDANTIC_AI:
        chat stream parse parse_tool tools tools_stream image history errors stop max_tokens reasoning;
    llm LLM:
        chat stream parse tools tools_stream image log errors stop max_tokens
        effort;
    openai_node OPENAI_NODE:
        chat stream stream_helper parse tools tools_stream image history errors models several stop max_tokens
        reasoning;
    ai_sdk AI_SDK:
        chat stream parse tools tools_stream image history errors stop max_tokens reasoning;
    responses_python RESPONSES_PYTHON:
        create items
        responses_stream
        responses_stream_helper
        parse parse_stream tools tools_replayed tools_stream background
        cancel
        retrieve_stream
        input_items delete conversations
        responses_errors
        langchain_invoke langchain_stream langchain_tools langchain_tools_stream langchain_tools_by_id
        agents agents_stream agents_by_id agents_typed;
    responses_node RESPONSES_NODE:
        create items
        responses_stream
        responses_stream_helper
        parse tools tools_replayed tools_stream background
        responses_errors
        ai_generate ai_stream ai_parse
        ai_tools
        ai_tools_stream
        ai_tools_not_kept ai_tools_not_kept_stream
        ai_conversation
        ai_conversation_not_kept;
}

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

async fn chat(client: &Client) {
    let request = hello(client, "chat", hello_answer()).await;
    assert_eq!(bare(&request["input"]), json!([developer("Be brief."), user("Say hello.")]));
    assert_eq!(request["tools"], json!([]));
}

async fn stream(client: &Client) {
    let request = hello(client, "stream", hello_answer()).await;
    assert_eq!(bare(&request["input"]), json!([developer("Be brief."), user("Say hello.")]));
}

async fn stream_helper(client: &Client) {
    hello(client, "stream_helper", hello_answer()).await;
}

async fn parse(client: &Client) {
    let request = hello(client, "parse", Answer::text(["{\"name\":\"Ada\",", "\"age\":36}"])).await;
    assert_eq!(bare(&request["input"]), json!([user("Extract: Ada is 36.")]));
    let format = json!({
        "type": "json_schema", "strict": true, "name": "codex_output_schema", "schema": (client.person)(),
    });
    assert_eq!(request["text"]["format"], format);
}

/// Structured output by a tool that must be called.
async fn parse_tool(client: &Client) {
    let call = ToolCall::new("call_p", "final_result", "{\"name\":\"Ada\",\"age\":36}");
    let request = hello(client, "parse_tool", Answer::tool_calls([call])).await;
    assert_eq!(bare(&request["input"]), json!([user("Extract: Ada is 36.")]));
    let tool = &request["tools"][0];
    assert_eq!((&tool["name"], &tool["parameters"]), (&json!("final_result"), &(client.person)()));
}

async fn tools(client: &Client) {
    round_trip(client, "tools").await;
}

async fn tools_stream(client: &Client) {
    round_trip(client, "tools_stream").await;
}

async fn round_trip(client: &Client, scenario: &str) {
    let gate = TestGate::start().await;
    let arguments = ["Paris", "Rome"].map(client.arguments);
    let calls = [
        ToolCall::new("call_a", "get_weather", &arguments[0]),
        ToolCall::new("call_b", "get_weather", &arguments[1]),
    ];
    gate.model.enqueue(Answer::tool_calls(calls).with_text_before(["Let me ", "look."]));
    gate.model.enqueue(Answer::text(["Sun and ", "rain."]));
    client.run(&gate, scenario).await;

    let requests = gate.model.requests();
    assert_eq!(requests.len(), 2);
    let offered = json!([{
        "type": "function",
        "name": "get_weather",
        "description": "The weather in a city.",
        "strict": false,
        "parameters": (client.city)(),
    }]);
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "name": "get_weather", "arguments": arguments, "call_id": id});
    let output =
        |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    let asked = user("Weather in Paris and Rome?");
    assert_eq!(bare(&requests[0].body["input"]), json!([asked]));
    let answered = json!([
        asked,
        message("assistant", "output_text", "Let me look."),
        call("call_a", &arguments[0]),
        call("call_b", &arguments[1]),
        output("call_a", "sun in Paris"),
        output("call_b", "rain in Rome"),
    ]);
    assert_eq!(bare(&requests[1].body["input"]), answered);
    for request in &requests {
        assert_eq!(request.body["tools"], offered);
    }
    gate.finish().await;
}

async fn image(client: &Client) {
    const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let request = hello(client, "image", hello_answer()).await;
    let content = json!([
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PNG},
    ]);
    assert_eq!(bare(&request["input"]), json!([{"type": "message", "role": "user", "content": content}]));
}

fn told() -> Value {
    json!([
        developer("Be brief."),
        user("One."),
        message("assistant", "output_text", "Uno."),
        user("  Two? \u{1F600} "),
    ])
}

async fn history(client: &Client) {
    let request = hello(client, "history", hello_answer()).await;
    assert_eq!(bare(&request["input"]), told());
}

/// A history that the client wrote down itself, one answer at a time.
async fn log(client: &Client) {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Uno."]));
    gate.model.enqueue(hello_answer());
    client.run(&gate, "history").await;
    assert_eq!(bare(&gate.model.requests()[1].body["input"]), told());
    gate.finish().await;
}

async fn errors(client: &Client) {
    let gate = TestGate::start().await;
    let busy = json!({"error": {"message": "Slow down", "type": "requests", "param": null, "code": "rate_limit_exceeded"}});
    for _ in 0..=client.repeats {
        gate.model.enqueue(Answer::status(429, busy.clone()));
    }
    gate.model.enqueue(Answer::text(["Half ", "an ", "answer"]).every(Duration::from_millis(5)).cut_after(6));
    client.run(&gate, "errors").await;
    gate.finish().await;
}

/// Where it is not among the errors.
async fn bad_key(client: &Client) {
    let gate = TestGate::start().await;
    client.run(&gate, "bad_key").await;
    assert!(gate.model.requests().is_empty());
    gate.finish().await;
}

async fn models(client: &Client) {
    let gate = TestGate::start().await;
    let seen = client.run(&gate, "models").await;
    let listed: Value = gate.get("/v1/models").send().await.unwrap().json().await.unwrap();
    let names: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(seen["models"], json!(names));
    gate.finish().await;
}

async fn several(client: &Client) {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["one"]));
    gate.model.enqueue(Answer::text(["two"]));
    client.run(&gate, "several").await;
    for request in gate.model.requests() {
        assert_eq!(bare(&request.body["input"]), json!([user("Count.")]));
    }
    gate.finish().await;
}

async fn stop(client: &Client) {
    hello(client, "stop", Answer::text(["one ", "two ST", "OP three"])).await;
}

async fn max_tokens(client: &Client) {
    hello(client, "max_tokens", Answer::text(["one two", " three four", " five"])).await;
}

async fn reasoning(client: &Client) {
    let answer = Answer::reasoning(["Thinking ", "hard."], ["Hel", "lo ", "wörld"]);
    let request = hello(client, "reasoning", answer).await;
    assert_eq!(request["reasoning"], json!({"effort": "high", "summary": "auto"}));
}

/// A client without a way to ask for a summary.
async fn effort(client: &Client) {
    let request = hello(client, "reasoning", hello_answer()).await;
    assert_eq!(request["reasoning"], json!({"effort": "high"}));
}

/// Scenarios of the Responses API in which one question is asked and the model reads it as it was put.
macro_rules! questions {
    ($($scenario:ident $name:literal: $($item:expr),+;)+) => {$(
        async fn $scenario(client: &Client) {
            let request = hello(client, $name, hello_answer()).await;
            assert_eq!(bare(&request["input"]), json!([$($item),+]));
        }
    )+};
}

questions! {
    create "create": user("Say hello.");
    responses_stream "stream": developer("Be brief."), user("Say hello.");
    responses_stream_helper "stream_helper": developer("Be brief."), user("Say hello.");
    background "background": user("Say hello.");
    delete "delete": user("Say hello.");
    conversations "conversations": user("My name is Ada."), user("Say hello.");
    input_items "input_items": user("0"), user("1"), user("2"), user("3"), user("4");
    langchain_invoke "langchain_invoke": developer("Be brief."), user("Say hello.");
    langchain_stream "langchain_stream": developer("Be brief."), user("Say hello.");
    ai_generate "ai_generate": developer("Be brief."), user("Say hello.");
    ai_stream "ai_stream": developer("Be brief."), user("Say hello.");
}

async fn items(client: &Client) {
    let request = hello(client, "items", hello_answer()).await;
    assert_eq!(bare(&request["input"]), told());
}

async fn retrieve_stream(client: &Client) {
    hello(client, "retrieve_stream", hello_answer().every(Duration::from_millis(50))).await;
}

async fn cancel(client: &Client) {
    // It may be cancelled before the model is even asked.
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::text(["Once "]).hang());
    client.run(&gate, "cancel").await;
    gate.finish().await;
}

/// Structured output where the scenario is the client's and the answer is a person.
macro_rules! persons {
    ($($scenario:ident)+) => {$(
        async fn $scenario(client: &Client) {
            let answer = Answer::text(["{\"name\":\"Ada\",", "\"age\":36}"]);
            let request = hello(client, stringify!($scenario), answer).await;
            assert_eq!(request["text"]["format"]["type"], "json_schema");
            assert_eq!(request["input"].as_array().unwrap().last().map(|item| &item["content"][0]["text"]), Some(&json!("Extract: Ada is 36.")));
        }
    )+};
}

persons! { parse_stream ai_parse agents_typed }

/// Round trips of the Responses API: whichever way the client goes on, the model reads the same.
macro_rules! round_trips {
    ($($scenario:ident)+) => {$(
        async fn $scenario(client: &Client) {
            same_items(client, stringify!($scenario)).await;
        }
    )+};
}

round_trips! {
    tools_replayed langchain_tools langchain_tools_stream langchain_tools_by_id agents agents_stream agents_by_id
    ai_tools ai_tools_stream ai_tools_not_kept ai_tools_not_kept_stream
}

async fn same_items(client: &Client, scenario: &str) {
    let gate = TestGate::start().await;
    let calls = ["Paris", "Rome"].map(as_javascript_writes);
    let call = |id: &str, at: usize| ToolCall::new(id, "get_weather", &calls[at]);
    let answer =
        Answer::tool_calls([call("call_a", 0), call("call_b", 1)]).with_text_before(["Let me ", "look."]);
    gate.model.enqueue(answer.with_reasoning_before(["Hm."]));
    gate.model.enqueue(Answer::text(["Sun and ", "rain."]));
    client.run(&gate, scenario).await;
    let requests = gate.model.requests();
    assert_eq!(requests.len(), 2);
    let read = |item: &Value| match item["type"].as_str().unwrap() {
        "message" => format!("{} {}", item["role"], item["content"][0]["text"]),
        "function_call" => format!("{} {} {}", item["call_id"], item["name"], item["arguments"]),
        "function_call_output" => format!("{} {}", item["call_id"], item["output"]),
        "reasoning" => item["encrypted_content"].to_string(),
        other => panic!("nobody said this: {other}"),
    };
    let read: Vec<String> =
        requests[1].input().iter().filter(|item| item["role"] != "developer").map(read).collect();
    let want = [
        "\"user\" \"Weather in Paris and Rome?\"",
        "\"lab-sealed-rs_lab_0_0\"",
        "\"assistant\" \"Let me look.\"",
        r#""call_a" "get_weather" "{\"city\":\"Paris\"}""#,
        r#""call_b" "get_weather" "{\"city\":\"Rome\"}""#,
        "\"call_a\" \"sun in Paris\"",
        "\"call_b\" \"rain in Rome\"",
    ];
    assert_eq!(read, want);
    gate.finish().await;
}

async fn conversation(client: &Client, scenario: &str) {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Uno."]));
    gate.model.enqueue(hello_answer());
    client.run(&gate, scenario).await;
    let said = json!([user("One."), message("assistant", "output_text", "Uno."), user("Say hello.")]);
    assert_eq!(bare(&gate.model.requests()[1].body["input"]), said);
    gate.finish().await;
}

async fn ai_conversation(client: &Client) {
    conversation(client, "ai_conversation").await;
}

async fn ai_conversation_not_kept(client: &Client) {
    conversation(client, "ai_conversation_not_kept").await;
}

/// As of chat completions.
async fn responses_errors(client: &Client) {
    errors(client).await;
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

/// Events held against the types of OpenAI's own SDK; `faults` is what it finds.
async fn faults_of(events: &[Value], kinds: &[&str]) -> Vec<String> {
    let python = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/python");
    let mut lines = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    lines.push('\n');
    #[expect(clippy::disallowed_methods, reason = "a reader of what the gateway said, no child of it")]
    let mut child = Command::new(python.join(".venv/bin/python"))
        .arg(python.join("validate_events.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).await.unwrap();
    let done = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", done.status);
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(seen["responses"].as_u64().unwrap() >= 3, "{seen}");
    for kind in kinds {
        assert!(seen["events"].as_array().unwrap().contains(&json!(kind)), "there is no {kind}: {seen}");
    }
    let text = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    };
    // Not named by the SDK's types, and let through: `store`, and the `status` of a custom tool call.
    let named = [".response.store", ".item.status", ".output[].status"];
    let unknown = text(&seen["unknown"]).into_iter().filter(|f| !named.iter().any(|name| f.ends_with(name)));
    let unknown = unknown.map(|field| format!("unknown: {field}"));
    text(&seen["faults"]).into_iter().chain(unknown).collect()
}

/// The events of a response, as they come.
async fn told_of(gate: &TestGate, body: &Value) -> Vec<Value> {
    let url = format!("{}/v1/responses", gate.base);
    let text = gate.client.post(url).bearer_auth(&gate.key).json(body).send().await.unwrap().text().await;
    data_of(&text.unwrap())
}

fn data_of(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn asking(more: Value) -> Value {
    let body = json!({
        "model": "gpt-5.5", "input": "Hi", "stream": true,
        "instructions": "Be brief.", "metadata": {"a": "b"}, "max_output_tokens": 1000,
        "reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        ],
    });
    with(body, more)
}

async fn checked(answer: Answer, more: Value, kinds: &[&str]) {
    let gate = TestGate::start().await;
    gate.model.enqueue(answer);
    let events = told_of(&gate, &asking(more)).await;
    let faults = faults_of(&events, kinds).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_text_are_the_official_ones() {
    let kinds = ["response.output_text.delta", "response.output_text.done", "response.completed"];
    checked(hello_answer(), json!({}), &kinds).await;
    let format = json!({"type": "json_schema", "name": "person", "schema": plain_person(), "strict": true});
    let answer = Answer::text(["{\"name\":\"Ada\",\"age\":36}"]);
    checked(answer, json!({"text": {"format": format}, "tool_choice": "none"}), &kinds).await;
}

/// A summary of two parts, as the provider streams it.
fn two_thoughts() -> Answer {
    let event = |data: Value| (data["type"].as_str().unwrap().to_owned(), data);
    let thoughts = ["First.", "Second."];
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
    ];
    for (at, text) in thoughts.iter().enumerate() {
        let place = json!({"item_id": "rs_1", "output_index": 0, "summary_index": at});
        let part = json!({"type": "summary_text", "text": text});
        events.extend([
            with(place.clone(), json!({"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}})),
            with(place.clone(), json!({"type": "response.reasoning_summary_text.delta", "delta": text})),
            with(place.clone(), json!({"type": "response.reasoning_summary_text.done", "text": text})),
            with(place, json!({"type": "response.reasoning_summary_part.done", "part": part})),
        ]);
    }
    let summary = thoughts.map(|text| json!({"type": "summary_text", "text": text}));
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "sealed"});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]});
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    events.extend([
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": message}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ]);
    Answer::raw_events(events.into_iter().map(event).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_reasoning_are_the_official_ones() {
    let gate = TestGate::start().await;
    gate.model.enqueue(two_thoughts());
    let events = told_of(&gate, &asking(json!({}))).await;
    let kinds = [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ];
    let faults = faults_of(&events, &kinds).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    let parts = events.iter().filter(|event| event["type"] == "response.reasoning_summary_part.done");
    let parts: Vec<(&Value, &Value)> = parts.map(|e| (&e["summary_index"], &e["part"]["text"])).collect();
    assert_eq!(parts, [(&json!(0), &json!("First.")), (&json!(1), &json!("Second."))]);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_calls_are_the_official_ones() {
    let city = |id: &str| ToolCall::new(id, "get_weather", "{\"city\":\"Paris\"}");
    let kinds = ["response.function_call_arguments.delta", "response.function_call_arguments.done"];
    let answer = Answer::tool_calls([city("call_a"), city("call_b")]).with_text_before(["Let me look."]);
    checked(answer, json!({}), &kinds).await;
    let patch = ToolCall::new("call_p", "patch", "{\"input\":\"*** Begin\"}");
    let kinds = ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"];
    checked(Answer::tool_calls([patch]), json!({"tool_choice": {"type": "custom", "name": "patch"}}), &kinds)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_refusal_are_the_official_ones() {
    let kinds = ["response.refusal.delta", "response.refusal.done", "response.completed"];
    checked(Answer::refusal("I will not."), json!({}), &kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_failure_are_the_official_ones() {
    checked(Answer::text(["Half ", "an ", "answer"]).cut_after(6), json!({}), &["response.failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_what_is_incomplete_are_the_official_ones() {
    let kinds = ["response.incomplete"];
    checked(Answer::text(["As much"]).then_incomplete("max_output_tokens"), json!({}), &kinds).await;
    checked(Answer::text(["One two three four"]), json!({"max_output_tokens": 2}), &kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_the_background_are_the_official_ones() {
    checked(hello_answer(), json!({"background": true}), &["response.completed"]).await;

    // Cancelled; its events are read when it is over.
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Once "]).hang());
    let url = format!("{}/v1/responses", gate.base);
    let body = asking(json!({"background": true, "stream": false}));
    let begun = gate.client.post(&url).bearer_auth(&gate.key).json(&body).send().await.unwrap();
    let begun: Value = begun.json().await.unwrap();
    let path = format!("{url}/{}", begun["id"].as_str().unwrap());
    gate.model.wait_for_requests(1, LIMIT).await.unwrap();
    let cancelled = gate.client.post(format!("{path}/cancel")).bearer_auth(&gate.key).send().await.unwrap();
    assert_eq!(cancelled.json::<Value>().await.unwrap()["status"], "cancelled");
    let text = gate.client.get(format!("{path}?stream=true")).bearer_auth(&gate.key).send().await.unwrap();
    let events = data_of(&text.text().await.unwrap());
    let faults = faults_of(&events, &["response.created", "response.incomplete"]).await;
    assert!(faults.is_empty(), "{faults:#?}\n{events:#?}");
    gate.finish().await;
}
