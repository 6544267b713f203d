//! A machine with secrets, and cells in it.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_confine::{Access, Cell, Level, Limits, Mount, Network, Syscalls, Tmpfs, User};
use portcullis_supervisor::{Launch, Output, run_to_end};
use rustix::fs::{FlockOperation, flock};

/// Nobody on a usual machine.
const USER: User = User { uid: 61_184, gid: 61_184 };

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) fn launcher() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_BIN_EXE_cell-probe"))
}

/// The one that the pinned Codex brings.
pub(crate) fn bwrap() -> Utf8PathBuf {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let vendor = format!("codex-linux-{}/vendor", if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" });
    let vendor = root.join("tools/codex/node_modules/@openai").join(vendor);
    let target =
        format!("{}-unknown-linux-musl", if cfg!(target_arch = "x86_64") { "x86_64" } else { "aarch64" });
    let bwrap = vendor.join(target).join("codex-resources/bwrap");
    assert!(bwrap.exists(), "there is no {bwrap} (hint: `make codex` brings it)");
    bwrap
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As root's gateway has to name one.
pub(crate) fn user() -> Option<User> {
    is_root().then_some(USER)
}

/// A directory with a workspace that belongs to the cell's user.
pub(crate) struct Place {
    directory: Utf8TempDir,
    level: Level,
}

impl Place {
    /// With namespaces, nobody but the tests' user can reach the workspace; without, its parents must be open.
    pub(crate) fn new(level: Level) -> Self {
        let directory = Utf8TempDir::new().unwrap();
        let place = Self { directory, level };
        open_to_all(place.path());
        std::fs::create_dir_all(place.workspace_outside()).unwrap();
        if let Some(user) = user() {
            chown(place.workspace_outside(), Some(user.uid), Some(user.gid)).unwrap();
        }
        if level == Level::Namespaces {
            let private = place.path().join("private");
            std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        place
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        self.directory.path()
    }

    pub(crate) fn workspace_outside(&self) -> Utf8PathBuf {
        self.path().join("private/workspace")
    }

    /// As seen in the cell.
    pub(crate) fn workspace(&self) -> Utf8PathBuf {
        self.inside(&self.workspace_outside(), "/workspace")
    }

    /// Where the launcher is in the cell, as a program.
    pub(crate) fn probe(&self) -> Utf8PathBuf {
        self.inside(launcher(), "/opt/cell-probe")
    }

    /// Files keep their places without namespaces.
    pub(crate) fn inside(&self, source: &Utf8Path, target: &str) -> Utf8PathBuf {
        if self.level == Level::Namespaces { target.into() } else { source.to_owned() }
    }

    pub(crate) fn mount(&self, source: &Utf8Path, target: &str, access: Access) -> Mount {
        Mount { source: source.to_owned(), target: self.inside(source, target), access }
    }

    /// Hands in a writable workspace that run a shell's words.
    pub(crate) fn shell(&self, words: &str, arguments: &[&str]) -> Cell {
        let mut args = vec!["-c".to_owned(), words.to_owned()];
        args.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.hands("/bin/sh".into(), args, Access::ReadWrite)
    }

    pub(crate) fn hands(&self, program: Utf8PathBuf, args: Vec<String>, access: Access) -> Cell {
        let system = ["/usr", "/bin", "/lib", "/lib64"].map(Utf8Path::new);
        let system = system.into_iter().filter(|path| path.exists());
        let mut mounts: Vec<Mount> =
            system.map(|path| self.mount(path, path.as_str(), Access::ReadOnly)).collect();
        mounts.push(self.mount(launcher(), "/opt/cell-probe", Access::ReadOnly));
        mounts.push(self.mount(&self.workspace_outside(), "/workspace", access));
        Cell {
            program,
            args,
            cwd: self.workspace(),
            level: self.level,
            bwrap: Some(bwrap()),
            mounts,
            files: Vec::new(),
            tmpfs: vec![
                Tmpfs { target: "/tmp".into(), bytes: 16 * MIB },
                Tmpfs { target: "/dev/shm".into(), bytes: 4 * MIB },
            ],
            network: Network::None,
            limits: Limits {
                processes: 64,
                memory_bytes: Some(256 * MIB),
                open_files: 128,
                file_bytes: Some(8 * MIB),
            },
            user: user(),
            syscalls: Syscalls::Hands,
        }
    }
}

pub(crate) fn open_to_all(path: &Utf8Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn launch(cell: Cell) -> Launch {
    cell.launch(launcher(), vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())])
}

pub(crate) async fn run(launch: &Launch) -> Output {
    let limits = portcullis_supervisor::Limits { timeout: Duration::from_mins(2), max_stdout_bytes: 1 << 20 };
    run_to_end(launch, None, limits).await.unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Whether the kernel of this machine lets `level` be built; says so when not.
pub(crate) async fn built_here(level: Level) -> bool {
    let bwrap = (level == Level::Namespaces).then(bwrap);
    let support = portcullis_confine::support(launcher(), bwrap.as_deref(), user()).await;
    let there = support.best.as_ref().is_some_and(|best| best.level >= level);
    if !there {
        left_out(&format!("this machine cannot build cells at level {level:?}: {:?}", support.refused));
    }
    there
}

/// For tests whose cells do not mind others, as long as it is held.
pub(crate) fn among_others() -> File {
    turn(FlockOperation::LockShared)
}

/// For tests that go to a limit which is the user's, where all tests have one user and no cgroup.
pub(crate) fn alone() -> File {
    turn(FlockOperation::LockExclusive)
}

fn turn(operation: FlockOperation) -> File {
    let file = File::open(launcher()).unwrap();
    flock(&file, operation).unwrap();
    file
}

/// Says what a test did not test. A runner that hides what passing tests say has an option for it.
#[expect(clippy::print_stderr, reason = "passing in silence would be worse")]
pub(crate) fn left_out(why: &str) {
    eprintln!("LEFT OUT: {why}");
}
