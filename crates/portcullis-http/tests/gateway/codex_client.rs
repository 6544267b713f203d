//! The real Codex CLI as a client of the gateway: `codex exec` with a provider of the user's own.

use std::process::{Output, Stdio};
use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_lab::{Answer, ModelServer, ToolCall};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{TestGate, pinned_codex};

/// How long `codex exec` may take.
const LIMIT: Duration = Duration::from_mins(1);

/// Fewer tools to look at.
const WITHOUT_AGENTS: &str = "agents.enabled = false";

/// A user's Codex: a home, a working directory, and the provider that its configuration names.
struct Codex {
    dir: camino_tempfile::Utf8TempDir,
    key: String,
}

impl Codex {
    fn new(base: &str, key: &str, more: &str) -> Self {
        let dir = camino_tempfile::tempdir().unwrap();
        for name in ["home", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let config = format!(
            r#"
                model = "gpt-5.5"
                model_provider = "portcullis"
                web_search = "disabled"
                check_for_update_on_startup = false
                {more}

                [analytics]
                enabled = false

                [model_providers.portcullis]
                name = "Portcullis"
                base_url = "{base}/v1"
                wire_api = "responses"
                env_key = "PORTCULLIS_KEY"
                requires_openai_auth = false
                supports_websockets = false
                request_max_retries = 0
                stream_max_retries = 0
            "#
        );
        std::fs::write(dir.path().join("home/config.toml"), config).unwrap();
        Self { dir, key: key.to_owned() }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.dir.path().join(name)
    }

    /// What `codex exec` does with a prompt: its events, one line each.
    async fn exec(&self, prompt: &str) -> (Output, Vec<Value>) {
        self.run(&["exec", "--json", "--skip-git-repo-check", "-s", "workspace-write", prompt]).await
    }

    /// The same, in a new process that goes on with the last session.
    async fn resume(&self, prompt: &str) -> (Output, Vec<Value>) {
        self.run(&["exec", "resume", "--last", "--json", "--skip-git-repo-check", prompt]).await
    }

    async fn run(&self, args: &[&str]) -> (Output, Vec<Value>) {
        let binary = pinned_codex().await.path;
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, no child of it")]
        let mut command = Command::new(&binary);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("CODEX_HOME", self.path("home"))
            .env("PORTCULLIS_KEY", &self.key)
            .current_dir(self.path("work"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = tokio::time::timeout(LIMIT, command.output())
            .await
            .unwrap_or_else(|_| panic!("codex exec took longer than {LIMIT:?}"))
            .unwrap_or_else(|error| panic!("{binary} could not be started: {error}"));
        let out = String::from_utf8_lossy(&done.stdout);
        let events = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (done, events)
    }
}

/// An answer with one finished item and nothing else.
fn item(item: &Value) -> Answer {
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ];
    Answer::raw_events(events.map(|event| (event["type"].as_str().unwrap().to_owned(), event.clone())).into())
}

/// The model calls the function where the gateway's Codex offers it: in a namespace, as it keeps the name.
fn exec_command(call_id: &str, cmd: &str) -> Answer {
    item(&json!({
        "type": "function_call", "id": format!("fc_{call_id}"), "call_id": call_id, "name": "exec_command",
        "namespace": "client", "arguments": json!({"cmd": cmd}).to_string(), "status": "completed",
    }))
}

fn names(tools: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    tools.iter().map(|tool| format!("{} {}", word(&tool["type"]), word(&tool["name"]))).collect()
}

fn messages(events: &[Value]) -> Vec<&str> {
    let items = events.iter().filter(|event| event["type"] == "item.completed").map(|event| &event["item"]);
    items.filter(|item| item["type"] == "agent_message").map(|item| item["text"].as_str().unwrap()).collect()
}

fn ended_well(done: &Output, events: &[Value]) {
    let last = events.last().map(|event| &event["type"]);
    let shown = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && last == Some(&json!("turn.completed")), "{events:#?}\n{shown}");
}

/// What the Codex of this version sends to a provider of its own, with nobody between them: when this changes, the
/// gateway has something new to answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_codex_sends() {
    let lab = ModelServer::start().await.unwrap();
    let patch = "*** Begin Patch\n*** Add File: a\n+a\n*** End Patch\n";
    lab.enqueue(item(
        &json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}),
    ));
    lab.enqueue(item(&json!({
        "type": "function_call", "id": "fc_1", "call_id": "call_e", "name": "exec_command",
        "arguments": "{\"cmd\":\"echo\"}", "status": "completed",
    })));
    lab.enqueue(item(&json!({
        "type": "custom_tool_call", "id": "ctc_1", "call_id": "call_p", "name": "apply_patch", "input": patch,
        "status": "completed",
    })));
    lab.enqueue(Answer::text(["Done."]));
    let base = lab.base_url();
    let codex = Codex::new(base.trim_end_matches("/v1"), "pk-any", "");
    let (done, events) = codex.exec("Begin.").await;
    ended_well(&done, &events);
    let (done, events) = codex.resume("And on.").await;
    ended_well(&done, &events);
    let last = lab.requests().pop().unwrap().body;
    let fields: Vec<&String> = last.as_object().unwrap().keys().collect();
    let want = [
        "model",
        "stream",
        "input",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "store",
        "include",
        "prompt_cache_key",
        "text",
        "client_metadata",
    ];
    assert_eq!(fields, want);
    let want = [
        "function exec_command",
        "function write_stdin",
        "function request_user_input",
        "custom apply_patch",
        "function view_image",
        "function get_goal",
        "function create_goal",
        "function update_goal",
        "tool_search -",
    ];
    assert_eq!(names(last["tools"].as_array().unwrap()), want);
    let mut items = std::collections::BTreeMap::new();
    for item in last["input"].as_array().unwrap() {
        let keys: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        items.insert(item["type"].as_str().unwrap(), keys.join(" "));
    }
    let want = [
        ("custom_tool_call", "type id status call_id name input"),
        ("custom_tool_call_output", "type id call_id output"),
        ("function_call", "type status id name arguments call_id"),
        ("function_call_output", "type id call_id output"),
        ("message", "type id role content"),
        ("reasoning", "type id summary content encrypted_content"),
    ];
    assert_eq!(items, want.map(|(kind, keys)| (kind, keys.to_owned())).into());
    lab.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_answer() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::reasoning(["Thinking."], ["Hel", "lo ", "wörld"]));
    let codex = Codex::new(&gate.base, &gate.key, WITHOUT_AGENTS);
    let (done, events) = codex.exec("Say hello.").await;
    ended_well(&done, &events);
    assert_eq!(messages(&events), ["Hello wörld"]);
    let usage = json!({"input_tokens": 11, "cached_input_tokens": 3, "cache_write_input_tokens": 0,
        "output_tokens": 7, "reasoning_output_tokens": 2});
    assert_eq!(events.last().unwrap()["usage"], usage);

    let requests = gate.model.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].last_user_text(), Some("Say hello."));
    let roles: Vec<&Value> = requests[0].input().iter().map(|item| &item["role"]).collect();
    assert_eq!(roles, ["developer", "developer", "user", "user"]);
    let offered: Vec<&Value> = requests[0].tools().iter().map(|tool| &tool["name"]).collect();
    let want = [
        "write_stdin",
        "request_user_input",
        "apply_patch",
        "view_image",
        "get_goal",
        "create_goal",
        "update_goal",
        "exec_command",
    ];
    assert_eq!(offered, want);
    gate.finish().await;
}

