//! The restart loop: one task per supervised process, one state machine, every wait also listening to
//! requests.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::exit::chain;
use crate::restart::{Lived, Restarts};
use crate::status::Board;
use crate::{ConnectError, Connected, ExitReason, Launch, Process, Role, Settings};

pub(crate) struct Worker<R: Role> {
    pub(crate) role: R,
    pub(crate) settings: Settings,
    pub(crate) asks: Asks,
    pub(crate) board: Board<R::Handle>,
}

/// What the owner wants.
pub(crate) struct Asks {
    pub(crate) requests: mpsc::Receiver<String>,
    pub(crate) shutdown: CancellationToken,
}

enum Ask {
    Restart(String),
    Shutdown,
}

/// How one start, and the life that may have followed, came to its end.
enum End {
    Asked(Ask),
    Failed(ExitReason),
}

/// What ended the handshake or the time of being ready.
enum Event {
    Asked(Ask),
    /// The process is gone and reaped.
    Exited(ExitReason),
    /// The process may still be there, but there is no use in it.
    Lost(ExitReason),
}

impl<R: Role> Worker<R> {
    pub(crate) async fn run(mut self) {
        let mut restarts = Restarts::new(self.settings.backoff.clone());
        loop {
            self.asks.forget();
            let (ended, lived) = match self.live().await {
                (End::Asked(Ask::Shutdown), _) => break,
                (End::Asked(Ask::Restart(_)), _) => continue,
                (End::Failed(reason), lived) => (reason, lived),
            };
            let Some(delay) = restarts.delay(lived, &ended, random()) else { continue };
            let until = Instant::now() + delay;
            self.board.backoff(until, restarts.attempts(), ended);
            select! {
                ask = self.asks.next() => if matches!(ask, Ask::Shutdown) { break },
                () = sleep_until(until) => {}
            }
        }
        self.board.close();
    }

    /// From `Starting` to `Exited`. No process is left when it returns.
    async fn live(&mut self) -> (End, Lived) {
        self.board.starting();
        let deadline = Instant::now() + self.settings.ready_within;
        let mut process = match self.spawn(deadline).await {
            Ok(process) => process,
            Err(End::Failed(reason)) => {
                self.board.failed(reason.clone(), None);
                return (End::Failed(reason), Lived::Unready);
            }
            Err(asked) => return (asked, Lived::Unready),
        };
        self.board.spawned(process.pid());

        let mut closed = match self.handshake(&mut process, deadline).await {
            Ok(Connected { handle, closed }) => {
                self.board.ready(handle);
                closed
            }
            Err(event) => return (self.end(process, event, never()).await, Lived::Unready),
        };
        let since = Instant::now();
        let event = select! {
            biased;
            ask = self.asks.next() => Event::Asked(ask),
            why = &mut closed => {
                closed = never();
                Event::Lost(ExitReason::ConnectionClosed(why))
            }
            exit = process.wait() => match timeout(LINGER, &mut closed).await {
                Ok(why) => {
                    closed = never();
                    Event::Lost(ExitReason::ConnectionClosed(why))
                }
                Err(_) => Event::Exited(exit),
            },
        };
        // A stable time shorter than the shortest delay would turn a crash loop into a busy loop.
        let stable_after = self.settings.stable_after.max(self.settings.backoff.min());
        let lived = if since.elapsed() >= stable_after { Lived::Long } else { Lived::Briefly };
        (self.end(process, event, closed).await, lived)
    }

    async fn spawn(&mut self, deadline: Instant) -> Result<Process, End> {
        let failed = |why| End::Failed(ExitReason::LaunchFailed(why));
        let launch: Launch = select! {
            biased;
            ask = self.asks.next() => return Err(End::Asked(ask)),
            launch = timeout_at(deadline, self.role.launch()) => match launch {
                Ok(Ok(launch)) => launch,
                Ok(Err(error)) => return Err(failed(chain(&error))),
                Err(_) => return Err(failed("its files were not prepared in time".to_owned())),
            },
        };
        Process::spawn(&launch).map_err(|error| failed(chain(&error)))
    }

    async fn handshake(
        &mut self,
        process: &mut Process,
        deadline: Instant,
    ) -> Result<Connected<R::Handle>, Event> {
        let (stdin, stdout) = process.take_stdio();
        let failed = |error: &ConnectError| Event::Lost(ExitReason::HandshakeFailed(chain(error)));
        let connect = timeout_at(deadline, self.role.connect(stdin, stdout));
        let mut connect = pin!(connect);
        let exit = select! {
            biased;
            ask = self.asks.next() => return Err(Event::Asked(ask)),
            connected = &mut connect => return match connected {
                Ok(Ok(connected)) => Ok(connected),
                Ok(Err(error)) => Err(failed(&error)),
                Err(_) => Err(Event::Lost(ExitReason::HandshakeTimeout)),
            },
            exit = process.wait() => exit,
        };
        // The group is gone and its pipes with it, so the role is about to notice: "no login" says more than
        // a code.
        match timeout(LINGER, connect).await {
            Ok(Ok(Err(error))) => Err(failed(&error)),
            _ => Err(Event::Exited(exit)),
        }
    }

    /// Brings the process to its end and says so.
    async fn end(&mut self, mut process: Process, event: Event, closed: BoxFuture<'static, String>) -> End {
        let reason = match event {
            Event::Asked(ask) => {
                self.board.draining(ask.why());
                let exit = alongside(process.stop(self.settings.stop_grace), closed).await;
                self.board.left(exit);
                return End::Asked(ask);
            }
            Event::Exited(reason) => reason,
            Event::Lost(reason) => {
                // A dying process closes its pipes a moment before its exit can be seen.
                let exit = match timeout(LINGER, process.wait()).await {
                    Ok(exit) => exit,
                    Err(_) => process.kill().await,
                };
                reason.explained_by(&exit)
            }
        };
        self.board.failed(reason.clone(), Some(process.stderr_tail()));
        End::Failed(reason)
    }
}

impl Asks {
    /// The next request. Cancel safe.
    async fn next(&mut self) -> Ask {
        select! {
            biased;
            () = self.shutdown.cancelled() => Ask::Shutdown,
            request = self.requests.recv() => request.map_or(Ask::Shutdown, Ask::Restart),
        }
    }

    /// A start answers every request that was made before it.
    fn forget(&mut self) {
        while self.requests.try_recv().is_ok() {}
    }
}

impl Ask {
    fn why(&self) -> &str {
        match self {
            Self::Restart(why) => why,
            Self::Shutdown => "shutdown",
        }
    }
}

/// Keeps the connection working while the process finishes.
async fn alongside<T>(main: impl Future<Output = T>, closed: BoxFuture<'static, String>) -> T {
    let connection = async {
        closed.await;
        std::future::pending().await
    };
    select! {
        output = main => output,
        output = connection => output,
    }
}

fn never() -> BoxFuture<'static, String> {
    Box::pin(std::future::pending())
}

/// From 0 to 1. Without entropy there is no jitter, which is no reason to stop.
fn random() -> f64 {
    getrandom::u32().map_or(0.0, |random| f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

/// How long the two signs of one death, broken pipes and an exit status, may lie apart.
const LINGER: Duration = Duration::from_millis(200);
