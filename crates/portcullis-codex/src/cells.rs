//! What brains and hands may see and use: pure, from paths and settings to a [`Cell`].
//!
//! A **brain** (`codex app-server`) holds the login and talks to the model: it sees Codex's own files, its home and the
//! login, and can connect to the provider and to the relay of the hands. **Hands** (`codex exec-server`) run what the
//! model wants: they see the system read-only, one workspace, and nobody.

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_confine::{Access, Cell, Level, Limits, Mount, Network, SmallFile, Syscalls, Tmpfs, User};
use portcullis_supervisor::Launch;

use crate::binary::CodexBinary;
use crate::home::{HomeError, WorkerHome, give};

/// How the processes of an agent are confined.
#[derive(Clone, Debug)]
pub enum Confinement {
    /// Each in a cell.
    Cells(Cells),
    /// Not at all: they run as the gateway's own user and can do what it can. There are no hands then.
    Off,
}

impl Confinement {
    /// How a brain is started.
    pub(crate) fn brain(&self, needs: BrainNeeds<'_>, env: Vec<(String, String)>) -> Launch {
        match self {
            Self::Cells(cells) => cells.brain(needs, env),
            Self::Off => Launch {
                program: needs.binary.path.clone(),
                args: needs.args,
                env,
                cwd: needs.home.cwd.clone(),
            },
        }
    }

    /// How an app-server is started that signs the operator in or out: in the Codex home itself.
    pub(crate) fn sign_in(
        &self,
        binary: &CodexBinary,
        args: Vec<String>,
        login_home: &Utf8Path,
        env: Vec<(String, String)>,
    ) -> Launch {
        match self {
            Self::Cells(cells) => cells.sign_in(binary, args, login_home, env),
            Self::Off => Launch { program: binary.path.clone(), args, env, cwd: login_home.to_owned() },
        }
    }

    /// Gives what a brain must be able to write to the user that it runs as.
    pub(crate) fn give(&self, dir: &Utf8Path) -> Result<(), HomeError> {
        match self {
            Self::Cells(Cells { users: Some(users), .. }) => give(dir, users.brain),
            Self::Cells(_) | Self::Off => Ok(()),
        }
    }
}

/// How cells are built.
#[derive(Clone, Debug)]
pub struct Cells {
    /// The program that becomes the cell when it is started with `cell` and a description.
    pub launcher: Utf8PathBuf,
    /// What is built; nothing weaker is tried.
    pub level: Level,
    /// The users that cells run as, where the gateway runs as root.
    pub users: Option<Users>,
}

/// Who cells run as when the gateway runs as root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Users {
    /// The owner of the login, whom brains run as.
    pub brain: User,
    /// The first id of a range of users (and groups of the same numbers) that nobody else on the machine uses, for the
    /// hands of principals. The range has [`Users::COUNT`] ids.
    pub first: u32,
}

impl Users {
    /// How many ids the range has.
    pub const COUNT: u32 = 1000;

    /// The user of a principal's hands and workspace: always the same for the same digest of its name. Two principals may
    /// share one; what keeps them apart then is that neither sees the other's files.
    pub fn of_hands(self, digest: u32) -> User {
        let id = self.first + digest % Self::COUNT;
        User { uid: id, gid: id }
    }
}

/// What a brain may use.
#[derive(Clone, Debug)]
pub(crate) struct BrainNeeds<'a> {
    pub(crate) binary: &'a CodexBinary,
    pub(crate) args: Vec<String>,
    pub(crate) home: &'a WorkerHome,
    pub(crate) login_home: &'a Utf8Path,
    /// The ports that it may connect to.
    pub(crate) ports: Vec<u16>,
    /// Whether it must look up names to do so.
    pub(crate) names: bool,
    /// The policy that nothing in its home can override.
    pub(crate) requirements: String,
}

/// What hands may use.
#[derive(Clone, Debug)]
pub(crate) struct HandsNeeds<'a> {
    pub(crate) binary: &'a CodexBinary,
    pub(crate) workspace: &'a Utf8Path,
    pub(crate) access: Access,
    /// A directory of its own on the disk, for cells without a view of their own: they have no `/tmp`.
    pub(crate) temporary: Option<&'a Utf8Path>,
    pub(crate) user: Option<User>,
    pub(crate) bounds: &'a HandsBounds,
}

