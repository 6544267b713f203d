//! The ports, and what to say when one cannot be had.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;

/// Takes the socket that was handed over, or else binds the address.
pub(super) async fn listen(
    handed: Option<std::net::TcpListener>,
    address: SocketAddr,
) -> anyhow::Result<TcpListener> {
    if let Some(handed) = handed {
        return TcpListener::from_std(handed).context("failed to listen on the socket that was handed over");
    }
    portcullis_http::bind(address).await.map_err(|error| listen_error(address, error, " or [http] bind"))
}

/// The same for image plug-ins, which have no address if none is given.
pub(super) async fn listen_for_images(
    handed: Option<std::net::TcpListener>,
    address: Option<SocketAddr>,
) -> anyhow::Result<Option<TcpListener>> {
    let address = match &handed {
        Some(handed) => Some(handed.local_addr().context("the socket for images has no address")?),
        None => address,
    };
    match address {
        Some(address) => listen(handed, address).await.map(Some),
        None => Ok(None),
    }
}

/// What went wrong with an address; `elsewhere` is where it can be chosen besides `--bind`.
pub(crate) fn listen_error(address: SocketAddr, error: Error, elsewhere: &str) -> anyhow::Error {
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "the port {port} on {ip} is taken; stop the other program or choose another with --bind {}{elsewhere}",
            // With the brackets that an IPv6 address needs there.
            address.to_string().replace(&format!(":{port}"), ":PORT"),
        ),
        ErrorKind::PermissionDenied => anyhow::Error::new(error).context(format!(
            "the port {port} on {ip} may not be used\n(hint: choose one above 1023 with --bind{elsewhere})"
        )),
        _ => anyhow::Error::new(error).context(format!("failed to listen on {address}")),
    }
}

/// An address that a client on this machine can use: `0.0.0.0` is none.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_can_be_used() {
        for (bound, shown) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")]
        {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), shown);
        }
    }
}
