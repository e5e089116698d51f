//! Binds the port. `[::]` stands for all addresses, IPv6 and IPv4.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// The accept queue of the listener.
const LISTEN_BACKLOG: i32 = 128;

/// The error of Linux for a socket of a protocol that it does not have (`EAFNOSUPPORT`), for which `io::ErrorKind` has no kind.
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;

/// Binds an address. `[::]` becomes `0.0.0.0` on a system without IPv6.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(bind_or_ipv4(address, bind)?)
}

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
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
}

/// Creates a non-blocking listener.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // The default depends on `net.ipv6.bindv6only`.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
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
        let attempt = |address: &str, error: fn() -> io::Error| {
            bind_or_ipv4(address.parse().expect("an address"), |address| match address {
                SocketAddr::V6(_) => Err(error()),
                SocketAddr::V4(address) => Ok(address.to_string()),
            })
        };
        let without_ipv6: [fn() -> io::Error; 2] =
            [|| io::Error::from_raw_os_error(ADDRESS_FAMILY_NOT_SUPPORTED), || io::ErrorKind::AddrNotAvailable.into()];
        for error in without_ipv6 {
            assert_eq!(attempt("[::]:8080", error).expect("IPv4 instead"), "0.0.0.0:8080");
            assert!(attempt("[::1]:8080", error).is_err(), "this address was asked for");
        }
        let error = attempt("[::]:8080", || io::ErrorKind::AddrInUse.into()).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn listen_on_all_addresses_accepts_ipv4_and_ipv6() {
        let listener = listen("[::]:0".parse().expect("an address")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "::1"] {
            std::net::TcpStream::connect((host, port)).unwrap_or_else(|error| panic!("{host}: {error}"));
        }
    }
}
