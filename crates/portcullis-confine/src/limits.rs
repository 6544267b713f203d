//! Resource limits, which hold for each process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fork::may_fork;
use crate::{EnterError, Limits, Missing, tree};

/// What a cgroup counts already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    pub(crate) processes: bool,
    pub(crate) memory: bool,
}

/// Sets the limits of who this process is now, and says what they do not replace.
///
/// `RLIMIT_NPROC` counts all processes of a user, also those outside the cell: it stands `processes` above what the
/// user has, so that it ends a fork bomb and does not stop the cell from starting.
pub(crate) fn set(limits: &Limits, uid: u32, counted: Counted) -> Result<Vec<Missing>, EnterError> {
    let mut missing = Vec::new();
    limit(Resource::Core, 0, "forbid core files")?;
    limit(Resource::Nofile, limits.open_files, "limit descriptors")?;
    if let Some(bytes) = limits.file_bytes {
        limit(Resource::Fsize, bytes, "limit the size of files")?;
    }
    if !counted.processes {
        missing.push(limit_processes(limits.processes, uid)?);
    }
    if let Some(bytes) = limits.memory_bytes.filter(|_| !counted.memory) {
        limit(Resource::Data, bytes, "limit memory")?;
        missing.push(Missing::CellMemory);
    }
    Ok(missing)
}

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