/// The client runs the command, on its own machine, and the model reads what it printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_by_the_client() {
    let gate = TestGate::start().await;
    gate.model.enqueue(exec_command("call_e", "echo from-the-client"));
    gate.model.enqueue(Answer::text(["It said ", "from-the-client."]));
    let codex = Codex::new(&gate.base, &gate.key, WITHOUT_AGENTS);
    let (done, events) = codex.exec("Run it.").await;
    ended_well(&done, &events);
    assert_eq!(messages(&events), ["It said from-the-client."]);
    let run = events.iter().find(|event| event["type"] == "item.completed").unwrap();
    assert_eq!(
        (&run["item"]["type"], &run["item"]["exit_code"], &run["item"]["aggregated_output"]),
        (&json!("command_execution"), &json!(0), &json!("from-the-client\n"))
    );

    let requests = gate.model.requests();
    assert_eq!(requests.len(), 2);
    let output = requests[1].input().last().unwrap();
    assert_eq!((&output["type"], &output["call_id"]), (&json!("function_call_output"), &json!("call_e")));
    assert!(output["output"].to_string().contains("from-the-client"), "{output}");
    gate.finish().await;
}

/// A custom tool, whose input is free text, is a function to the model and free text to the client again.
#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_applied_by_the_client() {
    let gate = TestGate::start().await;
    let patch = "*** Begin Patch\n*** Add File: hello.txt\n+Hello wörld\n*** End Patch\n";
    let call = ToolCall::new("call_p", "apply_patch", json!({"input": patch}).to_string());
    gate.model.enqueue(Answer::tool_calls([call]).with_reasoning_before(["A file."]));
    gate.model.enqueue(Answer::text(["Done."]));
    let codex = Codex::new(&gate.base, &gate.key, WITHOUT_AGENTS);
    let (done, events) = codex.exec("Write it.").await;
    ended_well(&done, &events);
    assert_eq!(messages(&events), ["Done."]);
    let written = std::fs::read_to_string(codex.path("work/hello.txt")).unwrap();
    assert_eq!(written, "Hello wörld\n");
    let requests = gate.model.requests();
    let output = requests[1].input().last().unwrap();
    assert_eq!((&output["type"], &output["call_id"]), (&json!("function_call_output"), &json!("call_p")));
    gate.finish().await;
}

