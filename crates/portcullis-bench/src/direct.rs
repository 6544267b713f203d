//! An app-server driven with as little as possible: one line out, lines in.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use camino::Utf8Path;
use portcullis_codex::CodexBinary;
use portcullis_supervisor::{Launch, Process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

pub(crate) struct Direct {
    process: Process,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    next: u64,
    cwd: String,
}

impl Direct {
    /// Starts one with the configuration that the gateway's worker has.
    pub(crate) async fn start(binary: &CodexBinary, like: &Utf8Path, dir: &Utf8Path) -> anyhow::Result<Self> {
        let home = dir.join("home");
        std::fs::create_dir_all(&home)?;
        for name in ["config.toml", "models.json"] {
            std::fs::copy(like.join("worker/home").join(name), home.join(name))
                .context("the gateway's worker has no home")?;
        }
        let env = [
            ("CODEX_HOME", home.as_str()),
            ("HOME", "/nonexistent"),
            ("PATH", "/nonexistent"),
            ("LANG", "C.UTF-8"),
        ];
        let mut process = Process::spawn(&Launch {
            program: binary.path.clone(),
            args: vec!["app-server".to_owned()],
            env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            cwd: home.clone(),
        })?;
        let (stdin, stdout) = process.take_stdio();
        let mut this =
            Self { process, stdin, lines: BufReader::new(stdout).lines(), next: 0, cwd: home.to_string() };
        let not_read = portcullis_app_server_protocol::Notification::NOT_READ;
        this.call(
            "initialize",
            &json!({
                "clientInfo": {"name": "bench", "title": "bench", "version": "0"},
                "capabilities": {"experimentalApi": true, "optOutNotificationMethods": not_read},
            }),
        )
        .await?;
        this.send(&json!({"method": "initialized"})).await?;
        Ok(this)
    }

    /// One turn on a thread of its own: from the first line that is written to the first delta that is read.
    pub(crate) async fn first_delta(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let thread = self
            .call("thread/start", &json!({
                "ephemeral": true, "cwd": self.cwd, "sandbox": "read-only", "approvalPolicy": "never",
                "environments": [], "experimentalRawEvents": true, "baseInstructions": "", "dynamicTools": [],
                "model": "gpt-5.5",
            }))
            .await?["thread"]["id"]
            .clone();
        let input = json!([{"type": "text", "text": "Hi"}]);
        let turn = json!({"threadId": thread, "input": input, "summary": "none"});
        self.call("turn/start", &turn).await?;
        let mut first = None;
        loop {
            let message = self.read().await?;
            match message["method"].as_str() {
                Some("item/agentMessage/delta") => {
                    first.get_or_insert_with(|| started.elapsed());
                }
                Some("turn/completed") => break,
                _ => {}
            }
        }
        self.call("thread/unsubscribe", &json!({"threadId": thread})).await?;
        first.context("the turn had no delta")
    }

    async fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"id": id, "method": method, "params": params})).await?;
        loop {
            let mut message = self.read().await?;
            if message["id"] == id && message.get("method").is_none() {
                if let Some(error) = message.get("error") {
                    bail!("`{method}` failed: {error}");
                }
                return Ok(message["result"].take());
            }
        }
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.stdin.write_all(format!("{message}\n").as_bytes()).await?)
    }

    async fn read(&mut self) -> anyhow::Result<Value> {
        let line = self.lines.next_line().await?.context("the app-server is gone")?;
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) async fn stop(mut self) {
        self.process.stop(Duration::from_secs(2)).await;
    }
}
