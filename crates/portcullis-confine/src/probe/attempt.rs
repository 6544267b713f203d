//! One attempt, in a process of its own.

use std::fmt::Display;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use super::{Outcome, Trial};
use crate::fork::{Side, fork, leave};

/// An attempt may hang; longer than this it is not waited for.
const SECONDS: u32 = 30;

/// How often starting it is tried again: for some seconds.
const TRIES: u32 = 200;

/// Something to try.
pub(super) struct Attempt<'a> {
    name: String,
    run: Box<dyn FnOnce() -> Told + 'a>,
}

/// What an attempt says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    outcome: Outcome,
    detail: String,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(name: impl Into<String>, run: impl FnOnce() -> Told + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

impl Told {
    pub(super) fn allowed(detail: impl Display) -> Self {
        Self { outcome: Outcome::Allowed, detail: detail.to_string() }
    }

    pub(super) fn refused(detail: impl Display) -> Self {
        Self { outcome: Outcome::Refused, detail: detail.to_string() }
    }

    pub(super) fn not_applicable(detail: impl Display) -> Self {
        Self { outcome: Outcome::NotApplicable, detail: detail.to_string() }
    }

    /// Every error is a refusal.
    pub(super) fn of<T, E: Display>(tried: Result<T, E>) -> Self {
        match tried {
            Ok(_) => Self::allowed("it worked"),
            Err(error) => Self::refused(error),
        }
    }
}

/// Tries it in a child; a child that is killed was refused, whatever it was about to say.
pub(super) fn isolated(attempt: Attempt<'_>) -> Trial {
    let Attempt { name, run } = attempt;
    let Told { outcome, detail } =
        in_child(run).unwrap_or_else(|error| Told::not_applicable(format!("it could not be tried: {error}")));
    Trial { name, outcome, detail }
}

fn in_child(run: impl FnOnce() -> Told) -> io::Result<Told> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = match fork_when_possible()? {
        Side::Child => {
            // SAFETY: it only starts a clock; the signal ends this process.
            unsafe { libc::alarm(SECONDS) };
            let told = serde_json::to_string(&run()).expect("words");
            let _ = io::PipeWriter::from(writer).write_all(told.as_bytes());
            leave(0)
        }
        Side::Parent { child } => child,
    };
    drop(writer);
    let mut told = String::new();
    io::PipeReader::from(reader).read_to_string(&mut told)?;
    let status = loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(status) => break status.and_then(|(_, status)| status.terminating_signal()),
        }
    };
    match status {
        Some(libc::SIGALRM) => Ok(Told::allowed("it was still at it after 30 s")),
        Some(signal) => Ok(Told::refused(format!("it was killed by signal {signal}"))),
        None => serde_json::from_str(&told).map_err(io::Error::other),
    }
}

/// The cell may be at its limit for a moment, when its user is and has other processes.
fn fork_when_possible() -> io::Result<Side> {
    for _ in 0..TRIES {
        match fork() {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => pause(),
            forked => return forked,
        }
    }
    fork()
}

#[expect(clippy::disallowed_methods, reason = "the probe is a program of its own, without a runtime")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Makes a system call whose arguments are numbers. Where the call wants an address it gets none, so that it fails in any
/// case; how it fails tells whether the kernel would have gone on.
pub(super) fn call(number: libc::c_long, arguments: [i64; 5]) -> Told {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the callers give no address but null, so that the kernel reads and writes no memory of this process, which
    // ends after the attempt, whatever the call made of it.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    if result >= 0 {
        return Told::allowed("it worked");
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::ESRCH) => Told::refused(error),
        _ => Told::allowed(format!("it got as far as: {error}")),
    }
}