/// What the hands of one turn can use up, and what they see besides the system.
#[derive(Clone, Debug)]
pub struct HandsBounds {
    /// Processes and threads.
    pub processes: u64,
    /// Memory, files in `/tmp` and `/dev/shm` included, in bytes.
    pub memory: u64,
    /// The longest file that can be written, in bytes.
    pub file: u64,
    /// The size of `/tmp`, in bytes.
    pub tmp: u64,
    /// More directories that are seen read-only, such as a toolchain's.
    pub paths: Vec<Utf8PathBuf>,
}

/// Where a workspace is in a cell that has a view of its own.
const WORKSPACE: &str = "/work";
/// Where Codex's own files are for hands: their place on the machine is none of the model's business.
const CODEX: &str = "/opt/codex";
/// What TLS and the resolver read.
const OF_CONNECTIONS: &[&str] = &[
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
];
/// The system as programs need it.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/certs",
    "/etc/localtime",
];
const MIB: u64 = 1 << 20;

impl Cells {
    /// Whether cells have a view of their own on files, and so a `/tmp` of their own.
    pub(crate) fn has_view(&self) -> bool {
        self.level == Level::Namespaces
    }

    fn brain(&self, needs: BrainNeeds<'_>, env: Vec<(String, String)>) -> Launch {
        self.brain_cell(needs).launch(&self.launcher, env)
    }

    /// A brain's cell.
    pub(crate) fn brain_cell(&self, needs: BrainNeeds<'_>) -> Cell {
        let BrainNeeds { binary, args, home, login_home, ports, names, requirements } = needs;
        let namespaces = self.level == Level::Namespaces;
        let mut mounts = vec![same(package(&binary.path), Access::ReadOnly)];
        mounts.extend(existing(OF_CONNECTIONS));
        mounts.push(same(&home.dir, Access::ReadWrite));
        if namespaces {
            // Over the home, so that not even the brain itself can change what it was told.
            for file in [home.config(), home.catalog()] {
                mounts.extend(file.exists().then(|| same(&file, Access::ReadOnly)));
            }
        }
        mounts.push(same(login_home, Access::ReadWrite));
        let files = vec![SmallFile { target: "/etc/codex/requirements.toml".into(), text: requirements }];
        let network = Network::Ports { tcp: ports, names };
        self.of_codex(binary, args, &home.cwd, mounts, files, network)
    }

    fn sign_in(
        &self,
        binary: &CodexBinary,
        args: Vec<String>,
        login_home: &Utf8Path,
        env: Vec<(String, String)>,
    ) -> Launch {
        let mut mounts = vec![same(package(&binary.path), Access::ReadOnly)];
        mounts.extend(existing(OF_CONNECTIONS));
        mounts.push(same(login_home, Access::ReadWrite));
        let network = Network::Ports { tcp: vec![443], names: true };
        self.of_codex(binary, args, login_home, mounts, Vec::new(), network).launch(&self.launcher, env)
    }

    /// A cell for a Codex that holds the login.
    fn of_codex(
        &self,
        binary: &CodexBinary,
        args: Vec<String>,
        cwd: &Utf8Path,
        mounts: Vec<Mount>,
        files: Vec<SmallFile>,
        network: Network,
    ) -> Cell {
        Cell {
            program: binary.path.clone(),
            args,
            cwd: cwd.to_owned(),
            level: self.level,
            bwrap: bubblewrap(&binary.path),
            mounts,
            files,
            tmpfs: vec![Tmpfs { target: "/tmp".into(), bytes: 64 * MIB }],
            network,
            limits: Limits {
                processes: 512,
                memory_bytes: Some(4096 * MIB),
                open_files: 4096,
                file_bytes: None,
            },
            user: self.users.map(|users| users.brain),
            syscalls: Syscalls::Brain,
        }
    }

