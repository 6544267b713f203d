//! Scenarios of the Responses API; where its clients do the same as others, the scenario is theirs.

use std::time::Duration;

use portcullis_lab::{Answer, ToolCall};
use serde_json::{Value, json};

use super::chat::{errors, parse, told, tools, tools_stream};
use super::{
    Client, OPENAI_NODE, OPENAI_PYTHON, as_javascript_writes, bare, developer, hello, hello_answer, message,
    plain_city, user, with,
};
use crate::support::TestGate;

const RESPONSES_PYTHON: Client = Client { script: "python/responses_sdk.py", ..OPENAI_PYTHON };
const RESPONSES_NODE: Client = Client {
    script: "node/responses_sdk.mjs",
    city: || with(plain_city(), json!({"additionalProperties": false})),
    ..OPENAI_NODE
};

run! {
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
