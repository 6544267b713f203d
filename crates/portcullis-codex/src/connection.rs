//! One app-server on the other end of two pipes: calls go out, replies and notifications come in.
//!
//! One task per worker reads and never waits for anybody: the pipe is always drained. Whoever calls writes. At most
//! 64 calls are in flight, because the app-server refuses from about 150 and beyond some 400 drops replies silently;
//! so every call also has a deadline, and a call that meets it makes the worker suspect: it is asked a question that
//! it must answer, and when it does not, the connection is closed and the supervisor replaces the worker.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use portcullis_agent::{ApprovalKind, Verdict};
use portcullis_app_server_protocol::{
    AccountReadParams, ApprovalDecision, ApprovalResponse, Incoming, Method, Notification, RpcError,
    ThreadUnsubscribeParams, ToolCallRequest, TurnInterruptParams, notification_line, reply_error_line,
    reply_line, request_line,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::outbox::Outbox;
use crate::replies::{CallError, Replies, ReplyFault};
use crate::router::{Chore, Router};

/// How many calls may be in flight at once.
const IN_FLIGHT: usize = 64;
/// The longest line that is read. A 20 MiB picture is a line of 28 MB; twice that is no honest message.
const LONGEST_LINE: usize = 64 * 1024 * 1024;
/// A line that outgrows this gets the room of the longest at once. The allocator gives such a room back as a whole; one that grows
/// by doubling leaves its steps behind.
const HUGE_LINE: usize = 1024 * 1024;
/// How long a call may take. The slowest seen under 128 pipelined calls is 1.3 s.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// How long an interrupted turn may take to say that it is over, and one of which nothing is known to say that it runs.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// How long a suspect worker has for a question that costs it nothing.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// One app-server on the other end of two pipes. Dropping it ends its tasks.
pub(crate) struct Connection {
    replies: Arc<Replies>,
    outbox: Arc<Outbox>,
    in_flight: Semaphore,
    suspect: Arc<Notify>,
    _stop: DropGuard,
}

/// A connection, its router, and what to wait for.
pub(crate) struct Opened {
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Arc<Router>,
    /// Resolves with the reason when the connection can not be used any more.
    pub(crate) closed: BoxFuture<'static, String>,
}

impl Connection {
    /// Starts the tasks of a connection.
    #[expect(
        clippy::disallowed_methods,
        reason = "unbounded channels: each says what bounds it where it is declared"
    )]
    pub(crate) fn open(stdin: ChildStdin, stdout: ChildStdout) -> std::io::Result<Opened> {
        let outbox = Arc::new(Outbox::new(stdin)?);
        let (chores, todo) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let replies = Arc::new(Replies::default());
        let router = Arc::new(Router::new(chores));
        let suspect = Arc::new(Notify::new());
        let connection = Arc::new(Self {
            replies: Arc::clone(&replies),
            outbox: Arc::clone(&outbox),
            in_flight: Semaphore::new(IN_FLIGHT),
            suspect: Arc::clone(&suspect),
            _stop: stop.clone().drop_guard(),
        });

        let tasks = TaskTracker::new();
        let reader =
            tasks.spawn(read_lines(stdout, Arc::clone(&replies), Arc::clone(&router), Arc::clone(&outbox)));
        let writer = tasks.spawn(async move { outbox.keep_writing().await });
        let keeper = tasks.spawn(do_chores(todo, Arc::downgrade(&connection), Arc::clone(&router)));
        let watch = watch_suspect(suspect, Arc::downgrade(&connection));
        let (for_replies, for_router) = (replies, Arc::clone(&router));
        let (ended, closed) = tokio::sync::oneshot::channel();
        // Ends when the connection ends or is dropped; the last thing it does is to release everybody who waits.
        tasks.spawn(async move {
            let aborts = [reader.abort_handle(), writer.abort_handle(), keeper.abort_handle()];
            let why = tokio::select! {
                why = reader => why.unwrap_or_else(|e| format!("the reader broke: {e}")),
                why = writer => why.unwrap_or_else(|e| format!("the writer broke: {e}")),
                why = watch => why,
                () = stop.cancelled() => "the connection was given up".to_owned(),
            };
            for abort in aborts {
                abort.abort();
            }
            for_replies.fail_all(&why);
            for_router.fail_all(&why);
            let _nobody_waits = ended.send(why);
        });
        tasks.close();
        let closed =
            Box::pin(
                async move { closed.await.unwrap_or_else(|_| "the connection's task is gone".to_owned()) },
            );
        Ok(Opened { connection, router, closed })
    }

    /// Whether it can still be used.
    pub(crate) fn is_open(&self) -> bool {
        self.replies.are_expected()
    }

    /// Calls a method and waits for its result, at most until `deadline`. "Overloaded" is asked again.
    pub(crate) async fn call<M: Method + Sync>(
        &self,
        params: &M,
        within: Duration,
    ) -> Result<M::Response, CallError> {
        let deadline = Instant::now() + within;
        let mut pause = Duration::from_millis(10);
        loop {
            let result = self.call_once(params, deadline).await;
            match &result {
                Err(CallError::Refused { error, .. })
                    if error.code == RpcError::OVERLOADED && Instant::now() + pause < deadline =>
                {
                    tokio::time::sleep(jittered(pause)).await;
                    pause *= 2;
                }
                _ => return result,
            }
        }
    }

    async fn call_once<M: Method + Sync>(
        &self,
        params: &M,
        deadline: Instant,
    ) -> Result<M::Response, CallError> {
        let method = M::NAME;
        let late = CallError::Late { method };
        let _place = timeout_at(deadline, self.in_flight.acquire())
            .await
            .map_err(|_elapsed| late.clone())?
            .expect("the semaphore is never closed");
        let mut waiting = self.replies.expect().map_err(|why| CallError::Gone { why })?;
        self.send(&request_line(waiting.id, params));
        let reply = match timeout_at(deadline, &mut waiting.reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_dropped)) => return Err(CallError::Gone { why: "the connection is gone".into() }),
            Err(_elapsed) => {
                self.suspect.notify_one();
                return Err(late);
            }
        };
        match reply {
            Ok(result) => serde_json::from_str(result.get())
                .map_err(|error| CallError::Shape { method, why: error.to_string() }),
            Err(ReplyFault::Refused(error)) => Err(CallError::Refused { method, error }),
            Err(ReplyFault::Gone(why)) => Err(CallError::Gone { why }),
        }
    }

    /// Tells the app-server something that has no answer.
    pub(crate) fn notify(&self, method: &str) {
        self.send(&notification_line(method));
    }

    /// Writes a line. It is lost only when the worker is gone, and then every waiting call fails by itself.
    pub(crate) fn send(&self, line: &[u8]) {
        self.outbox.send(line);
    }
}

