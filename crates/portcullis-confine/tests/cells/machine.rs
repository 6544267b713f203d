//! What `support` says of this machine.

use camino::Utf8Path;
use portcullis_confine::{Cgroup, Level, Report, User, support};
use portcullis_supervisor::Launch;

use crate::support::{
    Place, alone, among_others, built_here, bwrap, is_root, launch, launcher, run, stdout, user,
};

#[tokio::test]
async fn the_best_level_is_found_by_trying() {
    let _turn = among_others();
    if !built_here(Level::Namespaces).await {
        return;
    }
    let found = support(launcher(), Some(&bwrap()), user()).await;
    assert_eq!(found.best.unwrap().level, Level::Namespaces);
    assert_eq!(found.refused, []);
}

#[tokio::test]
async fn without_bubblewrap_the_next_level_is_taken_and_said() {
    let _turn = among_others();
    if !built_here(Level::Landlock).await {
        return;
    }
    for (bwrap, expected) in [(None, "none was named"), (Some(Utf8Path::new("/bin/false")), "ended with")] {
        let found = support(launcher(), bwrap, user()).await;
        assert_eq!(found.best.unwrap().level, Level::Landlock);
        assert_eq!(found.refused.len(), 1);
        assert_eq!(found.refused[0].level, Level::Namespaces);
        assert!(found.refused[0].why.contains(expected), "{:?}", found.refused);
    }
}

#[tokio::test]
async fn nothing_is_built_for_who_may_not_have_it() {
    let _turn = among_others();
    let refused = if is_root() { None } else { Some(User { uid: 61_185, gid: 61_185 }) };
    let found = support(launcher(), Some(&bwrap()), refused).await;
    assert_eq!(found.best, None);
    assert_eq!(found.refused.len(), 3);
}

/// As on a machine that delegates none. Only root can take one away; whoever is not root mostly has none.
#[tokio::test]
async fn without_a_cgroup_processes_are_limited_all_the_same() {
    let _turn = alone();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            continue;
        }
        let place = Place::new(level);
        let words = "n=0; while [ $n -lt 100 ]; do sleep 5 & n=$((n+1)); echo $n; done";
        let asked = launch(place.shell(words, &[]));
        let launch = if is_root() {
            let hide = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
            let mut args: Vec<_> =
                ["-m", "sh", "-c", hide, "sh", launcher().as_str()].map(str::to_owned).into();
            args.extend(asked.args.iter().cloned());
            Launch { program: "/usr/bin/unshare".into(), args, ..asked }
        } else {
            asked
        };
        let output = run(&launch).await;
        let report = Report::find(&output.stderr_tail).unwrap_or_else(|| panic!("{}", output.stderr_tail));
        let started = stdout(&output).lines().count();
        if is_root() {
            assert_eq!(report.cgroup, Cgroup::None, "{}", output.stderr_tail);
        }
        // In namespaces the cell's own are counted, bubblewrap's and the shell among them. Without, the user's are, and others
        // of that user begin and end meanwhile.
        let expected = if level == Level::Namespaces { 50..=64 } else { 1..=99 };
        assert!(expected.contains(&started), "{level:?}: {started}: {}", output.stderr_tail);
    }
}
