use std::time::Instant;

use http::{HeaderMap, Method};
use serde_json::json;

use super::*;
use crate::Step;

fn received(body: Value) -> Received {
    Received {
        index: 3,
        at: Instant::now(),
        method: Method::POST,
        path: "/v1/responses".to_owned(),
        headers: HeaderMap::new(),
        body,
    }
}

/// The finished items and the usage: what a client is left with.
fn said(body: Value) -> Value {
    let steps = answer(&received(body)).steps(3, "demo");
    let Some(Step::Event { data, .. }) = steps.last() else { panic!("{steps:?}") };
    let response = &data["response"];
    let items = response["output"].as_array().unwrap();
    let items: Vec<Value> = items
        .iter()
        .map(|item| match item["type"].as_str() {
            Some("message") => item["content"][0]["text"].clone(),
            _ => json!([item["call_id"], item["name"], item["arguments"]]),
        })
        .collect();
    json!([items, response["usage"]["input_tokens"], response["usage"]["output_tokens"]])
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

#[test]
fn the_demo_says_this() {
    let weather = json!({"type": "function", "name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}}, "required": ["city"],
    }});
    let namespaced = json!({"type": "additional_tools", "role": "developer", "tools": [
        {"type": "namespace", "name": "functions", "tools": [weather, {"type": "function", "name": "send_mail"}]},
    ]});
    let call = json!({"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "sunny,  21 °C"});
    let schema = json!({"format": {"type": "json_schema", "schema": {
        "type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}, "required": ["n", "s"],
    }}});
    let introduced = json!({"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": format!("{INTRODUCTION} You asked: “hi”.")},
    ]});
    let cases = [
        ("plain string", json!({"input": "what is 12*7?"})),
        (
            "instructions",
            json!({
                "instructions": "Be kind.",
                "input": [{"type": "message", "role": "developer", "content": "Be brief."}, user("hello\n  there")],
            }),
        ),
        ("second turn", json!({"input": [user("hi"), introduced, user("again")]})),
        ("long", json!({"input": [user(&"ab ".repeat(100))]})),
        ("nothing", json!({})),
        ("tools not mentioned", json!({"input": [namespaced, user("hello")]})),
        ("tool mentioned", json!({"input": [namespaced, user("How is the weather?")]})),
        ("top-level tool", json!({"tools": [weather], "input": [user("get_weather please")]})),
        ("tool output", json!({"tools": [weather], "input": [user("weather?"), call, output]})),
        (
            "two outputs",
            json!({"input": [user("weather?"), output, {
                "type": "function_call_output", "output": [{"type": "input_text", "text": "rain"}],
            }]}),
        ),
        (
            "output of an earlier turn",
            json!({"input": [user("weather?"), call, output, introduced, user("thanks")]}),
        ),
        ("schema", json!({"text": schema, "input": [user("hello")]})),
        ("schema after tool", json!({"text": schema, "input": [user("weather?"), call, output]})),
    ];
    let all = cases.map(|(name, body)| format!("{name}:\n  {}", said(body)));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn it_streams_word_by_word() {
    let steps = answer(&received(json!({"input": "hi"}))).steps(0, "demo");
    let delays = steps.iter().filter(|step| **step == Step::Delay(EVERY_WORD)).count();
    let deltas = steps
        .iter()
        .filter(|step| matches!(step, Step::Event { name, .. } if name == "response.output_text.delta"));
    assert_eq!((delays, deltas.count()), (34, 34));
}