/// Half to all of a duration, so that those who wait do not all come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

async fn read_lines(
    stdout: ChildStdout,
    replies: Arc<Replies>,
    router: Arc<Router>,
    outbox: Arc<Outbox>,
) -> String {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        let available = match reader.fill_buf().await {
            Ok([]) => return "the app-server closed its output".to_owned(),
            Ok(available) => available,
            Err(error) => return format!("the app-server's output can not be read: {error}"),
        };
        let end = memchr::memchr(b'\n', available);
        let take = end.unwrap_or(available.len());
        if line.len() + take > LONGEST_LINE {
            return format!("the app-server sent a line of more than {LONGEST_LINE} bytes");
        }
        // A line that lies whole in the buffer, as nearly all do, is not copied.
        let handled = match (end, line.is_empty()) {
            (Some(_), true) => handle(&available[..take], &replies, &router, &outbox),
            (found, _) => {
                if line.len() + take > HUGE_LINE && line.capacity() < LONGEST_LINE {
                    line.reserve_exact(LONGEST_LINE - line.len());
                }
                line.extend_from_slice(&available[..take]);
                match found {
                    Some(_) => {
                        let handled = handle(&line, &replies, &router, &outbox);
                        line = Vec::new();
                        handled
                    }
                    None => Ok(()),
                }
            }
        };
        if let Err(why) = handled {
            return why;
        }
        reader.consume(take + usize::from(end.is_some()));
    }
}

fn handle(line: &[u8], replies: &Replies, router: &Router, outbox: &Outbox) -> Result<(), String> {
    match Incoming::parse(line).map_err(|error| error.to_string())? {
        Incoming::Reply { id, result } => replies.deliver(id, result),
        Incoming::Notification { method, params } => match Notification::parse(&method, params) {
            Ok(Notification::Warning(warning)) => {
                let text = warning.summary.or(warning.message).unwrap_or_default();
                tracing::debug!(codex.notification = %method, "Codex warns: {text}");
            }
            Ok(notification) => router.notify(notification),
            // Another version's notification in a form of its own: one turn may miss something, the others go on.
            Err(error) => tracing::warn!("`{method}` is not as its schema says and is left out: {error}"),
        },
        Incoming::Request { id, method, params } => {
            let params = params.get();
            let asked = |kind| {
                serde_json::from_str(params).is_ok_and(|asked| router.approval_request(kind, asked, id))
            };
            let answered = match &*method {
                "item/tool/call" => serde_json::from_str::<ToolCallRequest>(params)
                    .is_ok_and(|request| router.tool_request(&request, id)),
                "item/commandExecution/requestApproval" => asked(ApprovalKind::Command),
                "item/fileChange/requestApproval" => asked(ApprovalKind::FileChange),
                // More than a profile gives is granted to nobody.
                _ => false,
            };
            if !answered {
                // Whatever it is, nobody here grants it; without an answer the turn would hang.
                tracing::debug!(codex.request = %method, "Codex asked for `{method}` and was refused");
                outbox.send(&reply_error_line(id, -32601, "Portcullis does not answer this request"));
            }
        }
    }
    Ok(())
}

/// Interrupts and releases, each with its own deadline, side by side.
async fn do_chores(
    mut todo: mpsc::UnboundedReceiver<Chore>,
    connection: std::sync::Weak<Connection>,
    router: Arc<Router>,
) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            chore = todo.recv() => match (chore, connection.upgrade()) {
                (Some(chore), Some(connection)) => running.push(do_chore(chore, connection, Arc::clone(&router))),
                _ => return,
            },
            Some(()) = running.next() => {}
        }
    }
}

