//! The demo with the real Codex: what it prints, that it keeps its key, that it leaves nothing behind.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Instant;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;

use crate::program::{Ended, Program, Running, ask, codex};

/// A demo that is ready.
struct Demo {
    running: Running,
    base_url: String,
    key: String,
    curl: String,
}

impl Demo {
    fn start(state: &Utf8Path) -> Self {
        let mut running = demo(state).start();
        let mut lines = Vec::new();
        let mut after = |word: &str| loop {
            let line = running.line();
            lines.push(line.clone());
            if let Some(rest) = line.trim().strip_prefix(word) {
                return rest.trim().to_owned();
            }
        };
        let (base_url, key, curl) = (after("Base URL"), after("API key"), after("curl -N "));
        let stop = after("Stop it with");
        assert!(stop.starts_with("Ctrl-C"));
        let text = lines.join("\n");
        assert!(text.contains("built-in demo model, a small script and not a real model."), "{text}");
        assert!(text.contains("nothing leaves this machine"), "{text}");
        Self { running, base_url, key, curl }
    }

    fn stop(self) -> Ended {
        self.running.interrupt();
        let ended = self.running.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        ended
    }
}

fn demo(state: &Utf8Path) -> Program {
    let codex = codex();
    let args =
        ["demo", "--bind", "127.0.0.1:0", "--state-dir", state.as_str(), "--codex-bin", codex.as_str()];
    Program::new(&args)
}

#[test]
fn a_demo_comes_and_goes_without_a_trace_and_keeps_its_key() {
    let dir = Utf8TempDir::new().unwrap();
    let state = dir.path().join("state");

    let first = Demo::start(&state);
    assert!(!first.base_url.contains(":0/"), "not the real port: {}", first.base_url);
    assert!(first.curl.starts_with(&format!("{}/chat/completions ", first.base_url)), "{}", first.curl);
    assert!(first.curl.contains(&format!("'Authorization: Bearer {}'", first.key)), "{}", first.curl);
    assert_eq!(std::fs::read_to_string(state.join("demo-key")).unwrap().trim(), first.key);
    let body = first.curl.split_once(" -d '").unwrap().1.trim_end_matches('\'');
    let mut answer = String::new();
    ask(&first.base_url, &first.key, body).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("text/event-stream"), "{answer}");
    assert!(answer.contains("84") && answer.contains("data: [DONE]"), "{answer}");

    let all = processes_of(&state);
    assert!(all.len() > 1, "Codex runs beside the gateway, and so this test sees it: {all:?}");

    let refused = demo(&state).output();
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    let expected =
        format!("error: another gateway (process {}) uses the state directory", first.running.pid());
    assert!(refused.stderr.contains(&expected), "{refused:?}");

    let key = first.key.clone();
    first.stop();
    assert_eq!(processes_of(&state), [""; 0]);

    let second = Demo::start(&state);
    assert_eq!(second.key, key);
    second.stop();
    assert_eq!(processes_of(&state), [""; 0]);

    let audit = |args: &[&str]| Program::new(args).args(["--state-dir", state.as_str()]).output();
    let whole = audit(&["audit", "verify"]);
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.stdout.contains("audit.jsonl: lines 1 to 8\nThe chain is whole"), "{whole:?}");
    let shown = audit(&["audit", "show", "--since", "1h"]).stdout;
    let events: Vec<_> = shown.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    let (started, stopped) = (["gateway_started", "worker_started"], ["gateway_stopped"]);
    let turn = ["turn_started", "turn_ended"];
    assert_eq!(events, [&started[..], &turn, &stopped, &started, &stopped].concat());
    assert!(!shown.contains("12*7") && !shown.contains("demo model"), "what was said is in it: {shown}");
    let json = audit(&["audit", "show", "--event", "turn_ended", "--json"]).stdout;
    assert!(json.starts_with("{\"seq\":4,") && json.lines().count() == 1, "{json}");

    // Also after the second start, and although the first one ended within a second of the turn.
    let used = audit(&["usage", "--group-by", "model"]);
    assert_eq!(used.code, 0, "{used:?}");
    assert!(used.stdout.lines().nth(1).is_some_and(|row| row.starts_with("gpt-5.5,1,0,0,")), "{used:?}");

    let file = state.join("audit/audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("completed", "failed", 1)).unwrap();
    let broken = audit(&["audit", "verify"]);
    assert_eq!((broken.code, broken.stdout.as_str()), (1, ""), "{broken:?}");
    let expected = format!("error: the audit log is broken: {file}:4: its hash is not that of the line");
    assert!(broken.stderr.starts_with(&expected), "{broken:?}");
}

#[test]
fn a_second_signal_does_not_wait_for_running_requests() {
    let dir = Utf8TempDir::new().unwrap();
    let state = dir.path().join("state");
    // A model that takes requests and never answers.
    let model = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = dir.path().join("portcullis.toml");
    let text = format!(
        "http.bind = '127.0.0.1:0'\nstate.dir = 'state'\ncodex.bin = '{}'\n[provider]\nkind = 'custom'\n\
         base_url = 'http://{}/v1'\n",
        codex(),
        model.local_addr().unwrap()
    );
    std::fs::write(&file, text).unwrap();
    let key = Program::new(&["key", "create", "--name", "test", "--config", file.as_str()]).output().stdout;

    let gateway = Program::new(&["serve", "--config", file.as_str()]).start();
    let base_url = gateway.told("Listening on ").trim_end_matches(',').to_owned();
    gateway.told("Ready for turns");
    let body = r#"{"model":"codex","stream":true,"messages":[{"role":"user","content":"Hello?"}]}"#;
    let _connection = ask(&base_url, key.trim(), body);
    let _request = model.accept().unwrap();

    let began = Instant::now();
    gateway.interrupt();
    gateway.told("Stopping: running requests have");
    assert_ne!(processes_of(&state), [""; 0]);
    gateway.interrupt();
    let ended = gateway.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("worker has left as asked"), "{ended:?}");
    assert!(began.elapsed().as_secs() < 8, "it waited: {ended:?}");
    assert_eq!(processes_of(&state), [""; 0]);
}

/// Processes that name a directory in their arguments or environment, or that are in it. Zombies have neither.
fn processes_of(dir: &Utf8Path) -> Vec<String> {
    let numbered = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let proc = Utf8Path::new("/proc").read_dir_utf8().expect("Linux has it").flatten();
    proc.filter(|entry| numbered(entry.file_name()))
        .filter_map(|entry| {
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let cwd = entry.path().join("cwd").read_link_utf8().is_ok_and(|cwd| cwd.starts_with(dir));
            let told = [read("cmdline"), read("environ")].concat();
            let told = String::from_utf8_lossy(&told).replace('\0', " ");
            (cwd || told.contains(dir.as_str())).then_some(told)
        })
        .collect()
}
