//! The root below which workspaces are.
//!
//! `<root>/<name>/files` is the workspace; the directory around it is the gateway's, and its time of change says when the
//! workspace was last used, which nobody in the workspace can change.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::PrincipalId;

use crate::name::WorkspaceName;
use crate::remove::remove;
use crate::{Bound, Exceeded, Size};

/// All workspaces of a gateway.
#[derive(Debug)]
pub struct Workspaces {
    root: Utf8PathBuf,
    bound: Bound,
    keep: Duration,
    /// How many turns use each workspace now; those are not cleaned.
    used: Mutex<HashMap<WorkspaceName, usize>>,
}

/// A workspace that is being used. Dropping it says that it is not used any more.
#[derive(Debug)]
pub struct Workspace {
    name: WorkspaceName,
    workspaces: Arc<Workspaces>,
}

/// A workspace on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its name.
    pub name: WorkspaceName,
    /// What is in it, if it is within the bound.
    pub size: Result<Size, Exceeded>,
    /// When it was last used.
    pub used: SystemTime,
}

/// A workspace could not be made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// What the system said.
    #[error("could not {action} `{path}`")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A turn uses it.
    #[error("the workspace `{0}` is being used")]
    InUse(WorkspaceName),
    /// There is none of this name.
    #[error("there is no workspace `{0}`")]
    Unknown(String),
}

fn failed(action: &'static str, path: &Utf8Path) -> impl FnOnce(std::io::Error) -> WorkspaceError {
    let path = path.to_owned();
    move |source| WorkspaceError::Io { action, path, source }
}

impl Workspaces {
    /// Workspaces below `root`, each within `bound`, kept for so long after their last use.
    pub fn new(root: Utf8PathBuf, bound: Bound, keep: Duration) -> Self {
        Self { root, bound, keep, used: Mutex::default() }
    }

    /// What each may hold.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// A principal's workspace, made if need be; it belongs to `owner` (user and group id) if one is given.
    pub fn open(
        self: &Arc<Self>,
        principal: &PrincipalId,
        owner: Option<(u32, u32)>,
    ) -> Result<Workspace, WorkspaceError> {
        let name = WorkspaceName::of(principal);
        // Counted before it is made: from here on it is not cleaned.
        *self.lock().entry(name.clone()).or_default() += 1;
        let workspace = Workspace { name, workspaces: Arc::clone(self) };
        let files = workspace.path();
        // The outer one lets its owner's commands through; who may come so far is up to the root's own mode.
        make(&workspace.outer(), 0o711)?;
        make(&files, 0o700)?;
        if let Some((uid, gid)) = owner {
            chown(&files, Some(uid), Some(gid)).map_err(failed("give away", &files))?;
        }
        Ok(workspace)
    }

    /// All that are there, by name. Blocks: it walks them.
    pub fn list(&self) -> Result<Vec<Found>, WorkspaceError> {
        let mut found = Vec::new();
        for name in self.names()? {
            let dir = self.root.join(name.as_str());
            let Ok(used) = dir.metadata().and_then(|outer| outer.modified()) else { continue };
            found.push(Found { size: self.bound.check(&dir), name, used });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes a workspace that no turn uses. Blocks.
    pub fn clear(&self, name: &str) -> Result<(), WorkspaceError> {
        let unknown = || WorkspaceError::Unknown(name.to_owned());
        let name = WorkspaceName::found(name).ok_or_else(unknown)?;
        // Held while it is removed: nobody starts to use it meanwhile.
        let used = self.lock();
        if used.contains_key(&name) {
            return Err(WorkspaceError::InUse(name));
        }
        let dir = self.root.join(name.as_str());
        let bin = self.root.join(format!("{name}.gone"));
        match remove(&dir, &bin) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown()),
            other => other.map_err(failed("remove the workspace", &dir)),
        }
    }

