//! Being told to stop (Ctrl-C, or `kill` and service managers), or to read the configuration again.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the program to end. From its making on they no longer kill the process, so that whoever
/// holds it must listen.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// The signal that asks the program to read its configuration again.
pub(crate) struct Hangups(Signal);

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let open = |kind| signal(kind).context("the program cannot listen to signals");
        Ok(Self { interrupt: open(SignalKind::interrupt())?, terminate: open(SignalKind::terminate())? })
    }

    /// Waits for the next one and says its name. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

impl Hangups {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("the program cannot listen to signals")?))
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Whether the program runs in a terminal. The same signal also says that this terminal has been closed.
pub(crate) fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
