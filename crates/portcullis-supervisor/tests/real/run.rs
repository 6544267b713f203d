use std::time::Duration;

use portcullis_supervisor::{ExitReason, Launch, Limits, RunError, run_to_end};

use crate::support::{LONG, dies, exists, sh, until};

const ROOMY: Limits = Limits { timeout: LONG, max_stdout_bytes: 2 * 1024 * 1024 };

#[tokio::test]
async fn the_environment_is_exactly_what_was_written() {
    let mut launch = sh("");
    launch.program = "/usr/bin/env".into();
    launch.args = vec![];
    launch.env = vec![("ONE".into(), "1".into()), ("TWO".into(), "two words".into())];
    let output = run_to_end(&launch, None, ROOMY).await.expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ONE=1\nTWO=two words\n");
}

#[tokio::test]
async fn input_output_stderr_code_and_directory_come_through() {
    let mut launch = sh("cat; pwd; echo oops >&2; exit 7");
    launch.cwd = "/usr".into();
    let output = run_to_end(&launch, Some(b"hello\n".to_vec()), ROOMY).await.expect("runs");
    assert_eq!((output.exit, output.stderr_tail.as_str()), (ExitReason::Code(7), "oops\n"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n/usr\n");
}

#[tokio::test]
async fn a_mebibyte_goes_in_and_out_at_once_and_unread_input_is_no_error() {
    let input = vec![b'x'; 1024 * 1024];
    let output = run_to_end(&sh("exec cat"), Some(input.clone()), ROOMY).await.expect("runs");
    assert!(output.stdout == input);
    let output = run_to_end(&sh("exec true"), Some(input), ROOMY).await.expect("runs");
    assert_eq!(output.exit, ExitReason::Clean);
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_does_not_hold_up_the_result() {
    let output = run_to_end(&sh("sleep 1000 & echo $!"), None, ROOMY).await.expect("runs");
    dies(String::from_utf8_lossy(&output.stdout).trim().parse().expect("a pid")).await;
}

#[tokio::test]
async fn output_is_bounded_to_the_byte() {
    let limits = |max_stdout_bytes| Limits { timeout: LONG, max_stdout_bytes };
    assert!(run_to_end(&sh("printf 12345"), None, limits(5)).await.is_ok());
    let error = run_to_end(&sh("printf 12345"), None, limits(4)).await.expect_err("one byte too many");
    assert!(matches!(error, RunError::TooMuchOutput { max_stdout_bytes: 4, .. }), "{error}");
    let endless = run_to_end(&sh("exec cat /dev/zero"), None, limits(100_000)).await;
    assert!(matches!(endless, Err(RunError::TooMuchOutput { .. })));
}

/// A command that writes its own and its grandchild's pid to a file and then hangs.
struct Hanging {
    dir: camino_tempfile::Utf8TempDir,
    launch: Launch,
}

impl Hanging {
    fn new() -> Self {
        let dir = camino_tempfile::tempdir().expect("a directory");
        let mut launch = sh("sleep 1000 & echo $$ $! > part; mv part pids; wait");
        launch.cwd = dir.path().to_owned();
        Self { dir, launch }
    }

    fn pids(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.dir.path().join("pids")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }
}

#[tokio::test]
async fn the_group_is_killed_at_the_timeout() {
    let hanging = Hanging::new();
    let limits = Limits { timeout: Duration::from_secs(1), max_stdout_bytes: 10 };
    let error = run_to_end(&hanging.launch, None, limits).await.expect_err("hangs");
    assert_eq!(error.to_string(), "`/bin/sh` did not end within 1000 ms");
    let [leader, grandchild] = hanging.pids()[..] else { panic!("no pids") };
    assert!(!exists(leader), "reaped");
    dies(grandchild).await;
}

#[tokio::test]
async fn the_group_is_killed_when_the_caller_loses_interest() {
    let hanging = Hanging::new();
    tokio::select! {
        _ = run_to_end(&hanging.launch, None, ROOMY) => panic!("it hangs"),
        () = until("both run", || hanging.pids().len() == 2) => {}
    }
    for pid in hanging.pids() {
        dies(pid).await;
    }
}