    /// Removes what was not used for longer than it is kept, and says what. Blocks.
    pub fn clean(&self, now: SystemTime) -> Result<Vec<WorkspaceName>, WorkspaceError> {
        let mut gone = Vec::new();
        for name in self.names()? {
            let modified = self.root.join(name.as_str()).metadata().and_then(|outer| outer.modified());
            let Ok(age) = modified.map(|used| now.duration_since(used).unwrap_or_default()) else { continue };
            if age > self.keep {
                match self.clear(name.as_str()) {
                    Ok(()) => gone.push(name),
                    Err(WorkspaceError::InUse(_) | WorkspaceError::Unknown(_)) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(gone)
    }

    fn names(&self) -> Result<Vec<WorkspaceName>, WorkspaceError> {
        let entries = match self.root.read_dir_utf8() {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.root)(error)),
        };
        Ok(entries.flatten().filter_map(|entry| WorkspaceName::found(entry.file_name())).collect())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceName, usize>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make(dir: &Utf8Path, mode: u32) -> Result<(), WorkspaceError> {
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(failed("make", dir))
}

const FILES: &str = "files";

impl Workspace {
    /// Its directory.
    pub fn path(&self) -> Utf8PathBuf {
        self.outer().join(FILES)
    }

    /// Its name.
    pub fn name(&self) -> &WorkspaceName {
        &self.name
    }

    /// Whether it is within its bound, temporary directories included. Blocks.
    pub fn check(&self) -> Result<Size, Exceeded> {
        self.workspaces.bound.check(&self.outer())
    }

    /// Makes a directory beside the workspace for things that nobody needs afterwards; it counts as part of it.
    pub fn temporary(&self, name: &str, owner: Option<(u32, u32)>) -> Result<Utf8PathBuf, WorkspaceError> {
        let dir = self.outer().join(format!("tmp-{name}"));
        make(&dir, 0o700)?;
        if let Some((uid, gid)) = owner {
            chown(&dir, Some(uid), Some(gid)).map_err(failed("give away", &dir))?;
        }
        Ok(dir)
    }

    /// Removes what [`temporary`](Self::temporary) made. Nobody may be at work in it. Blocks.
    pub fn discard(&self, temporary: &Utf8Path) -> Result<(), WorkspaceError> {
        remove(temporary, &temporary.with_extension("gone")).map_err(failed("remove", temporary))
    }

    fn outer(&self) -> Utf8PathBuf {
        self.workspaces.root.join(self.name.as_str())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // If the time can not be set, it is cleaned a little early.
        let _ = File::open(self.outer()).and_then(|outer| outer.set_modified(SystemTime::now()));
        let mut used = self.workspaces.lock();
        if let Some(count) = used.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use camino_tempfile::Utf8TempDir;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn every_principal_has_its_own_until_it_is_old() {
        let dir = Utf8TempDir::new().unwrap();
        let bound = Bound { bytes: 1 << 20, files: 10, free: 0 };
        let all = Arc::new(Workspaces::new(dir.path().join("workspaces"), bound, DAY));
        assert_eq!(all.list().unwrap(), []);

        let one = all.open(&"k1:one".into(), None).unwrap();
        let again = all.open(&"k1:one".into(), None).unwrap();
        let two = all.open(&"k2:two".into(), None).unwrap();
        assert_eq!(one.path(), again.path());
        assert_ne!(one.path(), two.path());
        assert_eq!(two.path().metadata().unwrap().mode() & 0o777, 0o700);
        std::fs::write(one.path().join("file"), "x").unwrap();
        let temporary = one.temporary("t", None).unwrap();
        std::fs::write(temporary.join("file"), "x").unwrap();
        assert_eq!(one.check().unwrap().files, 4, "both directories and both files");
        one.discard(&temporary).unwrap();
        assert_eq!(one.check().unwrap().files, 2);

        let later = SystemTime::now() + 2 * DAY;
        drop((again, two));
        assert_eq!(all.clean(SystemTime::now()).unwrap(), [], "too young");
        let gone = all.clean(later).unwrap();
        assert_eq!(gone, [WorkspaceName::of(&"k2:two".into())], "the other one is in use");
        let name = one.name().clone();
        assert!(matches!(all.clear(name.as_str()), Err(WorkspaceError::InUse(_))));
        drop(one);
        all.clear(name.as_str()).unwrap();
        assert!(matches!(all.clear(name.as_str()), Err(WorkspaceError::Unknown(_))));
        assert!(matches!(all.clear("../../etc-0123456789abcdef"), Err(WorkspaceError::Unknown(_))));
        assert_eq!(all.list().unwrap(), []);
    }
}
