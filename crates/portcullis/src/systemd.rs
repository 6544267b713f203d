//! What a service manager is told (sd_notify(3)): that the gateway answers, what it does, that it is alive. Where there
//! is none, nothing is said.

use std::convert::Infallible;
use std::io::Result;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

use crate::environment::Environment;

/// Who started this process, if it wants to be told.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// After what silence it takes this process for dead.
    watchdog: Option<Duration>,
}

impl Manager {
    /// As the environment says.
    pub(crate) fn of(environment: &Environment) -> Self {
        let socket = environment.get("NOTIFY_SOCKET").and_then(|name| {
            let connected = connect(name);
            let failed = |error: &_| warn!(error = %error, "The service manager cannot be told anything");
            connected.inspect_err(failed).ok()
        });
        let for_us = environment.get("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = environment.get("WATCHDOG_USEC").filter(|_| for_us).and_then(|time| time.parse().ok());
        Self { socket, watchdog: watchdog.filter(|time| *time > 1).map(Duration::from_micros) }
    }

    /// Whether somebody listens.
    pub(crate) fn listens(&self) -> bool {
        self.socket.is_some()
    }

    /// The gateway has answered for the first time.
    pub(crate) fn answers(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// What it does, for `systemctl status`.
    pub(crate) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={status}"));
    }

    /// The gateway takes no more work.
    pub(crate) fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Tells a watchdog twice in its time that this process is alive: its timers fire, and the threads that serve
    /// requests take up work.
    pub(crate) async fn keep_alive(&self) -> Infallible {
        let Some(patience) = self.watchdog else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(patience / 2);
        loop {
            ticks.tick().await;
            #[expect(
                clippy::disallowed_methods,
                reason = "waited for at once: whether it runs is the question"
            )]
            let taken_up = tokio::task::spawn(async {});
            if taken_up.await.is_ok() {
                self.tell("WATCHDOG=1");
            }
        }
    }

    fn tell(&self, lines: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(lines.as_bytes()) {
            warn!(error = %error, "The service manager could not be told `{lines}`");
        }
    }
}

/// It never waits: a manager that does not read must not hold the gateway up.
fn connect(name: &str) -> Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
