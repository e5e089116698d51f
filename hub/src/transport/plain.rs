//! Everything on the public port that is no WebSocket: connections that the front door hands on, served by axum.
//!
//! Every answer closes its connection, so that an upgrade is always the first request of one.

use std::io::Cursor;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::cors::{self, Cors};
use super::headers::{SECURITY, SERVER};
use super::lease::Lease;
use super::paths;
use crate::notification::Date;

/// The version of Bitwarden's service that this one stands in for, released in August 2026. Its own is in `Server`.
const EMULATED: &str = "2026.8.0";

/// How long a request's head may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long a request may take with all that belongs to it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A connection that is no WebSocket, with the bytes that were read of it.
pub struct Handover {
    /// The socket, non-blocking.
    pub socket: std::net::TcpStream,
    /// What was read: served before what the socket still has.
    pub head: Vec<u8>,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The request is for a hub.
    pub on_hub: bool,
    /// Its place among those that are served at once.
    pub place: OwnedSemaphorePermit,
}

/// The way in, for so many at once.
#[derive(Clone)]
pub struct Entrance {
    room: Arc<Semaphore>,
    connections: mpsc::UnboundedSender<Handover>,
}

/// Opens the way in, with its other end.
pub fn entrance(most: usize) -> (Entrance, mpsc::UnboundedReceiver<Handover>) {
    let (connections, other_end) = mpsc::unbounded_channel();
    (Entrance { room: Arc::new(Semaphore::new(most)), connections }, other_end)
}

impl Entrance {
    /// A place, if there is one.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().ok()
    }

    /// Takes a connection in: there are no more of them than places.
    pub fn take(&self, connection: Handover) {
        // The other end is there as long as the front door.
        let _ = self.connections.send(connection);
    }
}

/// The routes of the public port, and what else is to be served there.
pub fn router(more: Router, cors: Cors) -> Router {
    let routes = Router::new().route("/alive", get(now)).route("/now", get(now)).route("/version", get(version));
    dressed(routes.merge(more), cors)
}

/// Routes as every port serves them: whatever the spelling of a path, and with the headers that every answer has.
pub fn dressed(routes: Router, cors: Cors) -> Router {
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(cors, cors::answer))
        .layer(map_request(paths::canonical_request))
        .layer(map_response(with_headers))
}

/// Serves connections as they come, until the front door is gone and the last of them has ended.
pub async fn serve(router: Router, mut connections: mpsc::UnboundedReceiver<Handover>) {
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let Some(Handover { socket, head, peer, on_hub, place }) = connections.recv().await else { break };
        let lease = Lease::new(peer, place, DEADLINE);
        let service = TowerToHyperService::new(router.clone().layer(Extension(lease.clone())));
        served.spawn(async move {
            let Ok(socket) = tokio::net::TcpStream::from_std(socket) else { return };
            let (reading, writing) = socket.into_split();
            let stream = tokio::io::join(Cursor::new(head).chain(reading), writing);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .keep_alive(false)
                // Who waits for what a hub says and closes its half has gone; others may still read their answer.
                .half_close(!on_hub)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up in the middle is no event.
            tokio::select! {
                _ = connection => {}
                () = lease.over() => {}
            }
        });
    }
    while served.join_next().await.is_some() {}
}

async fn now() -> Response {
    json_text(&Date::now().to_string())
}

async fn version() -> Response {
    json_text(EMULATED)
}

fn json_text(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], format!("\"{text}\"")).into_response()
}

/// Adds what every answer carries.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}
