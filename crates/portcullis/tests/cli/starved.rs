//! A gateway that gets no more of what the machine has: of descriptors, and of room on the disk.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::program::{Program, Running, codex};

const PATIENCE: Duration = Duration::from_secs(30);

struct Gate {
    running: Running,
    host: String,
    key: String,
}

impl Gate {
    /// A demo that is ready, started by a shell that did this before.
    fn start(before: &str, state: &Utf8Path) -> Self {
        let codex = codex();
        let args =
            ["demo", "--bind", "127.0.0.1:0", "--state-dir", state.as_str(), "--codex-bin", codex.as_str()];
        let mut running = Program::after(before, &args).start();
        let mut after = |word: &str| loop {
            if let Some(rest) = running.line().trim().strip_prefix(word) {
                return rest.trim().to_owned();
            }
        };
        let (base_url, key) = (after("Base URL"), after("API key"));
        after("Stop it with");
        let host = base_url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        Self { running, host, key }
    }

    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.host).expect("the gateway listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        connection
    }

    /// One exchange on a connection that stays open: the status and the body.
    fn exchange(&self, connection: &mut TcpStream, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (host, key, body) =
            (&self.host, &self.key, if body.is_null() { String::new() } else { body.to_string() });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes()).expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).expect("it answers");
            head.extend(byte);
        }
        let head = String::from_utf8(head).expect("a head is text");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it has a length");
        let mut answer = vec![0; length.parse().expect("a number")];
        connection.read_exact(&mut answer).expect("it answers whole");
        (head[9..12].parse().expect("a status"), serde_json::from_slice(&answer).expect("JSON"))
    }

    /// The same on a connection of its own.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.exchange(&mut self.connect(), method, path, body)
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.running.pid())).expect("it runs").count()
    }

    /// The largest file that it may write, from now on.
    fn limit_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(self.running.pid()).expect("a process")).expect("not zero");
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("it is ours");
    }

    fn audit_is_written(&self) -> bool {
        let (status, ready) = self.ask("GET", "/readyz", &Value::Null);
        assert_eq!(status, 200, "{ready}");
        let conditions = ready["conditions"].as_array().expect("a list");
        conditions.iter().find(|condition| condition["name"] == "audit").expect("it is told")["ok"] == true
    }

    fn stop(self) {
        self.running.interrupt();
        let ended = self.running.end();
        assert!(ended.code == 0 && !ended.stderr.contains("panicked"), "{ended:?}");
    }
}

fn question() -> Value {
    json!({"model": "codex", "messages": [{"role": "user", "content": "What is 6 * 7?"}]})
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it did not happen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_descriptors_who_is_connected_is_served_and_the_others_wait() {
    let dir = Utf8TempDir::new().unwrap();
    let gate = Gate::start("ulimit -n 128", &dir.path().join("state"));
    let mut connected = gate.connect();
    // No turn: the built-in model is in the same process, and has to accept the worker's connections itself.
    let mut models = || gate.exchange(&mut connected, "GET", "/v1/models", &Value::Null).0;
    assert_eq!(models(), 200);
    let before = gate.descriptors();

    // They connect, and are not accepted: more than it may have descriptors.
    let silent: Vec<TcpStream> = (0..200).map(|_| gate.connect()).collect();
    gate.running.told("A connection could not be accepted");
    assert!(gate.descriptors() >= 128, "it could have more");
    assert_eq!(models(), 200);

    let (mut waiting, asked) = (gate.connect(), Instant::now());
    drop(silent);
    assert_eq!(
        gate.exchange(&mut waiting, "GET", "/livez", &Value::Null).0,
        200,
        "after {:?}",
        asked.elapsed()
    );
    drop(waiting);
    eventually("the descriptors are given back", || gate.descriptors() <= before);
    assert_eq!(gate.ask("POST", "/v1/chat/completions", &question()).0, 200);
    gate.stop();
}

/// The same errors as of a full disk, for one process: no file may grow. Who keeps nothing is served.
#[test]
fn without_room_on_the_disk_what_needs_none_goes_on_and_the_rest_says_so() {
    let dir = Utf8TempDir::new().unwrap();
    let state = dir.path().join("state");
    let gate = Gate::start("trap '' XFSZ", &state);
    let response =
        || gate.ask("POST", "/v1/responses", &json!({"model": "codex", "input": "What is 6 * 7?"}));
    let chat = || gate.ask("POST", "/v1/chat/completions", &question()).0;
    assert_eq!((response().0, chat()), (200, 200));
    assert!(gate.audit_is_written());

    gate.limit_files(Some(1));
    let (status, body) = response();
    // It was answered, and could not be kept.
    let told = (status, &body["status"], &body["error"]["message"]);
    let expected = "The gateway can not keep anything at the moment.";
    assert_eq!(told, (200, &json!("failed"), &json!(expected)), "{body}");
    assert_eq!(chat(), 200);
    eventually("the audit log's trouble is told", || !gate.audit_is_written());

    gate.limit_files(None);
    assert_eq!(chat(), 200);
    eventually("the audit log is written again", || gate.audit_is_written());
    let (status, body) = response();
    assert_eq!((status, &body["status"]), (200, &json!("completed")), "{body}");
    gate.stop();
    let verified = Program::new(&["audit", "verify", "--state-dir", state.as_str()]).output();
    assert_eq!(verified.code, 0, "{verified:?}");
}
