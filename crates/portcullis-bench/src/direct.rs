//! An app-server driven with as little as possible: what the gateway adds is measured against this.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use camino::Utf8Path;
use portcullis_supervisor::{Launch, Process};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::target::Answer;
use crate::wish::{Wish, now};

/// Where the app-server begins to refuse calls is not far above.
const IN_FLIGHT: usize = 64;
/// Notifications of one thread that were not looked at yet; the asker looks at once.
const UNREAD: usize = 100_000;

/// A running app-server.
pub(crate) struct Direct {
    process: AsyncMutex<Process>,
    pub(crate) pid: u32,
    stdin: AsyncMutex<ChildStdin>,
    table: Arc<Mutex<Table>>,
    next: AtomicU64,
    places: Semaphore,
    cwd: String,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Table {
    replies: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    threads: HashMap<String, mpsc::Sender<Note>>,
}

enum Note {
    Delta { bytes: usize, age: Option<Duration> },
    Over(bool),
}

impl Direct {
    /// Starts one. `home` is its CODEX_HOME.
    pub(crate) async fn start(program: &Utf8Path, home: &Utf8Path) -> anyhow::Result<Arc<Self>> {
        let env = [
            ("CODEX_HOME", home.as_str()),
            ("HOME", "/nonexistent"),
            ("PATH", "/nonexistent"),
            ("LANG", "C.UTF-8"),
        ];
        let mut process = Process::spawn(&Launch {
            program: program.to_owned(),
            args: vec!["app-server".to_owned()],
            env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            cwd: home.to_owned(),
        })?;
        let (stdin, stdout) = process.take_stdio();
        let table = Arc::new(Mutex::new(Table::default()));
        #[expect(clippy::disallowed_methods, reason = "aborted with the app-server")]
        let reader = tokio::task::spawn(read(stdout, Arc::clone(&table)));
        let this = Arc::new(Self {
            pid: process.pid(),
            process: AsyncMutex::new(process),
            stdin: AsyncMutex::new(stdin),
            table,
            next: AtomicU64::new(1),
            places: Semaphore::new(IN_FLIGHT),
            cwd: home.to_string(),
            _reader: AbortOnDropHandle::new(reader),
        });
        let not_read = portcullis_app_server_protocol::Notification::NOT_READ;
        let hello = json!({
            "clientInfo": {"name": "bench", "title": "bench", "version": "0"},
            "capabilities": {"experimentalApi": true, "optOutNotificationMethods": not_read},
        });
        this.call("initialize", &hello).await?;
        this.send(&json!({"method": "initialized"})).await?;
        Ok(this)
    }

    /// One turn on a thread of its own.
    pub(crate) async fn ask(&self, wish: Wish, since: Instant) -> anyhow::Result<Answer> {
        let started = self
            .call("thread/start", &json!({
                "ephemeral": true, "cwd": self.cwd, "sandbox": "read-only", "approvalPolicy": "never",
                "environments": [], "experimentalRawEvents": true, "baseInstructions": "", "dynamicTools": [],
                "model": "gpt-5.5",
            }))
            .await?;
        let thread = started["thread"]["id"].as_str().context("a thread without an id")?.to_owned();
        let (notes, mut come) = mpsc::channel(UNREAD);
        self.table().threads.insert(thread.clone(), notes);
        let input = json!([{"type": "text", "text": wish.prompt()}]);
        self.call("turn/start", &json!({"threadId": thread, "input": input, "summary": "none"})).await?;
        let mut answer = Answer::default();
        while let Some(note) = come.recv().await {
            match note {
                Note::Delta { bytes, age } => {
                    if answer.first.is_zero() {
                        answer.first = since.elapsed();
                    }
                    answer.text += bytes;
                    answer.ages.extend(age);
                }
                Note::Over(well) => {
                    answer.status = if well { 200 } else { 500 };
                    break;
                }
            }
        }
        answer.whole = since.elapsed();
        self.table().threads.remove(&thread);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let params = json!({"threadId": thread});
        self.send(&json!({"id": id, "method": "thread/unsubscribe", "params": params})).await?;
        Ok(answer)
    }

    async fn call(&self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let _place = self.places.acquire().await?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (to, reply) = oneshot::channel();
        self.table().replies.insert(id, to);
        self.send(&json!({"id": id, "method": method, "params": params})).await?;
        reply.await.context("the app-server is gone")?.map_err(|why| anyhow!("`{method}` failed: {why}"))
    }

    async fn send(&self, message: &Value) -> anyhow::Result<()> {
        Ok(self.stdin.lock().await.write_all(format!("{message}\n").as_bytes()).await?)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn stop(&self) {
        self.process.lock().await.stop(Duration::from_secs(2)).await;
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    id: Option<u64>,
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    result: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    thread_id: &'a str,
    #[serde(default)]
    delta: String,
    turn: Option<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    #[serde(default)]
    status: String,
}

/// Ends with the pipe; whoever waits then finds its channel closed.
async fn read(stdout: ChildStdout, table: Arc<Mutex<Table>>) {
    let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    while matches!(stdout.read_until(b'\n', &mut line).await, Ok(1..)) {
        if let Ok(read) = serde_json::from_slice::<Line<'_>>(&line) {
            on(read, &mut table.lock().unwrap_or_else(PoisonError::into_inner));
        }
        line.clear();
    }
    *table.lock().unwrap_or_else(PoisonError::into_inner) = Table::default();
}

fn on(line: Line<'_>, table: &mut Table) {
    match line {
        Line { id: Some(id), method: None, result, error, .. } => {
            if let Some(to) = table.replies.remove(&id) {
                let reply = error.map_or(Ok(result.unwrap_or_default()), |error| Err(error.to_string()));
                let _gave_up = to.send(reply);
            }
        }
        Line { method: Some(method @ ("item/agentMessage/delta" | "turn/completed")), params, .. } => {
            let Some(Ok(params)) = params.map(|params| serde_json::from_str::<Params<'_>>(params.get()))
            else {
                return;
            };
            let Some(notes) = table.threads.get(params.thread_id) else { return };
            let note = if method == "turn/completed" {
                Note::Over(params.turn.is_some_and(|turn| turn.status == "completed"))
            } else {
                let written = params.delta.trim_end().parse().ok();
                let age = written.map(|written: u64| Duration::from_nanos(now().saturating_sub(written)));
                Note::Delta { bytes: params.delta.len(), age }
            };
            let _gave_up = notes.try_send(note);
        }
        _ => {}
    }
}
