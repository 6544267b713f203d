//! The arguments of bubblewrap, which builds the namespaces. Pure: descriptors are only numbers here.

use std::os::fd::RawFd;

use camino::Utf8Path;

use crate::{Access, Cell, Mount, Network, SmallFile, Tmpfs};

const HOSTNAME: &str = "cell";

/// What is handed to bubblewrap open.
#[derive(Debug)]
pub(crate) struct Handed<'a> {
    /// From which it reads the small files.
    pub(crate) files: Vec<(RawFd, &'a SmallFile)>,
    /// From which it reads the lists of refused calls.
    pub(crate) filters: Vec<RawFd>,
}

/// The options, which are given in a file: a program can read the arguments of the first process of its namespace, and paths of
/// the machine are none of its business.
pub(crate) fn options(cell: &Cell, handed: &Handed<'_>) -> Vec<String> {
    let mut all = Options::default();
    all.push(&["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    if cell.network == Network::None {
        all.push(&["--unshare-net"]);
    }
    // Whoever kills bubblewrap kills all in the cell. No terminal of the gateway is the cell's.
    all.push(&["--die-with-parent", "--new-session", "--hostname", HOSTNAME]);
    all.push(&["--tmpfs", "/"]);
    // What is mounted inside of a tmpfs comes after it, or it would be covered: a state directory may be in `/tmp`.
    let inside = |mount: &&Mount| cell.tmpfs.iter().any(|tmpfs| mount.target.starts_with(&tmpfs.target));
    for mount in cell.mounts.iter().filter(|mount| !inside(mount)) {
        all.mount(mount);
    }
    // After the mounts, so that none of them can stand in for it.
    all.push(&["--proc", "/proc", "--dev", "/dev"]);
    let shm = Utf8Path::new("/dev/shm");
    if !cell.tmpfs.iter().any(|tmpfs| tmpfs.target == shm) {
        all.tmpfs(&Tmpfs { target: shm.to_owned(), bytes: Cell::SHM_BYTES });
    }
    for tmpfs in &cell.tmpfs {
        all.tmpfs(tmpfs);
    }
    for mount in cell.mounts.iter().filter(inside) {
        all.mount(mount);
    }
    for (file, SmallFile { target, .. }) in &handed.files {
        all.push(&["--perms", "0444", "--ro-bind-data", &file.to_string(), target.as_str()]);
    }
    // Both are in memory, of no size, and writable until now.
    all.push(&["--remount-ro", "/dev", "--remount-ro", "/"]);
    all.push(&["--chdir", cell.cwd.as_str()]);
    for filter in &handed.filters {
        all.push(&["--add-seccomp-fd", &filter.to_string()]);
    }
    all.0
}

/// Its command line: where the options are, and the program.
pub(crate) fn command(cell: &Cell, options: RawFd) -> Vec<String> {
    let mut all = Options::default();
    all.push(&["--args", &options.to_string(), "--", cell.program.as_str()]);
    all.0.extend(cell.args.iter().cloned());
    all.0
}

#[derive(Default)]
struct Options(Vec<String>);

impl Options {
    fn push(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn mount(&mut self, mount: &Mount) {
        let how = match mount.access {
            Access::ReadOnly => "--ro-bind",
            Access::ReadWrite => "--bind",
        };
        self.push(&[how, mount.source.as_str(), mount.target.as_str()]);
    }

    fn tmpfs(&mut self, Tmpfs { target, bytes }: &Tmpfs) {
        self.push(&["--size", &bytes.to_string(), "--tmpfs", target.as_str()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, Limits, Syscalls};

    #[test]
    fn the_order_of_options() {
        let mount =
            |path: &str, access| Mount { source: format!("/a{path}").into(), target: path.into(), access };
        let file = SmallFile { target: "/etc/hosts".into(), text: "127.0.0.1 cell".into() };
        let cell = Cell {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "--proc".into()],
            cwd: "/workspace".into(),
            level: Level::Namespaces,
            bwrap: Some("/bwrap".into()),
            mounts: vec![
                mount("/tmp/state", Access::ReadWrite),
                mount("/usr", Access::ReadOnly),
                mount("/workspace", Access::ReadWrite),
            ],
            files: Vec::new(),
            tmpfs: vec![Tmpfs { target: "/tmp".into(), bytes: 1 << 20 }],
            network: Network::None,
            limits: Limits { processes: 1, memory_bytes: None, open_files: 1, file_bytes: None },
            user: None,
            syscalls: Syscalls::Hands,
        };
        let handed = Handed { files: vec![(7, &file)], filters: vec![8, 9] };
        let lines = options(&cell, &handed).join(" ").replace(" --", "\n--");
        insta::assert_snapshot!(lines, @r"
        --unshare-user
        --unshare-pid
        --unshare-ipc
        --unshare-uts
        --unshare-cgroup-try
        --unshare-net
        --die-with-parent
        --new-session
        --hostname cell
        --tmpfs /
        --ro-bind /a/usr /usr
        --bind /a/workspace /workspace
        --proc /proc
        --dev /dev
        --size 67108864
        --tmpfs /dev/shm
        --size 1048576
        --tmpfs /tmp
        --bind /a/tmp/state /tmp/state
        --perms 0444
        --ro-bind-data 7 /etc/hosts
        --remount-ro /dev
        --remount-ro /
        --chdir /workspace
        --add-seccomp-fd 8
        --add-seccomp-fd 9
        ");
        assert_eq!(command(&cell, 10), ["--args", "10", "--", "/bin/sh", "-c", "--proc"]);

        let shared = Cell { network: Network::Ports { tcp: vec![1], names: false }, ..cell };
        assert!(!options(&shared, &handed).contains(&"--unshare-net".to_owned()));
    }
}
