//! Under a service manager: its socket, what it is told, and one gateway after another on the same port.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_lab::{Answer, ModelServer};
use tokio::runtime::Runtime;

use crate::program::{Program, Running, ask, codex};

/// Far more than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);
/// Clients that ask without a pause.
const CLIENTS: usize = 3;

/// A service manager: what it is told, in order.
struct Manager {
    path: Utf8PathBuf,
    told: mpsc::Receiver<String>,
}

impl Manager {
    fn listen(path: Utf8PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).expect("the directory is new");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).expect("it is text");
                if tell.send(text).is_err() {
                    return;
                }
            }
        });
        Self { path, told }
    }

    /// What it is told from now on until it is told this, without the signs of life before.
    fn until(&self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let told = self.told.recv_timeout(PATIENCE);
            let told = told.unwrap_or_else(|error| panic!("it is not told `{last}`: {error}, {all:?}"));
            let found = told.contains(last);
            if found || told != "WATCHDOG=1" {
                all.push(told);
            }
            if found {
                return all;
            }
        }
    }
}

#[test]
fn no_request_is_lost_between_two_gateways_on_one_socket() {
    let dir = Utf8TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let model = runtime.block_on(ModelServer::start()).unwrap();
    model.respond_with(|received| {
        if received.body.to_string().contains("Slowly") {
            Answer::text(["word "; 30]).every(Duration::from_millis(100))
        } else {
            Answer::text(["word"])
        }
    });
    let state = dir.path().join("state");
    let file = dir.path().join("portcullis.toml");
    let text = format!(
        "state.dir = 'state'\nhttp.drain = '30s'\ncodex.bin = '{}'\n[provider]\nkind = 'custom'\nbase_url = '{}'\n",
        codex(),
        model.base_url()
    );
    std::fs::write(&file, text).unwrap();
    let key = Program::new(&["key", "create", "--name", "test", "--config", file.as_str()]).output().stdout;
    let key = key.trim();

    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", socket.local_addr().unwrap());
    let managers = ["first", "second"].map(|name| Manager::listen(dir.path().join(name)));
    let start = |manager: &Manager| {
        Program::handed(
            socket.try_clone().unwrap(),
            "portcullis.socket",
            &["serve", "--config", file.as_str()],
        )
        .env("NOTIFY_SOCKET", manager.path.as_str())
        .env("WATCHDOG_USEC", "200000")
        .start()
    };
    let first = start(&managers[0]);
    let told = managers[0].until("Ready for turns");
    assert_eq!(told, [format!("READY=1\nSTATUS=Answers on {base_url}"), "STATUS=Ready for turns".to_owned()]);
    managers[0].until("WATCHDOG=1");
    assert_eq!(
        holders_of(&socket),
        BTreeSet::from([std::process::id(), first.pid()]),
        "a worker has the socket"
    );
    assert_eq!(told_of_sockets(&state), [""; 0]);

    let stop = AtomicBool::new(false);
    let (served, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let second = std::thread::scope(|scope| {
        let _clients = Stop(&stop);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut connection = ask(&base_url, key, &body("Quickly"));
                    connection.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut answer = String::new();
                    connection.read_to_string(&mut answer).expect("the answer is whole");
                    if answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("data: [DONE]") {
                        served.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // It was accepted before the signal and read after it. Clients come back.
                        assert!(
                            answer.starts_with("HTTP/1.1 503 ") && answer.contains("shutting_down"),
                            "{answer}"
                        );
                        late.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let stream = BufReader::new(ask(&base_url, key, &body("Slowly")));
        let second = swap(&managers, first, stream, &start);
        let before = served.load(Ordering::Relaxed);
        let began = Instant::now();
        while served.load(Ordering::Relaxed) < before + CLIENTS {
            assert!(began.elapsed() < PATIENCE, "the second gateway serves nobody: {}", second.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
        second
    });
    second.terminate();
    let ended = second.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let late = late.into_inner();
    assert!(late <= CLIENTS, "{late} requests came too late; the ones after them had to wait");
    runtime.block_on(model.shutdown());
}

/// Ends the clients, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Stops the first gateway while it streams, and starts the second.
fn swap(
    managers: &[Manager; 2],
    first: Running,
    stream: BufReader<TcpStream>,
    start: &impl Fn(&Manager) -> Running,
) -> Running {
    let mut lines = stream.lines().map(|line| line.expect("the stream is whole"));
    assert!(lines.by_ref().any(|line| line.contains("word ")));
    first.terminate();
    let told = managers[0].until("STOPPING=1");
    assert_eq!(told, ["STOPPING=1\nSTATUS=Running requests have 30 seconds to finish"]);

    let second = start(&managers[1]);
    second.told("Waiting at most 45 seconds: another gateway");
    assert!(lines.by_ref().any(|line| line.contains("word ")), "it had ended before the second one came");
    assert!(lines.any(|line| line == "data: [DONE]"));
    let ended = first.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let told = managers[1].until("Ready for turns");
    assert!(told[0].starts_with("READY=1\n"), "{told:?}");
    second
}

fn body(what: &str) -> String {
    format!(r#"{{"model":"codex","stream":true,"messages":[{{"role":"user","content":"{what}"}}]}}"#)
}

/// The processes that have this socket open.
fn holders_of(socket: &TcpListener) -> BTreeSet<u32> {
    let inode = Utf8Path::new("/proc/self/fd").join(socket.as_raw_fd().to_string());
    let inode = inode.read_link_utf8().expect("it is open");
    processes()
        .filter(|(_, dir)| {
            let open = dir.join("fd").read_dir_utf8().into_iter().flatten().flatten();
            open.into_iter().any(|open| open.path().read_link_utf8().is_ok_and(|link| link == inode))
        })
        .map(|(pid, _)| pid)
        .collect()
}

/// Processes below this directory that were told of the service manager's sockets.
fn told_of_sockets(dir: &Utf8Path) -> Vec<String> {
    let there =
        |process: &Utf8Path| process.join("cwd").read_link_utf8().is_ok_and(|cwd| cwd.starts_with(dir));
    let below: Vec<_> = processes().filter(|(_, process)| there(process)).collect();
    assert!(!below.is_empty(), "no worker is seen by this test");
    let environ = |process: &Utf8Path| std::fs::read(process.join("environ")).unwrap_or_default();
    let environs =
        below.iter().map(|(_, process)| String::from_utf8_lossy(&environ(process)).replace('\0', " "));
    environs
        .filter(|told| ["LISTEN_", "NOTIFY_", "WATCHDOG_"].iter().any(|name| told.contains(name)))
        .collect()
}

fn processes() -> impl Iterator<Item = (u32, Utf8PathBuf)> {
    let all = Utf8Path::new("/proc").read_dir_utf8().expect("Linux has it").flatten();
    all.filter_map(|entry| Some((entry.file_name().parse().ok()?, entry.path().to_owned())))
}

#[test]
fn what_is_handed_over_must_be_of_use() {
    let (datagrams, connected) = (UnixDatagram::unbound().unwrap(), File::open("/dev/null").unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let refused = |socket: OwnedFd, name: &str, expected: &str| {
        let told = Program::handed(socket, name, &["serve"]).env("HOME", "/nowhere").output();
        assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
        let expected = format!("error: the descriptor 3 (`{name}`) of the service manager {expected}");
        assert!(told.stderr.starts_with(&expected), "{told:?}");
    };
    refused(datagrams.into(), "http", "is no listening TCP socket");
    refused(connected.into(), "http", "is no listening TCP socket");
    refused(client.into(), "images", "is no listening TCP socket");
    refused(listener.into(), "https", "has no use");
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    refused(everywhere.into(), "images", "listens on 0.0.0.0:");
}

#[test]
fn systemd_understands_the_units() {
    let shipped = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    let dir = Utf8TempDir::new().unwrap();
    for unit in ["portcullis.service", "portcullis.socket"] {
        let text = std::fs::read_to_string(shipped.join(unit)).unwrap();
        // It must be there to be verified.
        let text = text.replace("/usr/local/bin/portcullis", env!("CARGO_BIN_EXE_portcullis"));
        std::fs::write(dir.path().join(unit), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "./portcullis.service", "./portcullis.socket"]).current_dir(dir.path());
    let Ok(told) = verify.output() else { return };
    let stderr = String::from_utf8(told.stderr).unwrap();
    // Known since systemd 254.
    let wrong: Vec<_> = stderr.lines().filter(|line| !line.contains("'DelegateSubgroup'")).collect();
    assert!(told.status.success() && wrong.is_empty(), "{stderr}");
}
