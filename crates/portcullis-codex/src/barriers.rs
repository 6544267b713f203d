//! Tries the barriers around each profile: the probe runs in the very cells that workers get, and what it found is held
//! against what must be refused there and what must not.
//!
//! Two things differ from a worker's cell. The program is the probe, which needs the system's libraries; and the bounds
//! are small, so that going past them takes no time and no memory of the machine.

use std::fs::{self, DirBuilder, Permissions};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::Profile;
use portcullis_confine::probe::{Named, NamedPort, Outcome, Targets, Trial};
use portcullis_confine::{Access, Cell, Level, Limits, Mount, Report, Tmpfs};
use portcullis_supervisor::{ExitReason, RunError, run_to_end};

use crate::binary::CodexBinary;
use crate::cells::{BrainNeeds, Cells, HandsBounds, HandsNeeds};
use crate::home::{HomeError, WorkerHome, give, private_dir};

/// What is tried, and where there is room for it.
#[derive(Debug)]
pub struct Barriers<'a> {
    /// How cells are built. Below [`Level::Landlock`] there is nothing to try.
    pub cells: &'a Cells,
    /// The Codex whose files a cell holds.
    pub binary: &'a CodexBinary,
    /// The program that runs the probe when it is started with `probe` and its targets.
    pub prober: &'a Utf8Path,
    /// A directory that every user can walk through.
    pub dir: &'a Utf8Path,
    /// Files and directories of this machine that no cell may see, each under a name.
    pub secrets: &'a [(&'static str, Utf8PathBuf)],
}

/// What came of it.
#[derive(Debug, Eq, PartialEq)]
pub struct Tried {
    /// How much was tried.
    pub trials: usize,
    /// What ended otherwise than it must, with why.
    pub faults: Vec<Fault>,
    /// What the kernel does not enforce here, and said so.
    pub is_whole: bool,
}

