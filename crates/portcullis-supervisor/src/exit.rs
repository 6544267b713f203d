//! Why a process is not running any more: what logs, metrics, `doctor` and the dashboard show.

use std::error::Error;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;

/// Why a process ended, or why a start came to nothing.
///
/// The strings are for logs and the operator; they come from a role and from error chains, never from a
/// child's stderr.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExitReason {
    /// It exited with code 0.
    Clean,
    /// It exited with this code, which is not 0.
    Code(i32),
    /// This signal ended it, and it was not our KILL.
    Signal(i32),
    /// We sent KILL: the grace was over, or there was nothing left to be gentle about.
    Killed,
    /// It was not ready within [`Settings::ready_within`](crate::Settings::ready_within).
    HandshakeTimeout,
    /// The role could not shake hands with it.
    HandshakeFailed(String),
    /// It was ready, and then the role lost the connection or gave it up.
    ConnectionClosed(String),
    /// There never was a process: the role could not describe it, or the system could not start it.
    LaunchFailed(String),
    /// Something else in this program collected the exit status.
    Unknown,
}

impl ExitReason {
    /// The reason as a short permanent word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Code(_) => "code",
            Self::Signal(_) => "signal",
            Self::Killed => "killed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed(_) => "handshake_failed",
            Self::ConnectionClosed(_) => "connection_closed",
            Self::LaunchFailed(_) => "launch_failed",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn from_status(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Clean,
            // A launcher that stays in between tells of its program's signal as a shell does.
            (Some(code @ 129..=159), _) => Self::Signal(code - 128),
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }

    /// The reason to show when the connection was lost for `self` and the process was then seen to end with
    /// `exit`.
    ///
    /// A process that dies closes its pipes first, so the lost connection is often just the messenger.
    pub(crate) fn explained_by(self, exit: &Self) -> Self {
        let with_exit = |why: String| format!("{why}; the process {exit}");
        match (self, exit) {
            (Self::HandshakeTimeout, _) => Self::HandshakeTimeout,
            // A broken pipe is the answer to our hanging up, not the cause.
            (_, Self::Signal(signal)) if *signal != Signal::PIPE.as_raw() => Self::Signal(*signal),
            (lost, Self::Killed) => lost,
            (Self::HandshakeFailed(why), _) => Self::HandshakeFailed(with_exit(why)),
            (Self::ConnectionClosed(why), _) => Self::ConnectionClosed(with_exit(why)),
            (other, _) => other,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("exited cleanly"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Killed => f.write_str("was killed by its supervisor"),
            Self::HandshakeTimeout => f.write_str("was not ready in time"),
            Self::HandshakeFailed(why) => write!(f, "failed its handshake: {why}"),
            Self::ConnectionClosed(why) => write!(f, "lost its connection: {why}"),
            Self::LaunchFailed(why) => write!(f, "could not be started: {why}"),
            Self::Unknown => f.write_str("ended without a known status"),
        }
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_passes_its_programs_signal_on() {
        let of = |code: i32| ExitReason::from_status(ExitStatus::from_raw(code << 8));
        assert_eq!(
            [of(137), of(128), of(160)],
            [ExitReason::Signal(9), ExitReason::Code(128), ExitReason::Code(160)]
        );
    }

    #[test]
    fn a_lost_connection_is_explained_by_how_the_process_ended() {
        let closed = |why: &str| ExitReason::ConnectionClosed(why.to_owned());
        let failed = |why: &str| ExitReason::HandshakeFailed(why.to_owned());
        for (lost, exit, shown) in [
            (closed("end of file"), ExitReason::Signal(9), ExitReason::Signal(9)),
            (
                closed("end of file"),
                ExitReason::Code(3),
                closed("end of file; the process exited with code 3"),
            ),
            (failed("no login"), ExitReason::Clean, failed("no login; the process exited cleanly")),
            (
                failed("no login"),
                ExitReason::Signal(13),
                failed("no login; the process was ended by signal 13"),
            ),
            (closed("line too long"), ExitReason::Killed, closed("line too long")),
            (ExitReason::HandshakeTimeout, ExitReason::Clean, ExitReason::HandshakeTimeout),
        ] {
            assert_eq!(lost.explained_by(&exit), shown);
        }
    }
}
