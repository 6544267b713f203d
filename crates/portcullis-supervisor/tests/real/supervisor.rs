use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portcullis_supervisor::{
    Backoff, ConnectError, Connected, ExitReason, Launch, LaunchError, Role, Settings, State, Status,
    Supervisor,
};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;

use crate::support::{LONG, dies, exists, lines, runs, sh, signal, until};

/// Runs the given scripts in turn, the last one again and again. A script is ready when it prints a line,
/// which is the handle; a line `lost` afterwards, or the end of its output, closes the connection.
struct Scripts {
    scripts: Vec<&'static str>,
    starts: AtomicU32,
}

#[async_trait]
impl Role for Scripts {
    type Handle = String;

    fn name(&self) -> &'static str {
        "scripts"
    }

    async fn launch(&self) -> Result<Launch, LaunchError> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed) as usize;
        match self.scripts[start.min(self.scripts.len() - 1)] {
            "" => Err(LaunchError::new("no script")),
            script => Ok(sh(script)),
        }
    }

    async fn connect(
        &self,
        stdin: ChildStdin,
        stdout: ChildStdout,
    ) -> Result<Connected<String>, ConnectError> {
        let mut lines = lines(stdout);
        let line = lines.next_line().await.map_err(ConnectError::new)?;
        let handle = line.ok_or_else(|| ConnectError::new("no greeting"))?;
        let closed = async move {
            let _held_open = stdin;
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "lost" {
                    return "told so".to_owned();
                }
            }
            "end of output".to_owned()
        };
        Ok(Connected { handle, closed: Box::pin(closed) })
    }
}

/// Prints its own and its grandchild's pid as the greeting.
const FAMILY: &str = "sleep 1000 & echo $$ $!; wait";

fn settings() -> Settings {
    Settings {
        ready_within: LONG,
        stop_grace: LONG,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(40), 0.0).expect("valid"),
        stable_after: Duration::from_hours(1),
    }
}

