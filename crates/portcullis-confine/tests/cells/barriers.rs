//! The probe in a brain's cell and in hands' cells, and what it found, whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use camino::Utf8PathBuf;
use portcullis_confine::probe::{Named, NamedPort, Outcome, Targets, Trial};
use portcullis_confine::{Access, Cell, Level, Missing, Network, Report, Syscalls};
use portcullis_supervisor::{ExitReason, Launch};
use tokio::net::TcpListener;

use crate::support::{Place, alone, built_here, launch, launcher, left_out, open_to_all, run, stdout};

#[derive(Clone, Copy, Debug)]
enum Part {
    Brain,
    Read,
    Work,
}

/// What an attempt must achieve outside a cell, or its refusal inside means nothing. Others need rights that depend on who runs
/// this and where.
const ALLOWED_OUTSIDE: &[&str] = &[
    "read the key file",
    "read the key file through a link",
    "read another workspace",
    "write to another workspace",
    "write to the workspace",
    "write to /tmp",
    "open the gateway's /proc/…/environ",
    "open the gateway's /proc/…/mem",
    "list the gateway's descriptors",
    "read the gateway's memory",
    "signal the gateway",
    "connect to the gateway",
    "connect to the model",
    "listen on a TCP port",
    "send over UDP",
    "connect to a Unix socket",
    "connect to an abstract Unix socket",
    "open an MPTCP socket",
    "open a netlink socket",
    "clone into a user namespace",
    "clone with flags in memory",
    "type into a terminal",
    "fill /tmp past its size",
    "start more processes than the limit",
    "open more descriptors than the limit",
    "write a file longer than the limit",
    "write a file in memory longer than the limit",
    "use more memory than the limit",
];

#[tokio::test]
async fn what_is_refused_in_which_cell() {
    let _turn = alone();
    outside_a_cell_the_attempts_succeed().await;
    let mut columns = Vec::new();
    for level in [Level::Namespaces, Level::Landlock] {
        if !built_here(level).await {
            return;
        }
        for part in [Part::Brain, Part::Read, Part::Work] {
            let (report, trials) = probe(level, part).await;
            let weaker = report
                .missing
                .iter()
                .find(|missing| !matches!(missing, Missing::CellProcesses | Missing::CellMemory));
            if let Some(weaker) = weaker {
                left_out(&format!("this kernel is weaker than the table expects: {weaker}"));
                return;
            }
            columns.push((format!("{level:?} {part:?}"), trials));
        }
    }
    say(&columns);
    insta::assert_snapshot!(table(&columns));
}

/// What the others need to mean something.
async fn outside_a_cell_the_attempts_succeed() {
    let place = Place::new(Level::Bare);
    let outside = Outside::new(&place).await;
    let targets = outside.targets(&place.hands(String::new().into(), vec![], Access::ReadWrite));
    let args = vec!["probe".to_owned(), serde_json::to_string(&targets).unwrap()];
    let output = run(&Launch { program: launcher().into(), args, env: vec![], cwd: "/".into() }).await;
    let trials: BTreeMap<String, Trial> =
        trials(stdout(&output)).into_iter().map(|trial| (trial.name.clone(), trial)).collect();
    let refused: Vec<_> = ALLOWED_OUTSIDE
        .iter()
        .map(|name| trials.get(*name).unwrap_or_else(|| panic!("there is no attempt to {name}")))
        .filter(|trial| trial.outcome != Outcome::Allowed)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

async fn probe(level: Level, part: Part) -> (Report, Vec<Trial>) {
    let place = Place::new(level);
    let outside = Outside::new(&place).await;
    let mut cell = outside.cell(part);
    let targets = outside.targets(&cell);
    cell.args = vec!["probe".to_owned(), serde_json::to_string(&targets).unwrap()];
    let output = run(&launch(cell)).await;
    assert_eq!(output.exit, ExitReason::Clean, "{}", output.stderr_tail);
    (Report::find(&output.stderr_tail).expect("a report"), trials(stdout(&output)))
}

fn trials(stdout: &str) -> Vec<Trial> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is around a cell and must stay out of its reach. Its permissions are open, so that only the cell stands before it.
struct Outside<'a> {
    place: &'a Place,
    gateway: TcpListener,
    model: TcpListener,
    abstract_name: String,
    _sockets: [UnixListener; 2],
}

