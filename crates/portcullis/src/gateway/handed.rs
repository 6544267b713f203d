//! Listening sockets that a service manager has opened and hands over (sd_listen_fds(3)).

use std::net::TcpListener;

use anyhow::{Context as _, bail, ensure};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::environment::Environment;

/// The first descriptor that is handed over.
const FIRST: usize = 3;

/// What was handed over: nothing, most often.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// For all clients.
    pub(super) http: Option<TcpListener>,
    /// For image plug-ins, as `images.bind`.
    pub(super) images: Option<TcpListener>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Http,
    Images,
}

impl Handed {
    /// Takes every socket. To be called while the process has one thread: the variables are taken out of its environment.
    /// From here on no child gets a descriptor.
    pub(crate) fn take(environment: &Environment) -> anyhow::Result<Self> {
        let mut sockets = ListenFd::from_env();
        let names: Vec<&str> =
            environment.get("LISTEN_FDNAMES").map_or(Vec::new(), |all| all.split(':').collect());
        let mut handed = Self::default();
        for index in 0..sockets.len() {
            let name = names.get(index).copied().unwrap_or_default();
            let what = || format!("the descriptor {} (`{name}`) of the service manager", FIRST + index);
            let purpose = purpose(name, sockets.len()).with_context(|| format!("{} has no use", what()))?;
            let socket = sockets.take_tcp_listener(index).ok().flatten();
            let listens = |socket: &TcpListener| socket_acceptconn(socket).is_ok_and(|listens| listens);
            let Some(socket) = socket.filter(listens) else { bail!("{} is no listening TCP socket", what()) };
            socket.set_nonblocking(true).with_context(|| format!("{} can not be used", what()))?;
            let place = match purpose {
                Purpose::Http => &mut handed.http,
                Purpose::Images => {
                    let address =
                        socket.local_addr().with_context(|| format!("{} has no address", what()))?;
                    ensure!(address.ip().is_loopback(), "{} listens on {address}, not on loopback", what());
                    &mut handed.images
                }
            };
            ensure!(place.replace(socket).is_none(), "{} is the second one of that name", what());
        }
        Ok(handed)
    }

    /// Whether the gateway opens all its ports itself.
    pub(crate) fn is_empty(&self) -> bool {
        self.http.is_none() && self.images.is_none()
    }
}

/// What a socket is for. One that is alone needs no name; systemd calls it after its unit then.
fn purpose(name: &str, all: usize) -> anyhow::Result<Purpose> {
    match name {
        "http" => Ok(Purpose::Http),
        "images" => Ok(Purpose::Images),
        "" | "unknown" if all == 1 => Ok(Purpose::Http),
        unit if all == 1 && unit.ends_with(".socket") => Ok(Purpose::Http),
        _ => bail!("FileDescriptorName= is one of `http`, `images`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_known_by_its_name() {
        let known = |name, all| purpose(name, all).ok();
        assert_eq!((known("http", 2), known("images", 1)), (Some(Purpose::Http), Some(Purpose::Images)));
        for unnamed in ["", "unknown", "portcullis.socket"] {
            assert_eq!((known(unnamed, 1), known(unnamed, 2)), (Some(Purpose::Http), None), "{unnamed}");
        }
        assert_eq!(known("https", 1), None);
    }
}
