//! Scenarios of chat completions.

use std::time::Duration;

use portcullis_lab::{Answer, ToolCall};
use serde_json::{Value, json};

use super::{
    Client, OPENAI_NODE, OPENAI_PYTHON, as_javascript_writes, as_python_writes, bare, developer, hello,
    hello_answer, message, plain_city, plain_person, user, with,
};
use crate::support::TestGate;

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

const AI_SDK: Client = Client {
    script: "node/ai_sdk.mjs",
    arguments: as_javascript_writes,
    // It sends `$schema` too; Codex leaves it out.
    city: || with(plain_city(), json!({"additionalProperties": false})),
    ..OPENAI_NODE
};

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

pub(super) async fn parse(client: &Client) {
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

pub(super) async fn tools(client: &Client) {
    round_trip(client, "tools").await;
}

pub(super) async fn tools_stream(client: &Client) {
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

pub(super) fn told() -> Value {
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

pub(super) async fn errors(client: &Client) {
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
