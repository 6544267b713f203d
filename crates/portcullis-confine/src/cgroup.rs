//! The cgroup: what counts the processes and the memory of a cell together.
//!
//! Version 2 where it is mounted at the usual place, else version 1. One cannot always be made: the launcher needs to be root,
//! or to run where systemd delegates (a service with `Delegate=yes`, a user's own login). Without one, limits of the
//! user's and of each process stand in.
//!
//! A leaf is named after its launcher's pid and cannot be removed by it, which becomes the cell. So who starts a cell removes
//! the leaves of launchers that are gone, and first ends what still runs in them.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

use crate::limits::Counted;
use crate::{Cgroup, Limits};

const MOUNT: &str = "/sys/fs/cgroup";

/// Moves this process into a leaf of its own, as far as the kernel lets it.
pub(crate) fn join(limits: &Limits) -> (Cgroup, Counted) {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let family = family();
    sweep(&own, &family);
    let leaf = format!("{family}{}", std::process::id());
    let settings = Settings::new(limits);
    if let Some(counted) = bases(&own, Controller::All).find_map(|base| settings.version_2(&base, &leaf)) {
        return (Cgroup::V2, counted);
    }
    let version_1 = |controller: Controller, settings: &[(&str, String)]| {
        bases(&own, controller).any(|base| settings_in(&base.join(&leaf), settings).is_ok())
    };
    let counted = Counted {
        processes: version_1(Controller::Pids, &settings.pids_1),
        memory: version_1(Controller::Memory, &settings.memory_1),
    };
    if counted == Counted::default() { (Cgroup::None, counted) } else { (Cgroup::V1, counted) }
}

/// Removes the leaves whose launcher is gone.
pub(crate) fn remove_left_over() {
    sweep(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), &family());
}

/// What the names of our leaves begin with. A pid is one only in its namespace, and other gateways may share the cgroup.
fn family() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("portcullis-cell-{digits}-")
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Controller {
    /// Version 2 has one hierarchy.
    All,
    Pids,
    Memory,
}

/// Where a leaf may be made: in the launcher's own cgroup; beside it, because version 2 wants processes in leaves only; at
/// the root, which in a container is what it was given, under another name.
fn bases(own: &str, controller: Controller) -> impl Iterator<Item = Utf8PathBuf> {
    let mount = match controller {
        Controller::All => Utf8PathBuf::from(MOUNT),
        Controller::Pids => Utf8Path::new(MOUNT).join("pids"),
        Controller::Memory => Utf8Path::new(MOUNT).join("memory"),
    };
    let own = own_path(own, controller).trim_start_matches('/');
    let own = mount.join(own);
    let beside = own.parent().filter(|parent| parent.starts_with(&mount)).map(Utf8Path::to_owned);
    let mut bases: Vec<Utf8PathBuf> = [Some(own), beside, Some(mount)].into_iter().flatten().collect();
    bases.dedup();
    let version_2 = controller == Controller::All;
    bases.into_iter().filter(move |base| base.join("cgroup.controllers").exists() == version_2)
}

/// This process's place in a hierarchy, from `/proc/self/cgroup`.
fn own_path(own: &str, controller: Controller) -> &str {
    let mut lines = own.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let name = match controller {
        Controller::All => "",
        Controller::Pids => "pids",
        Controller::Memory => "memory",
    };
    lines.find(|(names, _)| names.split(',').any(|one| one == name)).map_or("/", |(_, path)| path)
}

/// The files of a leaf and what is written to them.
struct Settings {
    pids: Vec<(&'static str, String)>,
    memory: Vec<(&'static str, String)>,
    pids_1: Vec<(&'static str, String)>,
    memory_1: Vec<(&'static str, String)>,
}

impl Settings {
    fn new(limits: &Limits) -> Self {
        let memory = |name| limits.memory_bytes.iter().map(move |bytes| (name, bytes.to_string()));
        Self {
            pids: vec![("pids.max", limits.processes.to_string())],
            memory: memory("memory.max").collect(),
            pids_1: vec![("pids.max", limits.processes.to_string())],
            memory_1: memory("memory.limit_in_bytes").collect(),
        }
    }

    fn version_2(&self, base: &Utf8Path, leaf: &str) -> Option<Counted> {
        // Refused where it is so already, and where processes are in the way; the leaf's files say which.
        let _ = fs::write(base.join("cgroup.subtree_control"), "+pids");
        let _ = fs::write(base.join("cgroup.subtree_control"), "+memory");
        let leaf = base.join(leaf);
        fs::create_dir(&leaf).ok()?;
        let set = |settings: &[(&str, String)]| {
            settings.iter().all(|(name, value)| fs::write(leaf.join(name), value).is_ok())
        };
        let counted = Counted {
            processes: set(&self.pids),
            memory: leaf.join("memory.max").exists() && set(&self.memory),
        };
        // What is written to swap is not freed by the limit on memory.
        let _ = fs::write(leaf.join("memory.swap.max"), "0");
        let joined = counted != Counted::default() && fs::write(leaf.join("cgroup.procs"), "0").is_ok();
        if !joined {
            let _ = fs::remove_dir(&leaf);
        }
        joined.then_some(counted)
    }
}

/// A leaf of version 1, with this process in it.
fn settings_in(leaf: &Utf8Path, settings: &[(&str, String)]) -> io::Result<()> {
    fs::create_dir(leaf)?;
    let done = || {
        settings.iter().try_for_each(|(name, value)| fs::write(leaf.join(name), value))?;
        // Memory and swap together; there is no such file where the kernel does not count swap.
        for (_, value) in settings.iter().filter(|(name, _)| *name == "memory.limit_in_bytes") {
            let _ = fs::write(leaf.join("memory.memsw.limit_in_bytes"), value);
        }
        // The launcher has one thread. Moving that, instead of a process, spares the kernel a wait of some 10 ms for all
        // processors.
        fs::write(leaf.join("tasks"), "0")
    };
    done().inspect_err(|_| {
        let _ = fs::remove_dir(leaf);
    })
}

fn sweep(own: &str, family: &str) {
    for controller in [Controller::All, Controller::Pids, Controller::Memory] {
        for base in bases(own, controller) {
            for entry in base.read_dir_utf8().into_iter().flatten().flatten() {
                let pid = entry.file_name().strip_prefix(family).and_then(|pid| pid.parse::<u32>().ok());
                if pid.is_some_and(|pid| !Utf8Path::new(&format!("/proc/{pid}")).exists()) {
                    remove(entry.path());
                }
            }
        }
    }
}

/// A leaf that is still in use is removed the next time: its processes end a moment after they are told to.
fn remove(leaf: &Utf8Path) {
    if fs::write(leaf.join("cgroup.kill"), "1").is_err() {
        let left = fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = fs::remove_dir(leaf);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "9:name=systemd:/\n8:pids:/a\n4:cpu,memory:/b/c\n0::/d:e\n";

    #[test]
    fn the_own_place_is_found_in_every_hierarchy() {
        assert_eq!(own_path(HYBRID, Controller::All), "/d:e");
        assert_eq!(own_path(HYBRID, Controller::Pids), "/a");
        assert_eq!(own_path(HYBRID, Controller::Memory), "/b/c");
        assert_eq!(own_path("0::/\n", Controller::Pids), "/");
    }
}