fn start(scripts: &[&'static str], settings: Settings) -> Supervisor<String> {
    Supervisor::start(Scripts { scripts: scripts.to_vec(), starts: AtomicU32::new(0) }, settings)
}

async fn seen(
    status: &mut watch::Receiver<Status<String>>,
    what: impl FnMut(&Status<String>) -> bool,
) -> Status<String> {
    tokio::time::timeout(LONG, status.wait_for(what)).await.expect("in time").expect("runs").clone()
}

fn pids(handle: &str) -> [u32; 2] {
    let pids: Vec<_> = handle.split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    pids.try_into().expect("two pids")
}

#[tokio::test]
async fn a_killed_process_is_replaced_with_its_group() {
    let supervisor = start(&[FAMILY], settings());
    let [first, grandchild] = pids(&supervisor.ready(LONG).await.expect("ready"));
    let mut status = supervisor.status();
    assert_eq!(status.borrow().pid, Some(first));
    signal(first, rustix::process::Signal::KILL);

    let now = seen(&mut status, |status| status.restarts == 1 && status.state.handle().is_some()).await;
    let [second, _] = pids(now.state.handle().expect("ready"));
    assert_ne!(first, second);
    assert_eq!((now.pid, now.last_exit), (Some(second), Some(ExitReason::Signal(9))));
    assert!(!exists(first) && runs(second));
    dies(grandchild).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn shutdown_leaves_nothing() {
    let supervisor = start(&[FAMILY], settings());
    let mut status = supervisor.status();
    let [leader, grandchild] = pids(&supervisor.ready(LONG).await.expect("ready"));
    supervisor.shutdown().await;
    assert!(!exists(leader), "reaped");
    dies(grandchild).await;
    let last = status.borrow_and_update().clone();
    assert!(matches!(last.state, State::Exited));
    assert_eq!((last.pid, last.last_exit), (None, Some(ExitReason::Signal(15))));
    assert!(status.changed().await.is_err(), "nobody writes the status any more");
}

#[tokio::test]
async fn dropping_the_supervisor_kills_the_group() {
    let supervisor = start(&[FAMILY], settings());
    let mut status = supervisor.status();
    let [leader, grandchild] = pids(&supervisor.ready(LONG).await.expect("ready"));
    drop(supervisor);
    dies(leader).await;
    dies(grandchild).await;
    seen(&mut status, |status| matches!(status.state, State::Exited) && status.pid.is_none()).await;
}

#[tokio::test]
async fn a_silent_process_runs_out_of_time_and_another_follows() {
    let settings = Settings { ready_within: Duration::from_millis(100), ..settings() };
    let supervisor = start(&["echo quiet >&2; exec sleep 1000"], settings);
    let mut status = supervisor.status();
    let pid = seen(&mut status, |status| status.pid.is_some()).await.pid.expect("started");
    let failed = seen(&mut status, |status| matches!(status.state, State::Backoff { .. })).await;
    assert!(matches!(failed.state, State::Backoff { attempts: 1, last: ExitReason::HandshakeTimeout, .. }));
    assert_eq!(failed.stderr_tail.as_deref(), Some("quiet\n"));
    assert!(!exists(pid));
    seen(&mut status, |status| status.restarts == 2).await;
    let refused = supervisor.ready(Duration::ZERO).await.expect_err("never ready");
    assert_eq!(refused.last_exit, Some(ExitReason::HandshakeTimeout));
    supervisor.shutdown().await;
}

#[tokio::test]
async fn every_way_to_fail_is_named_and_followed_by_backoff() {
    let supervisor = start(
        &["", "exit 4", "echo hello; echo lost; exec sleep 1000", "echo at last; exec cat"],
        Settings {
            backoff: Backoff::new(Duration::from_millis(300), Duration::from_hours(1), 0.0).expect("valid"),
            ..settings()
        },
    );
    let mut status = supervisor.status();
    for (attempt, reason) in [
        (1, ExitReason::LaunchFailed("no script".into())),
        (2, ExitReason::HandshakeFailed("no greeting; the process exited with code 4".into())),
        (3, ExitReason::ConnectionClosed("told so".into())),
    ] {
        let failed = seen(
            &mut status,
            |status| matches!(status.state, State::Backoff { attempts, .. } if attempts == attempt),
        )
        .await;
        assert_eq!(failed.last_exit, Some(reason));
        // A request ends the wait, so that an operator who has repaired something need not sit it out.
        supervisor.restart("repaired");
    }
    assert_eq!(supervisor.ready(LONG).await.as_deref(), Ok("at last"));
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_crash_loop_backs_off_further_each_time_and_never_gives_up() {
    let supervisor = start(&["echo hello; exit 1"], settings());
    let mut status = supervisor.status();
    let failed =
        seen(&mut status, |status| matches!(status.state, State::Backoff { attempts: 6.., .. })).await;
    assert!(failed.restarts >= 5);
    supervisor.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_stable_process_is_followed_by_an_immediate_start() {
    // Long enough that a test that is slow to look still sees a wait.
    let delay = Duration::from_millis(400);
    let backoff = Backoff::new(delay, delay, 0.0).expect("valid");
    let supervisor = start(&[FAMILY], Settings { backoff, stable_after: delay, ..settings() });
    let mut status = supervisor.status();
    let first = supervisor.ready(LONG).await.expect("ready");
    let ready = Instant::now();
    until("the process is stable", || ready.elapsed() > delay).await;
    // As a crash: a kill from outside would be forgiven in any case.
    signal(pids(&first)[0], rustix::process::Signal::SEGV);
    let mut waited = false;
    let again = seen(&mut status, |status| {
        waited |= matches!(status.state, State::Backoff { .. });
        status.restarts == 1 && status.state.handle().is_some()
    });
    again.await;
    assert!(!waited);
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_requested_replacement_drains_first_and_is_not_a_failure() {
    let polite = "trap 'echo bye >&2; exit 0' TERM; sleep 1000 & echo $$ $!; wait";
    let supervisor = start(&[polite], settings());
    let mut status = supervisor.status();
    let [first, _] = pids(&supervisor.ready(LONG).await.expect("ready"));
    supervisor.restart("new configuration");
    supervisor.restart("new configuration");
    let now = seen(&mut status, |status| status.restarts == 1 && status.state.handle().is_some()).await;
    assert_ne!(now.pid, Some(first));
    assert_eq!((now.last_exit, now.stderr_tail), (Some(ExitReason::Clean), None));
    supervisor.shutdown().await;
}
