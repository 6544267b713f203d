//! What the kernel enforces on a child, as a value.

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_supervisor::Launch;
use serde::{Deserialize, Serialize};

/// A program and everything that it may see and use.
///
/// It travels in an argument, which every user of the machine can read: it must hold no secret. Secrets go to the program in
/// its environment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The program, as seen inside. A binary, not a script.
    pub program: Utf8PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<String>,
    /// Its working directory, as seen inside.
    pub cwd: Utf8PathBuf,
    /// What is built. Nothing weaker is tried when that fails.
    pub level: Level,
    /// The bubblewrap to build namespaces with; Codex brings one. Used at [`Level::Namespaces`], and required there.
    pub bwrap: Option<Utf8PathBuf>,
    /// What of the machine's files there is. Directories before those inside them.
    pub mounts: Vec<Mount>,
    /// Small files that exist only in the cell, such as `/etc/hosts`. Only at [`Level::Namespaces`]; below it they are left
    /// out, because nothing can be laid over the machine's files.
    pub files: Vec<SmallFile>,
    /// Empty writable directories in memory, such as `/tmp`. Only at [`Level::Namespaces`], where `/dev/shm` is always one
    /// (of [`Cell::SHM_BYTES`], unless it stands here).
    pub tmpfs: Vec<Tmpfs>,
    /// Who can be reached.
    pub network: Network,
    /// What can be used up.
    pub limits: Limits,
    /// Who it runs as. Required when the launcher is started by root, and refused otherwise, unless it is the one that it
    /// runs as anyway. Cells that run at the same time should have one each.
    pub user: Option<User>,
    /// Which calls the kernel refuses.
    pub syscalls: Syscalls,
}

/// How much is built around the program, from nearly nothing to all. docs/design/cells.md says what each does not stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Limits, a user, no new privileges, refused system calls, and the death signal; files and connections are as for any
    /// program of that user. For programs that run nothing a model wrote.
    Bare,
    /// The same, and Landlock over files, TCP ports, signals and abstract sockets. Files keep their places: a mount's
    /// target must be its source.
    Landlock,
    /// The same, but files are a view of their own instead of Landlock's rules, and processes, network, host name and
    /// shared memory are the cell's.
    Namespaces,
}

/// A file or directory of the machine in the cell.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// On the machine. It must exist. Only root's launcher needs no permission to reach it, and only at
    /// [`Level::Namespaces`].
    pub source: Utf8PathBuf,
    /// In the cell; the same as `source` at [`Level::Landlock`].
    pub target: Utf8PathBuf,
    /// What may be done with it, where the files' own permissions allow it as well.
    pub access: Access,
}

/// What may be done with a [`Mount`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// A read-only file that exists only in the cell.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SmallFile {
    /// Where.
    pub target: Utf8PathBuf,
    /// What is in it. Visible to every user of the machine.
    pub text: String,
}

/// An empty writable directory in memory.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where.
    pub target: Utf8PathBuf,
    /// The most it holds.
    pub bytes: u64,
}

/// Who can be reached over the network.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nobody.
    None,
    /// TCP connections to these ports of any address. Nobody can connect to the cell.
    Ports {
        /// The ports.
        tcp: Vec<u16>,
        /// Whether names may be looked up. It opens TCP port 53, and UDP to any port: Landlock does not know UDP.
        names: bool,
    },
}

/// What a cell can use up. Core files are never written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads. Where no cgroup can be made: that many more than the user has when the cell starts.
    pub processes: u64,
    /// Memory, in bytes. Where no cgroup can be made: the data of each single process.
    pub memory_bytes: Option<u64>,
    /// Open descriptors of each process.
    pub open_files: u64,
    /// The longest file that can be written, in bytes.
    pub file_bytes: Option<u64>,
}

/// Who a cell runs as: ids that nobody else uses. Never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id; there are no other groups.
    pub gid: u32,
}

/// Which system calls are refused. Both refuse what only attacks on the kernel or on other programs need.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syscalls {
    /// Sockets are TCP, and UDP where names may be looked up.
    Brain,
    /// There are no sockets but connected pairs.
    Hands,
}

/// What the launcher is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The process that the cell must not outlive, and that must be the launcher's parent.
    pub(crate) parent: u32,
    pub(crate) cell: Cell,
}

impl Cell {
    /// The size of `/dev/shm` in a cell that says nothing of it.
    pub const SHM_BYTES: u64 = 64 << 20;

    /// How the supervisor of this process starts the cell: with `launcher`, a program that calls [`enter`](crate::enter) with
    /// the second of its arguments when the first is `cell`. `env` is what the program gets, to the letter.
    ///
    /// The cell dies with the thread that starts it, which is how the kernel sees parents: start it from one that
    /// lives as long as the gateway.
    pub fn launch(self, launcher: &Utf8Path, env: Vec<(String, String)>) -> Launch {
        let order = Order { parent: std::process::id(), cell: self };
        let order = serde_json::to_string(&order).expect("strings, numbers and lists");
        Launch { program: launcher.to_owned(), args: vec!["cell".to_owned(), order], env, cwd: "/".into() }
    }
}
