//! The binary, started with an environment of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

/// Far more than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pinned Codex CLI.
pub(crate) fn codex() -> Utf8PathBuf {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/codex/node_modules/.bin/codex");
    assert!(path.exists(), "there is no Codex at `{path}` (hint: `make codex`)");
    path
}

/// A command line.
pub(crate) struct Program(Command);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// As systemd starts a program for its socket: descriptor 3, and variables that say so to this process alone.
    pub(crate) fn handed(socket: impl Into<OwnedFd>, name: &str, args: &[&str]) -> Self {
        const HAND_OVER: &str =
            "exec 3<&0 </dev/null; export LISTEN_PID=$$ WATCHDOG_PID=$$ LISTEN_FDS=1; exec \"$@\"";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER, "sh", env!("CARGO_BIN_EXE_portcullis")]).args(args);
        command.env_clear().env("LISTEN_FDNAMES", name);
        command.stdin(socket.into()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// Started by a shell that did something before, which stays in force.
    pub(crate) fn after(before: &str, args: &[&str]) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{before}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_portcullis")])
            .args(args);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn args_slice(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.0.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let told = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&told);
        // Read at once, or a full pipe would stop the program.
        let reader = std::thread::spawn(move || {
            for line in stderr.lines() {
                let line = line.expect("stderr is text");
                written.lock().expect("nobody panics with it").extend([line.as_str(), "\n"]);
            }
        });
        Running { child, stdout, told, reader: Some(reader) }
    }

    pub(crate) fn output(self) -> Ended {
        self.start().end()
    }
}

/// A program that runs; killed when the test fails.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Stderr so far.
    told: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).expect("stdout is text");
        assert!(read != 0, "stdout ended: {:?}", self.wait());
        line.trim_end().to_owned()
    }

    /// Stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.told.lock().expect("nobody panics with it").clone()
    }

    /// Waits until stderr has this, and returns what follows it up to white space.
    pub(crate) fn told(&self, words: &str) -> String {
        let started = Instant::now();
        loop {
            let stderr = self.stderr();
            if let Some((_, rest)) = stderr.split_once(words) {
                return rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "`{words}` is not in {stderr}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// As a service manager does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.wait()
    }

    fn wait(&mut self) -> Ended {
        let mut stdout = String::new();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.stdout.read_to_string(&mut stdout).expect("stdout is text");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        let stderr = self.stderr();
        let code = status.code().unwrap_or_else(|| panic!("killed: {status} {stderr}"));
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for a completion as curl does: an open connection on which the answer will come.
pub(crate) fn ask(base_url: &str, key: &str, body: &str) -> TcpStream {
    ask_with(base_url, key, "", body)
}

/// The same with more headers, each with its line's end.
pub(crate) fn ask_with(base_url: &str, key: &str, headers: &str, body: &str) -> TcpStream {
    let host = base_url.trim_start_matches("http://").trim_end_matches("/v1");
    let mut connection = TcpStream::connect(host).expect("the gateway listens");
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
         {headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).expect("it reads");
    connection
}
