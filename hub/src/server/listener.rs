//! Binds the ports. `[::]` stands for all addresses, IPv6 and IPv4.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// The accept queue of a listener. The kernel may limit it further (`net.core.somaxconn`).
const LISTEN_BACKLOG: i32 = 4096;

/// Binds the first address that `HOST:PORT` resolves to. Accepted connections inherit the listener's options, such as the TCP user
/// timeout.
pub(crate) fn listen(address: &str, user_timeout: Duration) -> io::Result<TcpListener> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    bind_or_ipv4(address, |address| bind(address, user_timeout))
}

/// Binds an address. `[::]` becomes `0.0.0.0` on a system without IPv6.
fn bind_or_ipv4<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && is_without_ipv6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

/// Returns whether the system refused an IPv6 address because it has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    let refused = error.raw_os_error();
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| refused == Some(errno.raw_os_error()))
}

/// Creates a non-blocking listener.
fn bind(address: SocketAddr, user_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // The default depends on `net.ipv6.bindv6only`.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(user_timeout))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_or_ipv4_falls_back_only_for_all_addresses_without_ipv6() {
        let attempt = |address: &str, errno: Errno| {
            bind_or_ipv4(address.parse().expect("an address"), |address| match address {
                SocketAddr::V6(_) => Err(io::Error::from(errno)),
                SocketAddr::V4(address) => Ok(address.to_string()),
            })
        };
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            assert_eq!(attempt("[::]:5000", errno).expect("IPv4 instead"), "0.0.0.0:5000");
            assert!(attempt("[::1]:5000", errno).is_err(), "this address was asked for");
        }
        let error = attempt("[::]:5000", Errno::ADDRINUSE).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(attempt("0.0.0.0:5000", Errno::AFNOSUPPORT).expect("IPv4"), "0.0.0.0:5000");
    }

    #[test]
    fn listen_on_all_addresses_accepts_ipv4_and_ipv6() {
        let listener = listen("[::]:0", Duration::from_secs(30)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "::1"] {
            std::net::TcpStream::connect((host, port)).unwrap_or_else(|error| panic!("{host}: {error}"));
        }
    }
}
