//! A scripted app-server: the protocol of Codex over stdin and stdout, and answers as their prompt wishes.
//!
//! It is there for what the real one can not show: the gateway's own ceiling. It knows nothing of models, so a turn
//! costs it microseconds.

mod faults;
mod lines;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lines::TurnLines;
use crate::wish::{Fault, Wish};

/// How many written pieces may wait for the pipe. Past it the reader waits, and with it whoever calls.
const OUTBOX: usize = 256;

/// Answers until stdin ends.
pub async fn serve() -> io::Result<()> {
    let input = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let output = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    let (outbox, pieces) = mpsc::channel(OUTBOX);
    let tasks = TaskTracker::new();
    tasks.spawn(write(output, pieces));
    let hears = CancellationToken::new();
    let mut server =
        Server { outbox, running: HashMap::new(), threads: 0, tasks: tasks.clone(), hears: hears.clone() };
    let Some(ended) = hears.run_until_cancelled(server.listen(input)).await else {
        // Deaf from now on: the input is closed, though the process lives on.
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        return std::future::pending().await;
    };
    ended?;
    drop(server);
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn write(mut output: pipe::Sender, mut pieces: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut batch = Vec::new();
    while pieces.recv_many(&mut batch, OUTBOX).await > 0 {
        // An empty piece closes the output, though the process lives on.
        if batch.iter().any(Vec::is_empty) {
            rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null")?)?;
            return Ok(());
        }
        output.write_all(&batch.concat()).await?;
        batch.clear();
    }
    Ok(())
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// Absent in an answer to what it has asked itself.
    #[serde(default)]
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The parameters of all calls that are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(default)]
    thread_id: String,
    #[serde(default)]
    input: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    text: String,
}

struct Server {
    outbox: mpsc::Sender<Vec<u8>>,
    /// Turns that take their time, by thread.
    running: HashMap<String, CancellationToken>,
    threads: u64,
    tasks: TaskTracker,
    /// Cancelled, it hears nothing more.
    hears: CancellationToken,
}

impl Server {
    /// Answers what comes, until the input ends.
    async fn listen(&mut self, input: pipe::Receiver) -> io::Result<()> {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).await? > 0 {
            self.on(&line).await?;
            line.clear();
        }
        Ok(())
    }

    async fn on(&mut self, line: &[u8]) -> io::Result<()> {
        let call: Call<'_> = serde_json::from_slice(line)?;
        let (Some(id), false) = (call.id.map(RawValue::get), call.method.is_empty()) else { return Ok(()) };
        match call.method {
            "account/read" => self.reply(id, r#"{"account":null,"requiresOpenaiAuth":false}"#).await,
            "model/list" => self.reply(id, MODELS).await,
            "thread/start" => {
                self.threads += 1;
                let thread = format!("019ac000-0000-7000-8000-{:012x}", self.threads);
                self.reply(id, &format!(r#"{{"thread":{{"id":"{thread}"}}}}"#)).await;
            }
            "turn/start" => {
                let params: Params = serde_json::from_str(call.params.map_or("{}", RawValue::get))?;
                self.start(id, params).await;
            }
            "turn/interrupt" => {
                let params: Params = serde_json::from_str(call.params.map_or("{}", RawValue::get))?;
                if let Some(turn) = self.running.remove(&params.thread_id) {
                    turn.cancel();
                }
                self.reply(id, "{}").await;
            }
            _ => self.reply(id, "{}").await,
        }
        Ok(())
    }

    async fn start(&mut self, id: &str, params: Params) {
        let prompt: String = params.input.into_iter().map(|input| input.text).collect();
        let wish = Wish::of_prompt(&prompt);
        let lines = TurnLines::new(&params.thread_id);
        if wish.fault == Some(Fault::Silent) {
            return;
        }
        let mut out = format!(r#"{{"id":{id},"result":{{"turn":{{"id":"{}"}}}}}}"#, lines.turn).into_bytes();
        out.push(b'\n');
        if wish.every.is_zero() && !wish.hang && wish.fault.is_none() {
            lines.begin(&mut out);
            for number in 0..wish.deltas {
                lines.delta(&wish.delta(number), &mut out);
            }
            lines.end(&wish.text(), "completed", &mut out);
            self.send(out).await;
            return;
        }
        let reply = if let Some(Fault::ReplyMidway | Fault::ReplyLast) = wish.fault {
            out
        } else {
            self.send(out).await;
            Vec::new()
        };
        let stop = CancellationToken::new();
        self.running.insert(params.thread_id, stop.clone());
        self.running.retain(|_, turn| !turn.is_cancelled());
        self.tasks.spawn(play(lines, reply, wish, self.outbox.clone(), stop, self.hears.clone()));
    }

    async fn reply(&self, id: &str, result: &str) {
        self.send(format!("{{\"id\":{id},\"result\":{result}}}\n").into_bytes()).await;
    }

    async fn send(&self, piece: Vec<u8>) {
        // Fails when nobody reads stdout any more; then stdin ends, too.
        let _gone = self.outbox.send(piece).await;
    }
}

/// A turn that takes its time. The reply to its start is empty, or to come later.
async fn play(
    lines: TurnLines,
    mut reply: Vec<u8>,
    wish: Wish,
    outbox: mpsc::Sender<Vec<u8>>,
    stop: CancellationToken,
    hears: CancellationToken,
) {
    let mut out = Vec::new();
    lines.begin(&mut out);
    let mut status = "completed";
    let mut tick = (!wish.every.is_zero()).then(|| tokio::time::interval(wish.every));
    for number in 0..wish.deltas {
        if let Some(tick) = &mut tick {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => {
                    status = "interrupted";
                    break;
                }
            }
        }
        lines.delta(&wish.delta(number), &mut out);
        if number == wish.deltas / 2
            && let Some(fault) = wish.fault
        {
            faults::commit(fault, &mut out, &outbox, &hears).await;
            if fault == Fault::ReplyMidway {
                out.append(&mut reply);
            }
        }
        if outbox.send(std::mem::take(&mut out)).await.is_err() {
            return;
        }
    }
    if wish.hang || wish.fault == Some(Fault::NoEnd) {
        stop.cancelled().await;
        status = "interrupted";
    }
    lines.end(&wish.text(), status, &mut out);
    out.append(&mut reply);
    let _gone = outbox.send(out).await;
    stop.cancel();
}

/// The models that it says it has.
const MODELS: &str = r#"{"data":[{"id":"gpt-5.5","model":"gpt-5.5","displayName":"Scripted","hidden":false,"supportedReasoningEfforts":[],"inputModalities":["text"]}],"nextCursor":null}"#;

/// What `codex debug models --bundled` prints.
pub const CATALOG: &str = r#"{"models":[{"slug":"gpt-5.5","display_name":"Scripted","visibility":"list"}]}"#;
