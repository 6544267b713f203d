//! One child process in a process group of its own; its end is the end of the group.
//!
//! A group's id is its leader's pid, and the kernel may give a pid to somebody else once the leader is
//! reaped. So the order is always: see the leader's exit without reaping it (`waitid` with `WNOWAIT`), kill
//! what is left of the group while the zombie still holds the id, and reap last. Nothing is signalled after
//! that.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{self, SignalKind};

use crate::stderr::Stderr;
use crate::{ExitReason, Launch};

/// A running child and its process group. Dropping it sends KILL to the whole group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The leader's pid and the group's id.
    group: Pid,
    pid: u32,
    /// Wakes on every SIGCHLD of this program.
    child_exits: unix::Signal,
    stdio: Option<(ChildStdin, ChildStdout)>,
    stderr: Stderr,
    kill_sent: bool,
    exit: Option<ExitReason>,
}

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("program `{program}` was not found (hint: install it, or give its absolute path)")]
    NotFound {
        /// The program of the launch.
        program: Utf8PathBuf,
    },
    /// The program or the working directory may not be used by this user.
    #[error(
        "no permission to run `{program}` in `{cwd}` (hint: both must be accessible to the user that runs the gateway, \
         and the program executable, on a file system that is not mounted noexec)"
    )]
    PermissionDenied {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// The working directory of the launch.
        cwd: Utf8PathBuf,
    },
    /// There is no such working directory.
    #[error("the working directory `{cwd}` for `{program}` does not exist (hint: create it)")]
    NoWorkingDirectory {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// The working directory of the launch.
        cwd: Utf8PathBuf,
    },
    /// The system refused for another reason, such as a limit on processes.
    #[error("failed to start `{program}`")]
    Io {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Process {
    /// Starts the child with exactly the environment of `launch`, as leader of a new process group, and
    /// begins to drain its stderr. Must be called within a tokio runtime.
    pub fn spawn(launch: &Launch) -> Result<Self, SpawnError> {
        let io = |source| SpawnError::Io { program: launch.program.clone(), source };
        // Before the child exists, so that its exit cannot be missed.
        let child_exits = unix::signal(SignalKind::child()).map_err(io)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts a program: empty environment, own group"
        )]
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&launch.cwd)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| SpawnError::new(launch, source))?;

        let pid = child.id().expect("the child was not reaped yet");
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid is a positive i32");
        let stdin = child.stdin.take().expect("stdin is piped above");
        let stdout = child.stdout.take().expect("stdout is piped above");
        let stderr = child.stderr.take().expect("stderr is piped above");
        Ok(Self {
            child,
            group,
            pid,
            child_exits,
            stdio: Some((stdin, stdout)),
            stderr: Stderr::drain(stderr, pid),
            kill_sent: false,
            exit: None,
        })
    }

    /// Hands out both pipes. Until then the child's stdin stays open.
    ///
    /// # Panics
    /// When called twice.
    pub fn take_stdio(&mut self) -> (ChildStdin, ChildStdout) {
        self.stdio.take().expect("take_stdio is called once per process")
    }

    /// The leader's pid, which is also the group's id. Somebody else's once [`wait`](Self::wait) has
    /// returned.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the leader has not ended yet.
    pub fn is_running(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        self.exit.is_none() && matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// The last 64 KiB that the group wrote to stderr. May quote anything: for the operator's eyes only.
    pub fn stderr_tail(&self) -> String {
        self.stderr.tail()
    }

    /// Waits for the leader's exit, kills what is left of the group, and reaps the leader. Cancel safe; later
    /// calls return the same.
    pub async fn wait(&mut self) -> ExitReason {
        let leader = self.leader_exits().await;
        let reason = self.reap(leader);
        self.stderr.finish(self.pid).await;
        reason
    }

    /// TERM to the group, up to `grace` for the leader to exit, then KILL to the group; reaped when this
    /// returns.
    pub async fn stop(&mut self, grace: Duration) -> ExitReason {
        self.stdio = None;
        self.signal(Signal::TERM);
        match tokio::time::timeout(grace, self.leader_exits()).await {
            Ok(leader) => {
                self.reap(leader);
                self.wait().await
            }
            Err(_) => self.kill().await,
        }
    }

    /// KILL to the group; reaped when this returns.
    pub async fn kill(&mut self) -> ExitReason {
        self.stdio = None;
        self.kill_sent |= self.exit.is_none();
        self.signal(Signal::KILL);
        self.wait().await
    }

    /// Resolves when the leader is a zombie. Reaps nothing. Cancel safe.
    async fn leader_exits(&mut self) -> Leader {
        loop {
            if self.exit.is_some() {
                return Leader::Gone;
            }
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
            match waitid(WaitId::Pid(self.group), options) {
                Ok(Some(_)) => return Leader::Zombie,
                Ok(None) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return Leader::Gone,
            }
            // `None` cannot happen; should it, asking again at an interval is still right.
            if self.child_exits.recv().await.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Kills the group's remnants, then reaps the leader. No await between, so no cancellation between.
    fn reap(&mut self, leader: Leader) -> ExitReason {
        if let Some(reason) = &self.exit {
            return reason.clone();
        }
        let status = match leader {
            Leader::Zombie => {
                self.signal(Signal::KILL);
                self.child.try_wait().ok().flatten()
            }
            // Somebody else reaped it: the id may be anybody's, so leave it alone.
            Leader::Gone => None,
        };
        let reason = match status.map_or(ExitReason::Unknown, ExitReason::from_status) {
            ExitReason::Signal(signal) if self.kill_sent && signal == Signal::KILL.as_raw() => {
                ExitReason::Killed
            }
            reason => reason,
        };
        self.exit = Some(reason.clone());
        reason
    }

    /// Signals the group, unless its id may already be somebody else's.
    fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            // ESRCH: everybody is gone. EPERM: every member changed its user, and there is nothing we could
            // do.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Tokio reaps the leader later; until then the zombie holds the id.
        self.signal(Signal::KILL);
    }
}

/// What `waitid` said of the leader.
#[derive(Clone, Copy, Debug)]
enum Leader {
    /// It exited and still holds its pid.
    Zombie,
    /// It was reaped.
    Gone,
}

impl SpawnError {
    fn new(launch: &Launch, source: std::io::Error) -> Self {
        let (program, cwd) = (launch.program.clone(), launch.cwd.clone());
        match source.kind() {
            // Both a missing program and a missing directory are ENOENT; only the latter can be looked up.
            ErrorKind::NotFound if !cwd.exists() => Self::NoWorkingDirectory { program, cwd },
            ErrorKind::NotFound => Self::NotFound { program },
            ErrorKind::PermissionDenied => Self::PermissionDenied { program, cwd },
            _ => Self::Io { program, source },
        }
    }
}
