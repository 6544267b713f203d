//! Resource limits, which hold for each process.

use std::{fs, io};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::fork::may_fork;
use crate::{EnterError, Level, Limits, Missing, User, tree};

/// What a cgroup counts already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    pub(crate) processes: bool,
    pub(crate) memory: bool,
}

/// Sets the limits of who this process is now, and says what they do not replace.
pub(crate) fn set(
    limits: &Limits,
    user: User,
    level: Level,
    counted: Counted,
) -> Result<Vec<Missing>, EnterError> {
    let mut missing = Vec::new();
    limit(Resource::Core, 0, "forbid core files")?;
    limit(Resource::Nofile, limits.open_files, "limit descriptors")?;
    if let Some(bytes) = limits.file_bytes {
        limit(Resource::Fsize, bytes, "limit the size of files")?;
    }
    if !counted.processes {
        if level == Level::Namespaces && count_apart(user).is_ok() {
            limit(Resource::Nproc, limits.processes, "limit processes")?;
        } else {
            missing.push(limit_processes(limits.processes, user.uid)?);
        }
    }
    if let Some(bytes) = limits.memory_bytes.filter(|_| !counted.memory) {
        limit(Resource::Data, bytes, "limit memory")?;
        missing.push(Missing::CellMemory);
    }
    Ok(missing)
}

/// Enters a user namespace with nobody but this user in it, before the limit is set.
///
/// The kernel counts a user's processes in each user namespace and all that it is in, and compares with the limit that held
/// where the inner one was made. So the cell's limit, which is set inside this one, is about processes inside, and the
/// user's other processes are compared with the limit from before. bubblewrap makes its namespaces in this one.
fn count_apart(user: User) -> io::Result<()> {
    // Who changed its user does not own its files in /proc, unless it says that others of the user may look into it, as they
    // may look into the program that it becomes.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // SAFETY: FILES is not among the flags.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", user.gid))?;
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.uid))
}

/// `RLIMIT_NPROC` counts all processes of a user, also those outside the cell: it stands `more` above what the user has, so
/// that it ends a fork bomb and does not stop the cell from starting.
///
/// The kernel counts processes of the user that cannot be seen from here, too: those of another container, for one. When
/// they alone are more than the limit, the cell could not start, and it is given up.
fn limit_processes(more: u64, uid: u32) -> Result<Missing, EnterError> {
    let before = getrlimit(Resource::Nproc);
    let most = tree::tasks_of(uid).saturating_add(more);
    let most = before.maximum.map_or(most, |maximum| maximum.min(most));
    let step = "limit processes";
    setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: before.maximum })
        .map_err(EnterError::refused(step))?;
    if may_fork() {
        limit(Resource::Nproc, most, step)?;
        return Ok(Missing::CellProcesses);
    }
    setrlimit(Resource::Nproc, before).map_err(EnterError::refused(step))?;
    Ok(Missing::Processes)
}

/// Hard and soft. A limit that is lower already stays.
fn limit(resource: Resource, most: u64, step: &'static str) -> Result<(), EnterError> {
    let now = getrlimit(resource);
    let most = now.maximum.map_or(most, |maximum| maximum.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(EnterError::refused(step))
}
