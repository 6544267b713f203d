//! What a program is given: its environment, its descriptors, its user, its files; and what a cell is refused for.

use std::os::fd::AsRawFd as _;

use portcullis_confine::{Cell, Level, SmallFile, User};
use portcullis_supervisor::ExitReason;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::support::{Place, among_others, built_here, is_root, launch, launcher, run, stdout, user};

#[tokio::test]
async fn the_environment_is_what_was_given() {
    let _turn = among_others();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let mut cell = place.shell("", &[]);
        (cell.program, cell.args, cell.cwd) = ("/usr/bin/env".into(), vec![], "/".into());
        let given =
            [("KEY", "a b\"c"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let output = run(&cell.launch(launcher(), given.into())).await;
        let mut lines: Vec<_> = stdout(&output).lines().collect();
        // bubblewrap says where it is.
        lines.retain(|line| *line != "PWD=/");
        lines.sort_unstable();
        assert_eq!(lines, ["EMPTY=", "KEY=a b\"c"], "{level:?}: {}", output.stderr_tail);
    }
}

#[tokio::test]
async fn no_other_descriptor_is_handed_on() {
    let _turn = among_others();
    // Without CLOEXEC: what a library of the gateway may leave.
    let left_open = memfd_create("left-open", MemfdFlags::empty()).unwrap();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            continue;
        }
        let number = left_open.as_raw_fd();
        assert!(number < 100);
        let place = Place::new(level);
        let words = "n=0; while [ $n -lt 100 ]; do if eval \"true <&$n\" 2>/dev/null; then echo $n; fi; n=$((n+1)); done";
        let output = run(&launch(place.shell(words, &[]))).await;
        assert_eq!(stdout(&output), "0\n1\n2\n", "{level:?}: {}", output.stderr_tail);
    }
}

#[tokio::test]
async fn a_cell_has_its_own_user_files_and_host_name() {
    let _turn = among_others();
    if !built_here(Level::Namespaces).await {
        return;
    }
    let place = Place::new(Level::Namespaces);
    let mut cell = place.shell("id -u; hostname; cat /etc/hosts; ls /; echo made > file; cat file", &[]);
    cell.files = vec![SmallFile { target: "/etc/hosts".into(), text: "127.0.0.1 cell\n".to_owned() }];
    let output = run(&launch(cell)).await;
    let own = rustix::process::getuid().as_raw();
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines[0], user().map_or(own, |user| user.uid).to_string());
    assert_eq!(lines[1..3], ["cell", "127.0.0.1 cell"]);
    let mut root = lines[3..lines.len() - 1].to_vec();
    root.retain(|name| !["lib64"].contains(name));
    assert_eq!(root, ["bin", "dev", "etc", "lib", "opt", "proc", "tmp", "usr", "workspace"]);
    assert_eq!(std::fs::read_to_string(place.workspace_outside().join("file")).unwrap(), "made\n");
}

#[tokio::test]
async fn a_cell_that_cannot_be_whole_is_not_entered() {
    let _turn = among_others();
    let place = Place::new(Level::Namespaces);
    let changed = |change: &dyn Fn(&mut Cell)| {
        let mut cell = place.shell("echo entered", &[]);
        change(&mut cell);
        cell
    };
    let somebody = User { uid: 61_185, gid: 61_185 };
    let mut cases = vec![
        (changed(&|cell| cell.bwrap = None), "bubblewrap"),
        (changed(&|cell| cell.bwrap = Some("/nowhere/bwrap".into())), "/nowhere/bwrap"),
        (changed(&|cell| cell.mounts[0].source = "/nowhere/usr".into()), "/nowhere/usr"),
        (changed(&|cell| cell.level = Level::Landlock), "without namespaces"),
        (changed(&|cell| cell.user = Some(User { uid: 0, gid: 61_185 })), "never runs as root"),
        (changed(&|cell| cell.user = Some(User { uid: 61_185, gid: 0 })), "never runs as root"),
    ];
    if is_root() {
        cases.push((changed(&|cell| cell.user = None), "never runs as root"));
    } else {
        cases.push((changed(&|cell| cell.user = Some(somebody)), "only root"));
    }
    for (cell, expected) in cases {
        let output = run(&launch(cell)).await;
        assert_eq!(stdout(&output), "");
        assert_eq!(output.exit, ExitReason::Code(1), "{}", output.stderr_tail);
        assert!(output.stderr_tail.contains(expected), "{expected}: {}", output.stderr_tail);
    }
}

#[tokio::test]
async fn a_launcher_that_somebody_else_started_gives_up() {
    let _turn = among_others();
    let mut asked = launch(Place::new(Level::Namespaces).shell("echo entered", &[]));
    asked.args[1] = asked.args[1].replace(&format!("\"parent\":{}", std::process::id()), "\"parent\":1");
    let output = run(&asked).await;
    assert_eq!((stdout(&output), &output.exit), ("", &ExitReason::Code(1)));
    assert!(output.stderr_tail.contains("is gone"), "{}", output.stderr_tail);
}
