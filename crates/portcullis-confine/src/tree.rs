//! Processes by descent, as `/proc` tells it.
//!
//! A program that is a subreaper keeps its descendants: an orphan becomes its child, whatever session or group it moved to.
//! So where there is no process namespace and no cgroup, the tree is what can be ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often the tree is looked at again. Each round kills all there are, so that only who forks faster than it is killed is
/// left, and a limit on processes ends that.
const ROUNDS: u32 = 100;

/// Sends KILL to all descendants of a process until there are none, and says how many were killed.
///
/// They are descendants only as long as their forebears live: call it before the process itself is killed, and make the
/// process a subreaper. Zombies do not count; their parents reap them.
pub fn kill_descendants(of: u32) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS {
        let alive = descendants(of);
        if alive.is_empty() {
            break;
        }
        killed.extend(alive.iter().filter(|pid| kill_below(of, **pid)).copied());
    }
    killed.len()
}

/// The pids of all living descendants of a process.
pub fn descendants(of: u32) -> Vec<u32> {
    below(of, &parents())
}

/// How many tasks (processes and threads) a user has, as far as this process can see them.
pub(crate) fn tasks_of(uid: u32) -> u64 {
    let owned = |pid: &u32| fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == uid);
    let threads = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        after_name(&stat)?.nth(17)?.parse::<u64>().ok()
    };
    pids().filter(owned).filter_map(threads).sum()
}

/// The descriptor keeps the pid from becoming somebody else's between the look and the signal.
fn kill_below(of: u32, pid: u32) -> bool {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(process) = pidfd_open(target, PidfdFlags::empty()) else { return false };
    descendants(of).contains(&pid) && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

/// Who is whose parent, without zombies.
fn parents() -> BTreeMap<u32, u32> {
    let parent = |pid| Some((pid, parent_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
    pids().filter_map(parent).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent in a line of `/proc/⟨pid⟩/stat`, unless it is a zombie's.
fn parent_of(stat: &str) -> Option<u32> {
    let mut fields = after_name(stat)?;
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.next()?.parse().ok() }
}

/// The fields from the third on: the second is a name in brackets that may hold brackets and spaces.
fn after_name(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

/// Everybody whose line of parents leads to `top`.
fn below(top: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let leads = |pid: &u32| {
        let mut seen = BTreeSet::new();
        let mut line = std::iter::successors(parents.get(pid), |parent| parents.get(parent));
        line.by_ref().take_while(|parent| seen.insert(**parent)).any(|parent| *parent == top)
    };
    parents.keys().filter(|pid| leads(pid)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descent_is_followed_to_its_end() {
        let parents = BTreeMap::from([(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 8), (8, 7)]);
        assert_eq!(below(2, &parents), [3, 4]);
        assert_eq!(below(5, &parents), [6]);
        assert_eq!(below(1, &parents), [2, 3, 4, 5, 6]);
        assert_eq!(below(9, &parents), [0; 0]);
    }

    #[test]
    fn a_name_cannot_forge_a_parent() {
        assert_eq!(parent_of("12 (a) S 1 (b) c) R 7 12 12 0"), Some(7));
        assert_eq!(parent_of("12 (sh) Z 7 12 12 0"), None);
        assert_eq!(parent_of("12 sh"), None);
    }
}