/// An attempt that ended otherwise than it must.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What was tried.
    pub name: String,
    /// Whether it succeeded where it must be refused; otherwise it is the other way round.
    pub succeeded: bool,
    /// What was said.
    pub detail: String,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum BarriersError {
    /// There is no place for it.
    #[error("there is no place to try them in")]
    Place(#[from] std::io::Error),
    /// A home could not be made.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The probe did not run to its end.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It ended by itself, too early.
    #[error("the probe ended with {exit}: {said}")]
    Ended {
        /// How.
        exit: ExitReason,
        /// What it said last.
        said: String,
    },
    /// It said something else than what it found.
    #[error("the probe's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

const MIB: u64 = 1 << 20;
/// The probe takes about a second; a machine that is busy takes longer.
const TIMEOUT: Duration = Duration::from_mins(1);
const BOUNDS: Limits =
    Limits { processes: 64, memory_bytes: Some(256 * MIB), open_files: 256, file_bytes: Some(4 * MIB) };

/// Tries the barriers of a profile: those around its hands, or around the brain where it has none.
pub async fn try_barriers(barriers: &Barriers<'_>, profile: Profile) -> Result<Tried, BarriersError> {
    let place = Place::make(barriers, profile)?;
    let (mut cell, inside) = place.cell(barriers, profile);
    let targets = place.targets(barriers, profile, &cell, inside);
    cell.args = vec!["probe".to_owned(), serde_json::to_string(&targets)?];
    let launch = cell.launch(&barriers.cells.launcher, Vec::new());
    let limits = portcullis_supervisor::Limits { timeout: TIMEOUT, max_stdout_bytes: 1 << 20 };
    let output = run_to_end(&launch, None, limits).await?;
    if output.exit != ExitReason::Clean {
        let said = output.stderr_tail.lines().filter(|line| !line.starts_with("cell: "));
        let said = said.collect::<Vec<_>>().join("; ");
        return Err(BarriersError::Ended { exit: output.exit, said });
    }
    let found: Vec<Trial> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?;
    Ok(Tried {
        trials: found.len(),
        faults: faults(&found, &allowed(profile, barriers.cells.level)),
        is_whole: Report::find(&output.stderr_tail).is_some_and(|report| report.missing.is_empty()),
    })
}

/// What must succeed; everything else must not.
fn allowed(profile: Profile, level: Level) -> Vec<&'static str> {
    let mut allowed = vec!["read its own directory"];
    match profile {
        Profile::Chat => allowed.extend([
            "read its own directory through a link",
            "write to its own directory",
            "read the login",
            "read the login through a link",
            "connect to the model",
        ]),
        Profile::Read => {}
        Profile::Work => {
            allowed.extend(["read its own directory through a link", "write to its own directory"]);
        }
    }
    if level == Level::Namespaces {
        allowed.extend(["write to /tmp", "write to /dev/shm"]);
    }
    allowed
}

fn faults(found: &[Trial], allowed: &[&str]) -> Vec<Fault> {
    let fault = |trial: &Trial| {
        let succeeded = match (trial.outcome, allowed.contains(&trial.name.as_str())) {
            (Outcome::Allowed, false) => true,
            (Outcome::Refused | Outcome::NotApplicable, true) => false,
            _ => return None,
        };
        Some(Fault { name: trial.name.clone(), succeeded, detail: trial.detail.clone() })
    };
    let unseen = allowed.iter().filter(|name| !found.iter().any(|trial| trial.name == **name));
    let unseen = unseen.map(|name| Fault {
        name: (*name).to_owned(),
        succeeded: false,
        detail: "it was not tried".to_owned(),
    });
    found.iter().filter_map(fault).chain(unseen).collect()
}

/// What is around a cell, and what is in it. The permissions of what is around are open, so that only the cell stands
/// before it.
struct Place {
    dir: Utf8PathBuf,
    home: WorkerHome,
    gateway: TcpListener,
    model: TcpListener,
    abstract_name: String,
    _sockets: [UnixListener; 2],
}

impl Place {
    fn make(barriers: &Barriers<'_>, profile: Profile) -> Result<Self, BarriersError> {
        let dir = barriers.dir.join(profile.word());
        let open = |path: &Utf8Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        for (name, mode) in
            [("", 0o711), ("login", 0o700), ("outside", 0o777), ("own", 0o700), ("tmp", 0o700)]
        {
            let path = dir.join(name);
            DirBuilder::new().mode(0o700).create(&path)?;
            open(&path, mode)?;
        }
        for file in ["login/auth.json", "outside/notes.txt"] {
            let file = dir.join(file);
            fs::write(&file, "not a secret")?;
            open(&file, 0o666)?;
        }
        // A file of its own: others than root must be able to run it, wherever the program is installed.
        let prober = dir.join("prober");
        fs::copy(barriers.prober, &prober)?;
        open(&prober, 0o755)?;
        let home = WorkerHome::create(&dir.join("brain"), &dir.join("login"))?;
        private_dir(&home.dir)?;
        if let Some(users) = barriers.cells.users {
            let hands = users.of_hands(0);
            give(&home.dir, users.brain)?;
            give(&dir.join("login"), users.brain)?;
            give(&dir.join("own"), hands)?;
            give(&dir.join("tmp"), hands)?;
        }
        let socket = dir.join("outside/gateway.sock");
        let abstract_name = format!("portcullis-doctor{dir}");
        let sockets = [
            UnixListener::bind(&socket)?,
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name)?)?,
        ];
        open(&socket, 0o777)?;
        Ok(Self {
            dir,
            home,
            gateway: TcpListener::bind("127.0.0.1:0")?,
            model: TcpListener::bind("127.0.0.1:0")?,
            abstract_name,
            _sockets: sockets,
        })
    }

    /// The cell, and where the directory that it may use is inside.
    fn cell(&self, barriers: &Barriers<'_>, profile: Profile) -> (Cell, Utf8PathBuf) {
        let Barriers { cells, binary, .. } = barriers;
        let (mut cell, inside) = if profile.has_hands() {
            let bounds = HandsBounds {
                processes: BOUNDS.processes,
                memory: 256 * MIB,
                file: 4 * MIB,
                tmp: 8 * MIB,
                paths: Vec::new(),
            };
            cells.hands_cell(&HandsNeeds {
                binary,
                workspace: &self.dir.join("own"),
                access: if profile == Profile::Work { Access::ReadWrite } else { Access::ReadOnly },
                temporary: (!cells.has_view()).then(|| self.dir.join("tmp")).as_deref(),
                user: cells.users.map(|users| users.of_hands(0)),
                bounds: &bounds,
            })
        } else {
            let needs = BrainNeeds {
                binary,
                args: Vec::new(),
                home: &self.home,
                login_home: &self.dir.join("login"),
                ports: vec![port(&self.model)],
                names: false,
                requirements: String::new(),
            };
            let mut cell = cells.brain_cell(needs);
            cell.mounts.extend(Cells::system());
            (cell, self.home.tmp.clone())
        };
        cell.limits = BOUNDS;
        for tmpfs in &mut cell.tmpfs {
            tmpfs.bytes = tmpfs.bytes.min(8 * MIB);
        }
        let prober = self.dir.join("prober");
        let target = if cells.has_view() { Utf8PathBuf::from("/opt/prober") } else { prober.clone() };
        cell.mounts.push(Mount { source: prober, target: target.clone(), access: Access::ReadOnly });
        cell.program = target;
        (cell, inside)
    }

    fn targets(
        &self,
        barriers: &Barriers<'_>,
        profile: Profile,
        cell: &Cell,
        inside: Utf8PathBuf,
    ) -> Targets {
        let named = |name: &str, path: Utf8PathBuf| Named { name: name.to_owned(), path };
        let outside = self.dir.join("outside");
        let mut read = vec![
            named("its own directory", inside.clone()),
            named("the login", self.dir.join("login/auth.json")),
            named("another workspace", outside.join("notes.txt")),
            named("/etc/shadow", "/etc/shadow".into()),
        ];
        if profile.has_hands() {
            // In a brain's view they may hold the way to its own directories.
            read.extend([named("/root", "/root".into()), named("/var", "/var".into())]);
        }
        read.extend(barriers.secrets.iter().map(|(name, path)| named(name, path.clone())));
        let mut write =
            vec![named("its own directory", inside.clone()), named("another workspace", outside.clone())];
        write.extend(["/", "/etc", "/usr", "/dev", "/tmp", "/dev/shm"].map(|path| named(path, path.into())));
        let mut tmpfs = cell.tmpfs.clone();
        tmpfs.retain(|_| barriers.cells.has_view());
        if barriers.cells.has_view() && !tmpfs.iter().any(|tmpfs| tmpfs.target == "/dev/shm") {
            tmpfs.push(Tmpfs { target: "/dev/shm".into(), bytes: Cell::SHM_BYTES });
        }
        Targets {
            read,
            write,
            workspace: inside,
            process: std::process::id(),
            tcp: vec![
                NamedPort { name: "the gateway".to_owned(), port: port(&self.gateway) },
                NamedPort { name: "the model".to_owned(), port: port(&self.model) },
            ],
            socket: outside.join("gateway.sock"),
            abstract_socket: self.abstract_name.clone(),
            limits: cell.limits.clone(),
            tmpfs,
        }
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map(|address| address.port()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_otherwise_than_it_must_is_a_fault() {
        let trial = |name: &str, outcome| Trial { name: name.to_owned(), outcome, detail: "so".to_owned() };
        let found = [
            trial("read the login", Outcome::Allowed),
            trial("write to /tmp", Outcome::Refused),
            trial("mount", Outcome::Refused),
            trial("signal the gateway", Outcome::NotApplicable),
            trial("read its own directory", Outcome::Allowed),
        ];
        let fault = |name: &str, succeeded, detail: &str| Fault {
            name: name.to_owned(),
            succeeded,
            detail: detail.to_owned(),
        };
        assert_eq!(
            faults(&found, &allowed(Profile::Read, Level::Namespaces)),
            [
                fault("read the login", true, "so"),
                fault("write to /tmp", false, "so"),
                fault("write to /dev/shm", false, "it was not tried"),
            ]
        );
    }
}
