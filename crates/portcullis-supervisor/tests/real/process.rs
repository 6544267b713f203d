use std::time::{Duration, Instant};

use portcullis_supervisor::{ExitReason, Process, SpawnError};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use crate::support::{LONG, dies, exists, lines, next_line, runs, sh, signal, until};

/// A leader that runs `then` after it has started a grandchild, whose pid it prints.
async fn with_grandchild(then: &str) -> (Process, ChildStdin, u32) {
    let mut process = Process::spawn(&sh(&format!("sleep 1000 & echo $!; {then}"))).expect("starts");
    let (stdin, stdout) = process.take_stdio();
    let grandchild = next_line(&mut lines(stdout)).await.parse().expect("a pid");
    assert!(runs(grandchild));
    (process, stdin, grandchild)
}

#[tokio::test]
async fn stop_ends_the_whole_group() {
    let (mut process, _stdin, grandchild) = with_grandchild("wait").await;
    assert_eq!(process.stop(LONG).await, ExitReason::Signal(15));
    assert!(!exists(process.pid()), "the leader is reaped");
    dies(grandchild).await;
    assert_eq!(process.stop(LONG).await, ExitReason::Signal(15), "the answer stays");
}

#[tokio::test]
async fn dropping_kills_the_whole_group() {
    let (process, _stdin, grandchild) = with_grandchild("trap '' TERM; wait").await;
    let leader = process.pid();
    drop(process);
    dies(leader).await;
    dies(grandchild).await;
}

#[tokio::test]
async fn a_leader_that_exits_takes_its_group_along() {
    let (mut process, mut stdin, grandchild) = with_grandchild("read line; exit 3").await;
    stdin.write_all(b"go\n").await.expect("writes");
    assert_eq!(process.wait().await, ExitReason::Code(3));
    assert!(!exists(process.pid()));
    dies(grandchild).await;
}

#[tokio::test]
async fn a_child_that_ignores_term_is_killed_after_the_grace() {
    let (mut process, _stdin, grandchild) =
        with_grandchild("trap '' TERM; while :; do sleep 1000; done").await;
    let grace = Duration::from_millis(150);
    // The trap is set after the grandchild's pid is printed, so let `/proc` say when TERM (bit 14) is
    // ignored.
    until("TERM is ignored", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0").trim();
        u64::from_str_radix(ignored, 16).is_ok_and(|mask| mask & (1 << 14) != 0)
    })
    .await;
    let begun = Instant::now();
    assert_eq!(process.stop(grace).await, ExitReason::Killed);
    assert!(begun.elapsed() >= grace);
    assert!(!exists(process.pid()));
    dies(grandchild).await;
}

#[tokio::test]
async fn a_cancelled_wait_can_be_repeated_and_a_foreign_kill_is_named() {
    let mut process = Process::spawn(&sh("exec sleep 1000")).expect("starts");
    let moment = Duration::from_millis(5);
    assert!(tokio::time::timeout(moment, process.wait()).await.is_err());
    signal(process.pid(), rustix::process::Signal::KILL);
    assert_eq!(process.wait().await, ExitReason::Signal(9));
    assert_eq!(process.wait().await, ExitReason::Signal(9));
}

#[tokio::test]
async fn a_mebibyte_on_stderr_blocks_nobody_and_only_its_tail_is_kept() {
    let script = "head -c 1048576 /dev/zero | tr '\\0' x >&2; echo the end >&2";
    let mut process = Process::spawn(&sh(script)).expect("starts");
    assert_eq!(tokio::time::timeout(LONG, process.wait()).await, Ok(ExitReason::Clean));
    let tail = process.stderr_tail();
    assert_eq!(tail.len(), 64 * 1024);
    assert!(tail.starts_with("xxx") && tail.ends_with("xthe end\n"));
}

#[tokio::test]
async fn a_descendant_that_left_the_group_does_not_hold_up_the_end() {
    let mut process =
        Process::spawn(&sh("setsid sh -c 'echo $$; exec sleep 1000' & read line")).expect("starts");
    let (stdin, stdout) = process.take_stdio();
    let escaped = next_line(&mut lines(stdout)).await.parse().expect("a pid");
    drop(stdin);
    assert_eq!(tokio::time::timeout(LONG, process.wait()).await, Ok(ExitReason::Code(1)));
    assert!(runs(escaped), "out of reach, as documented");
    signal(escaped, rustix::process::Signal::KILL);
}

#[tokio::test]
async fn what_cannot_be_started_is_named_with_a_hint() {
    let launch = |program: &str, cwd: &str| {
        let mut launch = sh("");
        launch.program = program.into();
        launch.cwd = cwd.into();
        launch
    };
    let error = Process::spawn(&launch("/no/such/program", "/")).expect_err("no program");
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/program") && error.to_string().contains("(hint: "));
    let error = Process::spawn(&launch("/etc/passwd", "/")).expect_err("not executable");
    assert!(matches!(error, SpawnError::PermissionDenied { .. }), "{error}");
    let error = Process::spawn(&launch("/bin/sh", "/no/such/place")).expect_err("no directory");
    assert!(matches!(error, SpawnError::NoWorkingDirectory { .. }), "{error}");
}