async fn do_chore(chore: Chore, connection: Arc<Connection>, router: Arc<Router>) {
    match &chore {
        Chore::Interrupt { thread, turn } => {
            let params = TurnInterruptParams { thread_id: thread.to_string(), turn_id: turn.to_string() };
            let result = connection.call(&params, CALL_DEADLINE).await;
            report(&chore, result);
            // The end is told a few milliseconds later. If it never is, the place must not be lost with it.
            drop(connection);
            tokio::time::sleep(END_DEADLINE).await;
            router.forget(thread);
        }
        Chore::GiveUp { thread } => {
            drop(connection);
            tokio::time::sleep(END_DEADLINE).await;
            router.forget(thread);
        }
        Chore::Ask { approvals, question, reply_to, over } => {
            let verdict = tokio::select! {
                verdict = approvals.ask(question.clone()) => verdict,
                () = over.cancelled() => return,
            };
            let decision = match verdict {
                Verdict::Approved => ApprovalDecision::Accept,
                _ => ApprovalDecision::Decline,
            };
            connection.send(&reply_line(reply_to, &ApprovalResponse { decision }));
        }
        Chore::Release { thread } => {
            let params = ThreadUnsubscribeParams { thread_id: thread.to_string() };
            report(&chore, connection.call(&params, CALL_DEADLINE).await);
        }
    }
}

/// An interrupt can cross with the turn's own end, and a dead worker has no threads.
fn report(chore: &Chore, result: Result<serde_json::Value, CallError>) {
    if let Err(error) = result {
        tracing::debug!(error = %error, "Codex did not carry out {chore:?}");
    }
}

/// Resolves when a suspect worker does not answer a question that costs it nothing.
async fn watch_suspect(suspect: Arc<Notify>, connection: std::sync::Weak<Connection>) -> String {
    loop {
        suspect.notified().await;
        let Some(connection) = connection.upgrade() else { return "the connection was given up".to_owned() };
        tracing::warn!("A worker did not answer a call in time; asking whether it is still there");
        let question = AccountReadParams { refresh_token: false };
        let answer = connection.call_once(&question, Instant::now() + PROBE_DEADLINE).await;
        // A refusal is an answer: Codex asks the login's service, which may be away.
        if matches!(answer, Err(CallError::Late { .. } | CallError::Gone { .. })) {
            return "the app-server does not answer any more".to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_supervisor::{Launch, Process};

    use super::*;

    /// A process that is no app-server: what the real one will not do on demand.
    fn open(script: &str) -> (Process, Opened) {
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            cwd: "/".into(),
        };
        let mut process = Process::spawn(&launch).unwrap();
        let (stdin, stdout) = process.take_stdio();
        (process, Connection::open(stdin, stdout).unwrap())
    }

    #[tokio::test]
    async fn a_broken_app_server_is_given_up_with_its_reason_and_nobody_waits() {
        let table = [
            ("echo '{\"id\":'; sleep 60", "is not a message"),
            ("printf '\\377\\376\\n'; sleep 60", "is not a message"),
            ("head -c 70000000 /dev/zero; sleep 60", "a line of more than"),
            ("exec 1>&-; sleep 60", "closed its output"),
            ("exec 0<&-; sleep 60", "input"),
        ];
        for (script, reason) in table {
            let (_process, Opened { connection, closed, .. }) = open(script);
            // A call that is made before, and one that is made after: both fail at once.
            let call = AccountReadParams { refresh_token: false };
            let (why, early) = tokio::join!(closed, connection.call(&call, CALL_DEADLINE));
            assert!(why.contains(reason), "{script}: {why}");
            assert!(matches!(early, Err(CallError::Gone { .. })), "{script}: {early:?}");
            assert!(!connection.is_open());
            let late = connection.call(&call, CALL_DEADLINE).await;
            assert!(matches!(late, Err(CallError::Gone { .. })), "{script}: {late:?}");
        }
    }

    /// News of a later version are left alone, and what it asks is answered: without an answer it would hang.
    #[tokio::test]
    async fn what_is_not_known_is_left_alone_or_refused() {
        let script = r#"
            echo '{"method":"something/new","params":{"threadId":"t"}}'
            echo '{"method":"turn/completed","params":{"in":"another form"}}'
            echo '{"id":7,"method":"item/commandExecution/requestApproval","params":{}}'
            while read line; do case "$line" in *'"id":7'*'"error"'*) refused=1 ;; *) break ;; esac; done
            [ -n "$refused" ] || read line
            echo '{"id":1,"result":{"account":null,"requiresOpenaiAuth":true}}'
            sleep 60
        "#;
        let (_process, Opened { connection, closed, .. }) = open(script);
        let call = AccountReadParams { refresh_token: false };
        let answer = tokio::select! {
            answer = connection.call(&call, CALL_DEADLINE) => answer.unwrap(),
            why = closed => panic!("it was given up: {why}"),
        };
        assert!(answer.requires_openai_auth);
    }
}
