//! Clients that do not play by the rules, byte by byte.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fake::FakeGate;
use crate::support::{Options, PATIENCE, eventually};

/// What a connection brought: the status and the error's code of each answer, and whether it was closed.
fn outcome(answer: &str, closed: bool) -> String {
    let mut told = String::new();
    for part in answer.split("HTTP/1.").skip(1) {
        let status = part.split(' ').nth(1).unwrap_or("?").trim_end();
        let code = part.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let _ = write!(told, "{} ", format!("{status} {code}").trim_end());
    }
    told + if closed { "closed" } else { "open" }
}

/// Sends bytes and reads until the gateway closes, or is silent.
async fn send(gate: &FakeGate, bytes: &[u8], half_close: bool) -> String {
    let mut stream = TcpStream::connect(gate.base.trim_start_matches("http://")).await.unwrap();
    // What is not even read may be refused while it is written.
    let _sent = stream.write_all(bytes).await;
    if half_close {
        stream.shutdown().await.unwrap();
    }
    let (mut answer, mut piece) = (Vec::new(), [0u8; 4096]);
    let closed = loop {
        match tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(count)) => answer.extend_from_slice(&piece[..count]),
            Err(_silent) => break false,
        }
    };
    outcome(&String::from_utf8_lossy(&answer), closed)
}

/// A chat completion that would be answered, with headers put in and the body as it is.
fn chat(key: &str, headers: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n{headers}\r\n{body}"
    )
}

