//! Requests and turns as spans, as a collector receives them, and a client's trace on its way to Codex.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use camino_tempfile::Utf8TempDir;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::program::{Program, ask_with, codex};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Listens as a collector does, and says what it receives.
fn collector() -> (String, Receiver<(String, ExportTraceServiceRequest)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (head, body) = request(&mut stream.unwrap());
            let spans = ExportTraceServiceRequest::decode(body.as_slice()).expect("it is protobuf");
            if sender.send((head, spans)).is_err() {
                return;
            }
        }
    });
    (url, received)
}

fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    let head = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
        if read.ends_with(b"\r\n\r\n") {
            break String::from_utf8(read).unwrap().to_lowercase();
        }
    };
    let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head, body)
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let attributes = span.attributes.iter();
    attributes.map(|kv| (&*kv.key, text(kv.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn a_collector_receives_requests_and_turns_as_spans_of_the_clients_trace() {
    let dir = Utf8TempDir::new().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("portcullis.toml"));
    let (collector, received) = collector();
    let config = format!(
        "provider.kind = \"lab\"\nhttp.bind = \"127.0.0.1:0\"\ncodex.bin = \"{}\"\nstate.dir = \"{state}\"\n\
         log.format = \"json\"\n[traces]\notlp = \"{collector}\"\none_in = 2\nheaders.x-team = \"gates\"\n",
        codex()
    );
    std::fs::write(&file, config).unwrap();
    let gateway = Program::new(&["serve", "--config", file.as_str()]).start();
    let base = format!("http://{}", gateway.told("Listening on http://").trim_end_matches("/v1,"));
    gateway.told("Ready for turns");
    let key =
        Program::new(&["key", "create", "--name", "app", "--state-dir", state.as_str()]).output().stdout;
    let answer = |headers: &str| {
        let body = r#"{"model": "codex", "messages": [{"role": "user", "content": "12*7"}]}"#;
        let mut answer = String::new();
        ask_with(&base, key.trim(), headers, body).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    answer(&format!("traceparent: {PARENT}\r\ntracestate: congo=t61\r\n"));
    // Of two that begin here, one.
    answer("");
    answer("");
    // The client keeps nothing of this one.
    answer(&format!("traceparent: {}0\r\n", &PARENT[..54]));
    gateway.terminate();
    let ended = gateway.end();
    assert_eq!(ended.code, 0, "{ended:?}");

    let mut spans = Vec::new();
    for (head, batch) in received.try_iter() {
        assert!(
            head.starts_with("post /v1/traces http/1.1\r\n") && head.contains("x-team: gates\r\n"),
            "{head}"
        );
        for of_resource in batch.resource_spans {
            let resource = of_resource.resource.unwrap();
            assert!(resource.attributes.iter().any(|kv| kv.key == "service.name"), "{resource:?}");
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
        }
    }
    let (of_client, of_ours): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| hex(&span.trace_id) == PARENT[3..35]);
    let find = |spans: &[&Span], name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {spans:?}");
        (*found[0]).clone()
    };
    for (spans, parent) in [(&of_client, &PARENT[36..52]), (&of_ours, "")] {
        assert_eq!(spans.len(), 2, "{spans:?}");
        let (request, turn) = (find(spans, "POST /v1/chat/completions"), find(spans, "chat gpt-5.5"));
        assert_eq!(hex(&request.parent_span_id), parent);
        assert_eq!((&turn.parent_span_id, &turn.trace_id), (&request.span_id, &request.trace_id));
        assert_eq!(turn.events.len(), 1, "{turn:?}");
        assert!(request.end_time_unix_nano >= turn.end_time_unix_nano, "{request:?} {turn:?}");
        let (of_request, of_turn) = (attributes(&request), attributes(&turn));
        assert_eq!(of_request["http.response.status_code"], "200");
        assert_eq!(of_turn["portcullis.request.id"], of_request["portcullis.request.id"]);
        for (name, value) in [
            ("portcullis.profile", "chat"),
            ("portcullis.outcome", "completed"),
            ("gen_ai.request.model", "gpt-5.5"),
        ] {
            assert_eq!(of_turn[name], value, "{of_turn:?}");
        }
        assert!(of_turn["gen_ai.usage.output_tokens"].parse::<u64>().unwrap() > 0, "{of_turn:?}");
        // The log names the trace, so that one leads to the other.
        let trace = format!("\"trace.id\":\"{}\"", hex(&request.trace_id));
        assert_eq!(
            ended.stderr.matches(&trace).count(),
            if parent.is_empty() { 2 } else { 4 },
            "{}",
            ended.stderr
        );
    }
    let state: Vec<_> = of_client.iter().map(|span| span.trace_state.as_str()).collect();
    assert_eq!(state, ["congo=t61"; 2]);
}

/// A collector that is not there, or takes no answer out of itself, costs no request anything, and the end little.
#[test]
fn a_collector_that_does_not_answer_holds_nobody_up() {
    // Its connections wait in the queue of the kernel for ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for collector in [silent.local_addr().unwrap(), gone] {
        let dir = Utf8TempDir::new().unwrap();
        let state = dir.path().join("state");
        let codex = codex();
        let serve = ["serve", "--provider", "lab", "--bind", "127.0.0.1:0", "--codex-bin", codex.as_str()];
        let gateway = Program::new(&serve)
            .args(["--state-dir", state.as_str()])
            .env("PORTCULLIS__TRACES__OTLP", &format!("http://{collector}"))
            .start();
        let base = format!("http://{}", gateway.told("Listening on http://").trim_end_matches("/v1,"));
        gateway.told("Ready for turns");
        let key =
            Program::new(&["key", "create", "--name", "app", "--state-dir", state.as_str()]).output().stdout;
        let body = r#"{"model": "codex", "messages": [{"role": "user", "content": "12*7"}]}"#;
        for _ in 0..3 {
            let mut answer = String::new();
            ask_with(&base, key.trim(), "", body).read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        gateway.terminate();
        let asked = Instant::now();
        let ended = gateway.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        // What its spans may take, and the workers.
        assert!(asked.elapsed() < Duration::from_secs(15), "the end took {:?}", asked.elapsed());
        assert!(ended.stderr.contains("WARN") || ended.stderr.contains("ERROR"), "{}", ended.stderr);
    }
}
