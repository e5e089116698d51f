//! The HTTP listener of liveness, readiness and metrics.
//!
//! It runs on the thread that runs all reconciles, so an answer of `/livez` shows that this thread is not blocked.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::telemetry::metrics::Metrics;

/// The accept queue of the listener.
const LISTEN_BACKLOG: i32 = 128;

/// The error of Linux for a socket of a protocol that it does not have.
const EAFNOSUPPORT: i32 = 97;

/// State that the listener reports.
#[derive(Clone)]
pub struct Admin {
    /// Whether the API server has answered. A process that waits for the lease is ready, too, because it can take over.
    pub ready: Arc<AtomicBool>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
}

/// Binds an address. `[::]` stands for all addresses, IPv6 and IPv4, or on a system without IPv6 those of IPv4.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = match bind_as(address) {
        Err(error)
            if address == SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())) && is_without_ipv6(&error) =>
        {
            bind_as((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    };
    TcpListener::from_std(bound?)
}

fn bind_as(address: SocketAddr) -> io::Result<std::net::TcpListener> {
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

/// Returns whether the system refused an IPv6 address because it has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, admin: Admin) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, routes).await
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet\n")
    }
}

async fn metrics(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    admin.metrics.text().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
