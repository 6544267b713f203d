//! Launches of `/bin/sh`, and questions to `/proc`.

use std::time::Duration;

use portcullis_supervisor::Launch;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;

pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn sh(script: &str) -> Launch {
    Launch {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: "/".into(),
    }
}

pub(crate) fn lines(stdout: ChildStdout) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(stdout).lines()
}

pub(crate) async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    tokio::time::timeout(LONG, lines.next_line())
        .await
        .expect("a line in time")
        .expect("readable")
        .expect("a line")
}

/// Whether there is an entry for the pid at all: a zombie counts.
pub(crate) fn exists(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).expect("/proc is readable")
}

/// Whether it runs: a zombie, which only its new parent can reap, does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may contain anything, so look after the last one.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polls = async {
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        while !holds() {
            interval.tick().await;
        }
    };
    tokio::time::timeout(LONG, polls).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub(crate) async fn dies(pid: u32) {
    until("the process dies", || !runs(pid)).await;
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}