const BODY: &str = r#"{"model":"codex","messages":[{"role":"user","content":"Hi"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_clean_request_is_not_answered_as_one() {
    let gate = FakeGate::start().await;
    let key = gate.key.clone();
    let length = BODY.len();
    let get =
        |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let with = |headers: &str| chat(&key, &format!("Connection: close\r\n{headers}"), BODY);
    let smuggled =
        format!("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    let cases: Vec<(&str, String)> = vec![
        ("a clean request", with(&format!("Content-Length: {length}\r\n"))),
        ("no host", get("/readyz", "")),
        ("HTTP/1.0 without a host", "GET /readyz HTTP/1.0\r\n\r\n".to_owned()),
        ("two hosts", get("/livez", "Host: localhost\r\nHost: localhost\r\n")),
        ("a name of somebody else", get("/livez", "Host: evil.example\r\n")),
        ("a name of somebody else, no such route", get("/none", "Host: evil.example\r\n")),
        ("an absolute URL of somebody else", get("http://evil.example/livez", "Host: localhost\r\n")),
        ("an absolute URL of ours", get("http://localhost/livez", "Host: localhost\r\n")),
        ("a key in the URL", get(&format!("/v1/models?api_key={key}"), "Host: localhost\r\n")),
        ("length and chunks", with(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"))),
        ("chunks and length, a request behind", chat(&key, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{smuggled}"))),
        ("two lengths", with(&format!("Content-Length: {length}\r\nContent-Length: 1\r\n"))),
        ("one length twice", with(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"))),
        ("a length with a sign", with(&format!("Content-Length: +{length}\r\n"))),
        ("a length below nothing", with("Content-Length: -1\r\n")),
        ("a length beyond counting", with("Content-Length: 99999999999999999999\r\n")),
        ("an encoding that is not the last", with("Transfer-Encoding: chunked, identity\r\n")),
        ("an encoding nobody knows", with("Transfer-Encoding: xchunked\r\n")),
        ("a chunk beyond counting", chat(&key, "Connection: close\r\nTransfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n")),
        ("a chunk that is no number", chat(&key, "Connection: close\r\nTransfer-Encoding: chunked\r\n", "zz\r\n")),
        ("a body shorter than its length", chat(&key, "Content-Length: 5\r\n", "{")),
        ("a folded header", with(&format!("X-A: 1\r\n 2\r\nContent-Length: {length}\r\n"))),
        ("lines without a return", "GET /livez HTTP/1.1\nHost: localhost\nConnection: close\n\n".to_owned()),
        ("a space before the colon", get("/livez", "Host: localhost\r\nX-A : 1\r\n")),
        ("a zero byte in a header", get("/livez", "Host: localhost\r\nX-A: a\0b\r\n")),
        ("a name that is none", get("/livez", "Host: localhost\r\nX(A): 1\r\n")),
        ("a hundred and one headers", get("/livez", &format!("Host: localhost\r\n{}", "X-A: 1\r\n".repeat(100)))),
        ("a head of 100 KB", get("/livez", &format!("Host: localhost\r\nX-A: {}\r\n", "a".repeat(100_000)))),
        ("a URL of 100 KB", get(&format!("/{}", "a".repeat(100_000)), "Host: localhost\r\n")),
        ("a compressed body", with(&format!("Content-Encoding: gzip\r\nContent-Length: {length}\r\n"))),
        ("a form, as any page can send", with(&format!("Content-Length: {length}\r\n")).replace("application/json", "application/x-www-form-urlencoded")),
        ("text, as any page can send", with(&format!("Content-Length: {length}\r\n")).replace("application/json", "text/plain")),
        ("a body too large by its own word", with("Content-Length: 99999999\r\n")),
        ("a preflight", "OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n".to_owned()),
        ("a method nobody knows", get("/livez", "Host: localhost\r\n").replace("GET", "BREW")),
        ("a tunnel", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned()),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{0}\u{5}hello".to_owned()),
        ("noise", "\u{7}\u{7}\u{7}\r\n\r\n".to_owned()),
        ("two requests in one write", format!("{}{}", get("/livez", "Host: localhost\r\n").replace("Connection: close\r\n", ""), get("/readyz", "Host: localhost\r\n"))),
    ];
    let mut told = Vec::new();
    for (name, bytes) in &cases {
        told.push(format!("{name}: {}", send(&gate, bytes.as_bytes(), false).await));
    }
    insta::assert_snapshot!("hostile", told.join("\n"));

    // Who closes its half has left: its turn is not run to an end that nobody reads.
    gate.agent.hold();
    let half = with(&format!("Content-Length: {length}\r\n"));
    assert_eq!(send(&gate, half.as_bytes(), true).await, "closed");
    gate.finish().await;
}

fn impatient() -> Options {
    let mut options = Options::default();
    options.entrance.head = Duration::from_millis(300);
    options.entrance.body = Duration::from_millis(300);
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_slowly_is_cut_off() {
    let gate = FakeGate::with(impatient()).await;
    assert_eq!(send(&gate, b"GET /livez HTTP/1.1\r\nHost: loc", false).await, "closed");
    assert_eq!(send(&gate, b"", false).await, "closed");
    let body = chat(&gate.key, "Connection: close\r\nContent-Length: 50\r\n", "{\"model\"");
    assert_eq!(send(&gate, body.as_bytes(), false).await, "408 slow_body closed");
    // Drop by drop: each byte is in time, the whole is not.
    let mut stream = TcpStream::connect(gate.base.trim_start_matches("http://")).await.unwrap();
    let cut = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(b"G").await.is_err() || stream.read(&mut [0; 16]).now_or_never().is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("a client that trickles is cut off");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_one_more_is_told_so() {
    let mut options = Options::default();
    options.entrance.connections = 3;
    let gate = FakeGate::with(options).await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
        open.push(stream);
    }
    assert_eq!(send(&gate, b"", false).await, "503 too_many_connections closed");
    drop(open.pop());
    eventually("a place is free", async || {
        send(&gate, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false).await
            == "200 closed"
    })
    .await;
    drop(open);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_may_call_and_no_others() {
    let mut options = Options::default();
    options.entrance.origins = vec!["https://app.example".to_owned()];
    options.entrance.hosts = vec!["gateway.example".to_owned()];
    let gate = FakeGate::with(options).await;
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://app.example", false),
        ("https://app.example:444", false),
        ("https://app.example.evil", false),
        ("null", false),
        ("*", false),
    ] {
        let preflight = gate
            .client
            .request(reqwest::Method::OPTIONS, format!("{}/v1/chat/completions", gate.base))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-stainless-lang");
        let asked = gate.request("GET", "/v1/models").header("origin", origin);
        for request in [preflight, asked.header("host", "gateway.example")] {
            let response = request.send().await.unwrap();
            let head = response.headers();
            assert_eq!(
                head.get("access-control-allow-origin").map(|value| value.to_str().unwrap()),
                allowed.then_some(origin)
            );
            assert!(head.get("access-control-allow-credentials").is_none());
        }
    }
    // Another list holds from the next request on, and none is as if nothing were said of it.
    for (listed, allowed) in
        [("https://other.example", [None, Some("https://other.example")]), ("", [None, None])]
    {
        gate.settings.send_modify(|settings| {
            let listed = Some(listed.to_owned()).filter(|listed| !listed.is_empty());
            Arc::make_mut(settings).entrance.origins = listed.into_iter().collect();
        });
        for (origin, allowed) in ["https://app.example", "https://other.example"].into_iter().zip(allowed) {
            let response = gate.request("GET", "/v1/models").header("origin", origin).send().await.unwrap();
            let told = response.headers().get("access-control-allow-origin");
            assert_eq!(told.map(|value| value.to_str().unwrap()), allowed, "{listed} {origin}");
            assert_eq!(response.headers().contains_key("vary"), !listed.is_empty());
        }
    }
    gate.finish().await;
}
