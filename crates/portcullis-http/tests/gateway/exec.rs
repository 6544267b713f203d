//! Turns as processes of `codex exec`: what reached the model, what came back, and what is left.

use std::time::Duration;

use portcullis_codex::Runner;
use portcullis_lab::{Answer, ToolCall, Usage};
use serde_json::{Value, json};

use crate::chat::failures;
use crate::support::{Options, PATIENCE, TestGate, eventually, joined, question};

async fn start() -> TestGate {
    TestGate::with(Options { runner: Runner::Exec, turns: 4, ..Options::default() }).await
}

/// The directories of turns that run or were left behind.
fn homes(gate: &TestGate) -> usize {
    let entries = gate.dir().join("workers").read_dir_utf8().unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().starts_with("exec-")).count()
}

/// The same conversation as through an app-server: the model reads the same items.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_its_own_asks_the_model_the_same() {
    let body = json!({
        "model": "codex-high",
        "messages": [
            {"role": "system", "content": "Be brief.\n"},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": concat!(
                    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5",
                    "ErkJggg=="
                )}},
            ]},
            {"role": "assistant", "content": "A dot."},
            {"role": "developer", "content": "Now in German."},
            {"role": "user", "content": "  Again? \u{1F600} \n"},
        ],
        "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false
        }}},
    });
    let mut asked = Vec::new();
    for runner in [Runner::AppServer, Runner::Exec] {
        let gate = TestGate::with(Options { runner, ..Options::default() }).await;
        gate.model.enqueue(Answer::text(["{\"a\":", "\"Ein Punkt\"}"]));
        let (status, answer) = gate.ask(&body).await;
        assert_eq!(
            (status, &answer["choices"][0]["message"]["content"]),
            (200, &json!("{\"a\":\"Ein Punkt\"}"))
        );
        let mut request = gate.model.requests().remove(0).body;
        for item in request["input"].as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("id");
        }
        for of_codex in ["client_metadata", "prompt_cache_key"] {
            request.as_object_mut().unwrap().remove(of_codex);
        }
        asked.push(request);
        gate.finish().await;
    }
    let [app_server, exec] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(app_server, exec);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_whole_and_nothing_is_left() {
    let gate = start().await;
    let usage = Usage { input: 21, cached: 5, output: 9, reasoning: 4 };
    gate.model.enqueue(Answer::text(["Hel", "lo"]).usage(usage));
    let mut body = question("Hi");
    body["stream_options"] = json!({"include_usage": true});
    let (status, text) = gate.stream(&body).await;
    assert_eq!(status, 200);
    insta::assert_snapshot!("exec_stream", joined(&text));
    assert_eq!(homes(&gate), 0);

    // Four at once are four processes with four answers.
    gate.model
        .respond_with(|request| Answer::text([format!("you said {}", request.last_user_text().unwrap())]));
    let ask = async |word: &str| {
        let (status, answer) = gate.ask(&question(word)).await;
        assert_eq!(
            (status, &answer["choices"][0]["message"]["content"]),
            (200, &json!(format!("you said {word}")))
        );
    };
    tokio::join!(ask("a"), ask("b"), ask("c"), ask("d"));
    assert_eq!(homes(&gate), 0);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_can_not_do_is_refused_and_failures_keep_their_meaning() {
    let gate = start().await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let picture = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
    let cases: [(&str, Value); 2] =
        [("tools", tools), ("messages", json!([{"role": "user", "content": picture}]))];
    for (param, value) in cases {
        let mut body = question("Hi");
        body[param] = value;
        let (status, answer) = gate.ask(&body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{answer}");
        assert_eq!(answer["error"]["code"], "unsupported_by_runner");
    }
    assert_eq!(gate.model.requests().len(), 0);

    let mut seen = Vec::new();
    for answer in failures() {
        gate.model.enqueue(answer);
        let (status, body) = gate.ask(&question("Hi")).await;
        seen.push(format!("{status} {body}"));
    }
    insta::assert_snapshot!("exec_failures", seen.join("\n"));
    assert_eq!(homes(&gate), 0);
    gate.finish().await;
}

/// A client that leaves takes its process with it, and so does the gateway's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_process_with_it() {
    let gate = start().await;
    gate.model.respond_with(|_| Answer::text(["Half "]).hang());
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let gone = tokio::time::timeout(Duration::from_millis(1), gate.post(&body).send()).await;
    assert!(gone.is_err());
    eventually("nothing is left of a turn that nobody reads", async || homes(&gate) == 0).await;

    let asking = gate.post(&body).send();
    let asked = async {
        eventually("the model is asked", async || gate.model.open_streams() == 1).await;
        assert_eq!(homes(&gate), 1);
    };
    tokio::select! {
        _ = asking => panic!("the model hangs"),
        () = asked => {}
    }
    let index = gate.model.requests().len() - 1;
    gate.model.wait_for_close(index, PATIENCE).await.unwrap();
    eventually("its home is gone", async || homes(&gate) == 0).await;
    gate.finish().await;
}

/// A hostile model finds nothing in the process: whatever tool of Codex's it calls, the answer is the one of an app-server, where
/// there is nothing to run it in.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_calls_codexs_own_tools_runs_nothing() {
    const TOOLS: [&str; 16] = [
        "apply_patch",
        "container.exec",
        "exec_command",
        "image_gen",
        "js_repl",
        "list_mcp_resources",
        "local_shell",
        "read_mcp_resource",
        "request_permissions",
        "request_user_input",
        "shell",
        "shell_command",
        "spawn_agent",
        "view_image",
        "web_search",
        "write_stdin",
    ];
    let mut told = Vec::new();
    for runner in [Runner::AppServer, Runner::Exec] {
        let gate = TestGate::with(Options { runner, ..Options::default() }).await;
        let mark = gate.dir().join("mark");
        let arguments = json!({
            "cmd": format!("/bin/touch {mark}"), "command": ["/bin/touch", mark], "input": "*** Begin Patch", "path": mark,
        });
        let call = |name: &&str| ToolCall::new(format!("call_{name}"), *name, arguments.to_string());
        gate.model.enqueue(Answer::tool_calls(TOOLS.iter().map(call)));
        gate.model.enqueue(Answer::text(["nothing"]));
        let (status, answer) = gate.ask(&question("Hi")).await;
        assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("nothing")));
        assert!(!mark.exists());
        let second = gate.model.requests().remove(1);
        let outputs = second.input().iter().filter(|item| item["type"] == "function_call_output");
        told.push(outputs.map(|item| format!("{} {}", item["call_id"], item["output"])).collect::<Vec<_>>());
        gate.finish().await;
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1].len(), TOOLS.len());
    insta::assert_snapshot!("exec_tools", told[1].join("\n"));
}
