//! How cells end, and that nothing in them goes on.

use std::time::{Duration, Instant};

use portcullis_confine::{Level, tree};
use portcullis_supervisor::{ExitReason, Launch, Process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;

use crate::support::{Place, among_others, built_here, launch, launcher, run};

/// Longer than it takes a loaded machine to bury a process.
const SOON: Duration = Duration::from_secs(10);

/// Leaves a daemon in another session, and lives on. The marker is the name of both.
const WITH_DAEMON: &str =
    r#"setsid sh -c 'echo daemon; while :; do sleep 1; done' "$0" & read line; exit "${1:-0}""#;

fn marker(name: &str, level: Level) -> String {
    format!("marker-{name}-{level:?}-{}", std::process::id())
}

/// The processes of this machine that have the marker in their command line.
fn alive(marker: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(marker)).collect()
}

async fn nobody_is_left(marker: &str) {
    let start = Instant::now();
    while !alive(marker).is_empty() {
        assert!(start.elapsed() < SOON, "these live on: {:#?}", alive(marker));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn expect_line(process: &Process, stdout: ChildStdout, expected: &str) {
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("a line in time").unwrap();
    assert_eq!(line.as_deref(), Some(expected), "{}", process.stderr_tail());
}

#[tokio::test]
async fn the_programs_code_is_the_cells() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock, Level::Bare] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let code = run(&launch(place.shell("exit 7", &[]))).await.exit;
        assert_eq!(code, ExitReason::Code(7), "{level:?}");
        let killed = run(&launch(place.shell("kill -9 $$", &[]))).await.exit;
        // The launcher in between says it as a shell does.
        assert_eq!(killed, ExitReason::Signal(9), "{level:?}");
    }
}

#[tokio::test]
async fn daemons_end_with_the_program() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock, Level::Bare] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let marker = marker("program", level);
        let mut process = Process::spawn(&launch(place.shell(WITH_DAEMON, &[&marker, "3"]))).unwrap();
        let (stdin, stdout) = process.take_stdio();
        expect_line(&process, stdout, "daemon").await;
        // The shell reads the end of its input, and ends.
        drop(stdin);
        assert_eq!(process.wait().await, ExitReason::Code(3), "{level:?}");
        nobody_is_left(&marker).await;
    }
}

#[tokio::test]
async fn daemons_end_with_a_cell_that_is_killed() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let marker = marker("killed", level);
        let mut process = Process::spawn(&launch(place.shell(WITH_DAEMON, &[&marker]))).unwrap();
        let (_stdin, stdout) = process.take_stdio();
        expect_line(&process, stdout, "daemon").await;
        assert!(!alive(&marker).is_empty());
        if level != Level::Namespaces {
            assert!(tree::kill_descendants(process.pid()) > 0);
        }
        process.kill().await;
        nobody_is_left(&marker).await;
    }
}

/// Whoever asked for the cell is killed, and can do nothing about it any more.
#[tokio::test]
async fn a_cell_ends_with_who_asked_for_it() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock, Level::Bare] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let marker = marker("parent", level);
        let asked = launch(place.shell(WITH_DAEMON, &[&marker]));
        let own = format!("\"parent\":{}", std::process::id());
        assert!(asked.args[1].contains(&own));
        let order = asked.args[1].replace(&own, "\"parent\":PARENT");
        // A shell stands in for the gateway. What it starts in the background would have no input.
        let words =
            r#"order=$(printf %s "$2" | sed "s/PARENT/$$/"); exec 3<&0; "$1" cell "$order" <&3 & wait"#;
        let args = ["-c", words, "gateway", launcher().as_str(), &order].map(str::to_owned).into();
        let mut process = Process::spawn(&Launch { program: "/bin/sh".into(), args, ..asked }).unwrap();
        let (_stdin, stdout) = process.take_stdio();
        expect_line(&process, stdout, "daemon").await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        nobody_is_left(&marker).await;
        process.wait().await;
    }
}

/// Codex ends at once when it is told to, and so does bubblewrap with all it holds. Where the program is held by a keeper,
/// it is told and may take its time.
#[tokio::test]
async fn a_cell_that_is_told_to_end_ends() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let marker = marker("told", level);
        let words = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done";
        let mut process = Process::spawn(&launch(place.shell(words, &[&marker]))).unwrap();
        let (_stdin, stdout) = process.take_stdio();
        expect_line(&process, stdout, "ready").await;
        let exit = process.stop(SOON).await;
        let expected = match level {
            Level::Namespaces => ExitReason::Signal(15),
            Level::Landlock | Level::Bare => ExitReason::Code(42),
        };
        assert_eq!(exit, expected, "{level:?}");
        nobody_is_left(&marker).await;
    }
}
