//! Sockets of every kind, and who can be reached with them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

use super::Targets;
use super::attempt::{Attempt, Told, call};

const TIMEOUT: Duration = Duration::from_secs(5);
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn attempts(targets: &Targets) -> Vec<Attempt<'_>> {
    let mut all = Vec::new();
    for target in &targets.tcp {
        let address = (Ipv4Addr::LOCALHOST, target.port).into();
        let run = move || Told::of(TcpStream::connect_timeout(&address, TIMEOUT));
        all.push(Attempt::new(format!("connect to {}", target.name), run));
    }
    all.push(Attempt::new("listen on a TCP port", || Told::of(TcpListener::bind(ANY_PORT))));
    all.push(Attempt::new("send over UDP", || {
        let to = (Ipv4Addr::LOCALHOST, 9);
        Told::of(UdpSocket::bind(ANY_PORT).and_then(|socket| socket.send_to(b"probe", to)))
    }));
    all.push(Attempt::new("connect to a Unix socket", || Told::of(UnixStream::connect(&targets.socket))));
    all.push(Attempt::new("connect to an abstract Unix socket", || {
        let address = UnixAddr::from_abstract_name(&targets.abstract_socket);
        Told::of(address.and_then(|address| UnixStream::connect_addr(&address)))
    }));
    let kinds = [
        ("open an MPTCP socket", [libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP]),
        ("open an SCTP socket", [libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP]),
        ("open a raw socket", [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP]),
        ("open a packet socket", [libc::AF_PACKET, libc::SOCK_RAW, 0]),
        ("open a vsock socket", [libc::AF_VSOCK, libc::SOCK_STREAM, 0]),
        ("open a crypto socket", [libc::AF_ALG, libc::SOCK_SEQPACKET, 0]),
        ("open a netlink socket", [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE]),
        ("open an audit socket", [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT]),
    ];
    all.extend(kinds.map(|(name, [family, kind, protocol])| {
        let arguments = [family.into(), kind.into(), protocol.into(), 0, 0];
        Attempt::new(name, move || call(libc::SYS_socket, arguments))
    }));
    all
}