impl<'a> Outside<'a> {
    async fn new(place: &'a Place) -> Self {
        for directory in ["state", "other", "home"] {
            let directory = place.path().join(directory);
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        }
        for file in ["state/keys.json", "state/auth.json", "other/notes.txt"] {
            let file = place.path().join(file);
            fs::write(&file, "secret").unwrap();
            open_to_all(&file);
        }
        let socket = place.path().join("state/gateway.sock");
        let abstract_name = format!("portcullis-probe{}", place.path());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [UnixListener::bind(&socket).unwrap(), UnixListener::bind_addr(&address).unwrap()];
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        Self {
            place,
            gateway: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            model: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            abstract_name,
            _sockets: sockets,
        }
    }

    fn port(listener: &TcpListener) -> u16 {
        listener.local_addr().unwrap().port()
    }

    fn cell(&self, part: Part) -> Cell {
        let access = if matches!(part, Part::Read) { Access::ReadOnly } else { Access::ReadWrite };
        let mut cell = self.place.hands(self.place.probe(), Vec::new(), access);
        if matches!(part, Part::Brain) {
            cell.syscalls = Syscalls::Brain;
            cell.network = Network::Ports { tcp: vec![Self::port(&self.model)], names: false };
            cell.mounts.push(self.place.mount(&self.path("home"), "/home", Access::ReadOnly));
        }
        cell
    }

    fn path(&self, path: &str) -> Utf8PathBuf {
        self.place.path().join(path)
    }

    fn targets(&self, cell: &Cell) -> Targets {
        let named = |name: &str, path: Utf8PathBuf| Named { name: name.to_owned(), path };
        let port = |name: &str, listener| NamedPort { name: name.to_owned(), port: Self::port(listener) };
        Targets {
            read: vec![
                named("the key file", self.path("state/keys.json")),
                named("the login", self.path("state/auth.json")),
                named("the state directory", self.path("state")),
                named("another workspace", self.path("other/notes.txt")),
                named("/etc/shadow", "/etc/shadow".into()),
                named("/root", "/root".into()),
                named("/var", "/var".into()),
                named("the workspace", self.place.workspace()),
            ],
            write: vec![
                named("the workspace", self.place.workspace()),
                named("another workspace", self.path("other")),
                named("the state directory", self.path("state")),
                named("its configuration", self.place.inside(&self.path("home"), "/home")),
                named("/", "/".into()),
                named("/etc", "/etc".into()),
                named("/usr", "/usr".into()),
                named("/dev", "/dev".into()),
                named("/tmp", "/tmp".into()),
                named("/dev/shm", "/dev/shm".into()),
            ],
            workspace: self.place.workspace(),
            process: std::process::id(),
            tcp: vec![port("the gateway", &self.gateway), port("the model", &self.model)],
            socket: self.path("state/gateway.sock"),
            abstract_socket: self.abstract_name.clone(),
            limits: cell.limits.clone(),
            tmpfs: cell.tmpfs.clone(),
        }
    }
}

/// For whoever has to find out why the table is another one.
#[expect(clippy::print_stderr, reason = "shown when the test fails")]
fn say(columns: &[(String, Vec<Trial>)]) {
    for (column, trials) in columns {
        for Trial { name, outcome, detail } in trials {
            eprintln!("{column}: {name}: {outcome:?}: {detail}");
        }
    }
}

fn table(columns: &[(String, Vec<Trial>)]) -> String {
    let mut table = String::new();
    for (number, (name, _)) in columns.iter().enumerate() {
        writeln!(table, "{}: {name}", number + 1).unwrap();
    }
    table.push('\n');
    for (row, trial) in columns[0].1.iter().enumerate() {
        let outcome = |(_, trials): &(String, Vec<Trial>)| {
            assert_eq!(trials[row].name, trial.name);
            match trials[row].outcome {
                Outcome::Refused => "no",
                Outcome::Allowed => "YES",
                Outcome::NotApplicable => "-",
            }
        };
        let outcomes: Vec<_> = columns.iter().map(outcome).map(|outcome| format!("{outcome:<4}")).collect();
        writeln!(table, "{} {}", outcomes.join(""), trial.name).unwrap();
    }
    table
}