    /// How hands are started, and the directory in which they find the workspace.
    pub(crate) fn hands(&self, needs: &HandsNeeds<'_>) -> (Launch, Utf8PathBuf) {
        let (cell, work) = self.hands_cell(needs);
        // The exec-server reads a configuration from its home, and anybody in the cell could write one to `/tmp`: so it
        // has none.
        let env = [
            ("CODEX_HOME", "/nonexistent"),
            ("HOME", "/nonexistent"),
            ("PATH", "/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        (cell.launch(&self.launcher, env), work)
    }

    /// A cell for hands, and the directory in which they find the workspace.
    pub(crate) fn hands_cell(&self, needs: &HandsNeeds<'_>) -> (Cell, Utf8PathBuf) {
        let HandsNeeds { binary, workspace, access, temporary, user, bounds } = needs;
        let namespaces = self.level == Level::Namespaces;
        let package = package(&binary.path);
        let at = |inside: &str, outside: &Utf8Path| {
            if namespaces { Utf8PathBuf::from(inside) } else { outside.to_owned() }
        };
        let (codex, work) = (at(CODEX, package), at(WORKSPACE, workspace));
        let mut mounts = existing(SYSTEM);
        mounts.push(Mount { source: package.to_owned(), target: codex.clone(), access: Access::ReadOnly });
        mounts.extend(bounds.paths.iter().map(|path| same(path, Access::ReadOnly)));
        mounts.push(Mount { source: (*workspace).to_owned(), target: work.clone(), access: *access });
        mounts.extend(temporary.map(|dir| same(dir, Access::ReadWrite)));
        let program =
            binary.path.strip_prefix(package).map_or_else(|_| binary.path.clone(), |path| codex.join(path));
        let cell = Cell {
            program,
            args: ["exec-server", "--listen", "stdio"].map(str::to_owned).to_vec(),
            cwd: work.clone(),
            level: self.level,
            bwrap: bubblewrap(&binary.path),
            mounts,
            files: identity(*user),
            tmpfs: vec![
                Tmpfs { target: "/tmp".into(), bytes: bounds.tmp },
                Tmpfs { target: "/dev/shm".into(), bytes: 64 * MIB },
            ],
            network: Network::None,
            limits: Limits {
                processes: bounds.processes,
                memory_bytes: Some(bounds.memory),
                open_files: 1024,
                file_bytes: Some(bounds.file),
            },
            user: *user,
            syscalls: Syscalls::Hands,
        };
        (cell, work)
    }

    /// The system as programs need it, for a program that is not Codex.
    pub(crate) fn system() -> Vec<Mount> {
        existing(SYSTEM)
    }
}

/// The directory of the package that a binary belongs to: `<package>/bin/codex`.
fn package(binary: &Utf8Path) -> &Utf8Path {
    binary.parent().and_then(Utf8Path::parent).unwrap_or(binary)
}

/// The bubblewrap that Codex brings.
pub(crate) fn bubblewrap(binary: &Utf8Path) -> Option<Utf8PathBuf> {
    let path = package(binary).join("codex-resources/bwrap");
    path.is_file().then_some(path)
}

fn same(path: &Utf8Path, access: Access) -> Mount {
    Mount { source: path.to_owned(), target: path.to_owned(), access }
}

fn existing(paths: &[&str]) -> Vec<Mount> {
    let there = paths.iter().map(Utf8Path::new).filter(|path| path.exists());
    there.map(|path| same(path, Access::ReadOnly)).collect()
}

/// Names for the one user of a cell and for the cell itself.
fn identity(user: Option<User>) -> Vec<SmallFile> {
    let file = |target: &str, text: String| SmallFile { target: target.into(), text };
    let mut files = vec![
        file("/etc/hosts", "127.0.0.1 localhost cell\n::1 localhost cell\n".to_owned()),
        file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
    ];
    if let Some(User { uid, gid }) = user {
        files.push(file("/etc/passwd", format!("cell:x:{uid}:{gid}:cell:/tmp:/bin/bash\n")));
        files.push(file("/etc/group", format!("cell:x:{gid}:\n")));
    }
    files
}