/// A tool's output may be a picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_read_by_the_client() {
    const PNG: &[u8] = include_bytes!("../../../../tests/clients/dot.png");
    let gate = TestGate::start().await;
    let codex = Codex::new(&gate.base, &gate.key, WITHOUT_AGENTS);
    let path = codex.path("work/dot.png");
    std::fs::write(&path, PNG).unwrap();
    let call = ToolCall::new("call_v", "view_image", json!({"path": path}).to_string());
    gate.model.enqueue(Answer::tool_calls([call]));
    gate.model.enqueue(Answer::text(["A dot."]));
    let (done, events) = codex.exec("Look.").await;
    ended_well(&done, &events);
    assert_eq!(messages(&events), ["A dot."]);
    let requests = gate.model.requests();
    let output = requests[1].input().last().unwrap();
    assert_eq!((&output["call_id"], &output["output"][0]["type"]), (&json!("call_v"), &json!("input_image")));
    gate.finish().await;
}

/// The conversation goes on in another process of the client, which sends all of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed() {
    let gate = TestGate::start().await;
    gate.model.enqueue(exec_command("call_e", "echo one"));
    gate.model.enqueue(Answer::reasoning(["Thinking."], ["Uno."]));
    gate.model.enqueue(Answer::text(["Dos."]));
    let codex = Codex::new(&gate.base, &gate.key, WITHOUT_AGENTS);
    let (done, events) = codex.exec("One.").await;
    ended_well(&done, &events);
    let (done, events) = codex.resume("Two?").await;
    ended_well(&done, &events);
    assert_eq!(messages(&events), ["Dos."]);
    let requests = gate.model.requests();
    let kinds: Vec<&Value> = requests[2].input().iter().map(|item| &item["type"]).collect();
    let (said, asked) = (["message"; 4], ["message"; 3]);
    let want =
        [&said[..], &["function_call", "function_call_output", "reasoning", "message"], &asked].concat();
    assert_eq!(kinds, want);
    assert_eq!(requests[2].input()[6]["encrypted_content"], "lab-sealed-rs_lab_1_0");
    gate.finish().await;
}

/// What the client says when the gateway refuses it, and when the model does.
#[tokio::test(flavor = "multi_thread")]
async fn errors_reach_the_user() {
    let gate = TestGate::start().await;
    let fails = async |key: &str| {
        let codex = Codex::new(&gate.base, key, WITHOUT_AGENTS);
        let (done, events) = codex.exec("Hi.").await;
        let last = events.last().unwrap().clone();
        assert_eq!((done.status.success(), &last["type"]), (false, &json!("turn.failed")));
        last["error"]["message"].as_str().unwrap().to_owned()
    };
    let said = fails("pk-wrong").await;
    assert!(said.starts_with("unexpected status 401 Unauthorized: Incorrect API key provided"), "{said}");
    let busy = json!({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}});
    gate.model.enqueue(Answer::status(429, busy));
    let said = fails(&gate.key).await;
    assert!(said.contains("last status: 429 Too Many Requests, request id: req_"), "{said}");
    gate.model.enqueue(Answer::text(["Half ", "an ", "answer"]).every(Duration::from_millis(5)).cut_after(6));
    let said = fails(&gate.key).await;
    assert!(said.starts_with("stream disconnected before completion: The model's provider failed"), "{said}");
    gate.finish().await;
}

/// As it comes, with no feature turned off.
#[tokio::test(flavor = "multi_thread")]
async fn without_any_settings() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Hello."]));
    let codex = Codex::new(&gate.base, &gate.key, "");
    let (done, events) = codex.exec("Say hello.").await;
    ended_well(&done, &events);
    gate.finish().await;
}
