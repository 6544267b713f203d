//! One connection to a server that speaks chat completions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::target::Answer;
use crate::wish::{Wish, now};

/// A server and the key for it.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
    pub(crate) key: String,
    pub(crate) model: &'static str,
}

/// One connection, with at most one request at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: Address,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(crate) async fn open(address: &Address) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address.socket).await.context("the server can not be reached")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "aborted with the connection")]
        let driver = tokio::task::spawn(async move {
            // What went wrong is told to the request, too.
            let _told = connection.await;
        });
        Ok(Self { sender, address: address.clone(), _driver: AbortOnDropHandle::new(driver) })
    }

    /// Sends a question and returns the head of the answer.
    pub(crate) async fn post(
        &mut self,
        prompt: &str,
        stream: bool,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let body = json!({
            "model": self.address.model,
            "stream": stream,
            "messages": [{"role": "user", "content": prompt}],
        });
        self.send("/v1/chat/completions", &body).await
    }

    /// Posts a body and returns the head of the answer.
    pub(crate) async fn send(
        &mut self,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.address.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Gets a page; for what is not a question.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Bytes)> {
        let request = Request::builder()
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.address.key))
            .body(Full::default())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask(&mut self, wish: Wish, stream: bool, since: Instant) -> anyhow::Result<Answer> {
        let response = self.post(&wish.prompt(), stream).await?;
        let mut answer = Answer { status: response.status().as_u16(), ..Answer::default() };
        let mut body = response.into_body();
        let mut said = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if answer.first.is_zero() {
                answer.first = since.elapsed();
            }
            if wish.stamp {
                answer.ages.extend(ages(&data));
            }
            said.extend_from_slice(&data);
        }
        answer.whole = since.elapsed();
        anyhow::ensure!(said.ends_with(b"data: [DONE]\n\n") || said.ends_with(b"}"), "the answer has no end");
        answer.text = text_bytes(&said);
        Ok(answer)
    }
}

/// How much text an answer brought. Scripted text needs no escaping, so each piece of it lasts to the next quote.
fn text_bytes(said: &[u8]) -> usize {
    const START: &[u8] = br#""content":"#;
    let pieces = memmem::find_iter(said, START).filter_map(|at| {
        let text = said[at + START.len()..].trim_ascii_start().strip_prefix(b"\"")?;
        memchr::memchr(b'"', text)
    });
    pieces.sum()
}

/// How old the stamps in a piece of an answer are. One that is cut by the end of the piece is left out.
fn ages(data: &[u8]) -> impl Iterator<Item = Duration> {
    let now = now();
    let words = data.split(|byte| !byte.is_ascii_digit()).filter(|word| word.len() == 19);
    words.filter_map(move |word| {
        let written: u64 = std::str::from_utf8(word).ok()?.parse().ok()?;
        Some(Duration::from_nanos(now.saturating_sub(written)))
    })
}
