//! Connections of which one half is closed, or is as good as closed: what becomes of the request, and that nothing is left.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use portcullis_lab::{Answer, HowClosed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Options, PATIENCE, TestGate, eventually, question};

/// One place is the test's own client's; the other two are the clients' here. One that is left over would be missed.
async fn narrow(head: Duration, stall: Duration) -> TestGate {
    let mut options = Options::default();
    options.entrance.connections = 3;
    options.entrance.head = head;
    options.entrance.stall = stall;
    TestGate::with(options).await
}

/// With little room for what is not read.
async fn connect(gate: &TestGate) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(gate.base.trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

/// Sends a chat completion whose body is so much longer than what is sent of it.
async fn send(gate: &TestGate, body: &Value, missing: usize) -> TcpStream {
    let mut client = connect(gate).await;
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        gate.key,
        body.len() + missing
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
    client
}

fn streaming() -> Value {
    let mut body = question("Hi");
    body["stream"] = json!(true);
    body
}

async fn read_until(client: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = tokio::time::timeout(PATIENCE, client.read_buf(&mut read)).await.unwrap().unwrap();
        assert_ne!(more, 0, "closed after {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

/// All that still comes, until the gateway closes.
async fn rest(client: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is a way to close.
    let _reset = tokio::time::timeout(PATIENCE, client.read_to_end(&mut read)).await.expect("it stays open");
    String::from_utf8(read).unwrap()
}

/// How many turns ended so.
async fn turns(gate: &TestGate, outcome: &str) -> u64 {
    let text = gate.get("/metrics").send().await.unwrap().text().await.unwrap();
    let line = format!("portcullis_turns_total{{profile=\"chat\",outcome=\"{outcome}\",error=\"\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

/// Both places for connections are free, whatever the clients still hold, and the gateway goes on.
async fn nothing_is_left(gate: TestGate) {
    eventually("both places are free", async || {
        let mut clients = [connect(&gate).await, connect(&gate).await];
        for client in &mut clients {
            // One too many is refused unread, and then what was written may reset the answer.
            let _reset = client.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        }
        let mut answers = [[0; 12]; 2];
        for (client, answer) in clients.iter_mut().zip(&mut answers) {
            let _reset = client.read_exact(answer).await;
        }
        answers.iter().all(|answer| answer == b"HTTP/1.1 200")
    })
    .await;
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_its_writing_half_has_left() {
    let gate = narrow(Duration::from_secs(30), Duration::from_mins(1)).await;
    for (index, stream) in [true, false, true, false].into_iter().enumerate() {
        gate.model.enqueue(Answer::text(["Once ", "upon "]).hang());
        let mut client = send(&gate, &if stream { streaming() } else { question("Hi") }, 0).await;
        if stream {
            read_until(&mut client, "upon ").await;
        } else {
            gate.model.wait_for_requests(index + 1, PATIENCE).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let left = Instant::now();
        let closed = gate.model.wait_for_close(index, PATIENCE).await.unwrap();
        let took = closed.at.saturating_duration_since(left);
        assert!(took < Duration::from_millis(100), "the model saw its client leave after {took:?}");
        assert_eq!((closed.how, rest(&mut client).await.as_str()), (HowClosed::ClientGone, ""));
    }
    eventually("all are interrupted", async || turns(&gate, "interrupted").await == 4).await;
    nothing_is_left(gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_in_the_middle_of_a_body_is_told_so() {
    let gate = narrow(Duration::from_secs(30), Duration::from_mins(1)).await;
    for _ in 0..3 {
        let mut client = send(&gate, &question("Hi"), 100).await;
        client.shutdown().await.unwrap();
        let told = rest(&mut client).await;
        assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("\"incomplete_body\""), "{told}");
    }
    assert!(gate.model.requests().is_empty());
    nothing_is_left(gate).await;
}

/// Nobody tells the gateway that the client has closed its reading half: the turn runs to its end, and what fits is thrown
/// away. As with every client that sends nothing more, the connection ends then.
#[tokio::test(flavor = "multi_thread")]
async fn who_closes_its_reading_half_is_answered_all_the_same() {
    let gate = narrow(Duration::from_millis(300), Duration::from_mins(1)).await;
    gate.model.enqueue(Answer::text(["Once ", "upon ", "a time"]).every(Duration::from_millis(50)));
    let mut client = send(&gate, &streaming(), 0).await;
    read_until(&mut client, "Once ").await;
    let client = client.into_std().unwrap();
    client.shutdown(Shutdown::Read).unwrap();
    eventually("the turn is over", async || turns(&gate, "completed").await == 1).await;
    assert_eq!(gate.model.wait_for_close(0, PATIENCE).await.unwrap().how, HowClosed::Answered);
    nothing_is_left(gate).await;
    drop(client);
}

/// An answer is kept for a client that is slow, but not for ever for one that takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_given_up() {
    let gate = narrow(Duration::from_secs(30), Duration::from_millis(500)).await;
    // More than what the gateway's side takes.
    let piece = "x".repeat(16 * 1024);
    gate.model.respond_with(move |_| Answer::text(vec![piece.clone(); 400]));
    let mut silent = send(&gate, &streaming(), 0).await;
    let deaf = send(&gate, &streaming(), 0).await.into_std().unwrap();
    deaf.shutdown(Shutdown::Read).unwrap();
    eventually("both are given up", async || turns(&gate, "interrupted").await == 2).await;
    let read = rest(&mut silent).await;
    assert!(read.len() < 400 * 16 * 1024 && !read.contains("[DONE]"), "{} bytes arrived", read.len());
    nothing_is_left(gate).await;
    drop(deaf);
}
