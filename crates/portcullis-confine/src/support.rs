//! What this machine accepts, found out by building cells that do nothing.
//!
//! Asking the kernel what it has says little: a distribution's policy, a container's filter or a limit may refuse what
//! exists. So the same launcher is started as for a worker.

use std::time::Duration;

use camino::Utf8Path;
use portcullis_supervisor::{ExitReason, run_to_end};
use serde::Serialize;

use crate::{Access, Cell, Level, Limits, Mount, Network, Report, Syscalls, User};

/// What this machine accepts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Support {
    /// The best cell that was built here, and what it lacks. `None`: not even the weakest.
    pub best: Option<Report>,
    /// Why the better ones were not, best first.
    pub refused: Vec<Refusal>,
}

/// A level that cannot be had here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// The level.
    pub level: Level,
    /// What was said, for the operator.
    pub why: String,
}

/// Longer than the slowest machine takes to start nothing.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Tries the levels from the best on, and stops at the first that works.
///
/// `launcher` is as for [`Cell::launch`]; `bwrap` and `user` are as in the [`Cell`]s that are meant.
pub async fn support(launcher: &Utf8Path, bwrap: Option<&Utf8Path>, user: Option<User>) -> Support {
    let mut refused = Vec::new();
    for level in [Level::Namespaces, Level::Landlock, Level::Bare] {
        match try_level(launcher, bwrap, user, level).await {
            Ok(report) => return Support { best: Some(report), refused },
            Err(why) => refused.push(Refusal { level, why }),
        }
    }
    Support { best: None, refused }
}

async fn try_level(
    launcher: &Utf8Path,
    bwrap: Option<&Utf8Path>,
    user: Option<User>,
    level: Level,
) -> Result<Report, String> {
    let launch = nothing(launcher, bwrap, user, level).launch(launcher, Vec::new());
    let limits = portcullis_supervisor::Limits { timeout: TIMEOUT, max_stdout_bytes: 64 << 10 };
    let output = run_to_end(&launch, None, limits).await.map_err(|error| error.to_string())?;
    let said = || {
        let lines = output.stderr_tail.lines().filter(|line| !line.starts_with("cell: "));
        let said = lines.collect::<Vec<_>>().join("; ");
        if said.is_empty() { format!("the cell ended with {}", output.exit) } else { said }
    };
    match Report::find(&output.stderr_tail) {
        Some(report) if output.exit == ExitReason::Clean => Ok(report),
        _ => Err(said()),
    }
}

/// A cell in which something says its version: bubblewrap itself, which needs nothing else, or the launcher where all files
/// stay in their places.
fn nothing(launcher: &Utf8Path, bwrap: Option<&Utf8Path>, user: Option<User>, level: Level) -> Cell {
    let (program, mount) = match (level, bwrap) {
        (Level::Namespaces, Some(bwrap)) => (Utf8Path::new("/bwrap"), (bwrap, "/bwrap")),
        _ => (launcher, (Utf8Path::new("/"), "/")),
    };
    Cell {
        program: program.to_owned(),
        args: vec!["--version".to_owned()],
        cwd: "/".into(),
        level,
        bwrap: bwrap.map(Utf8Path::to_owned),
        mounts: vec![Mount { source: mount.0.to_owned(), target: mount.1.into(), access: Access::ReadOnly }],
        files: Vec::new(),
        tmpfs: Vec::new(),
        network: Network::None,
        limits: Limits {
            processes: 64,
            memory_bytes: Some(1 << 30),
            open_files: 64,
            file_bytes: Some(1 << 20),
        },
        user,
        syscalls: Syscalls::Hands,
    }
}
