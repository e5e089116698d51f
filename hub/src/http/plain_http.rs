//! Plain HTTP on the public port: requests that `reactor-0` hands off, served by axum on the tokio worker.
//!
//! After a response the connection goes back to the reactor, which reads the next request. Proxies may send a WebSocket upgrade
//! on a connection that has served other requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::cors::{self, Cors};
use super::exchange::{ExchangeOutcome, HttpExchange};
use super::headers::{SECURITY_HEADERS, SERVER};
use super::paths;
use super::request_budget::RequestBudget;
use super::request_head::{PlainRequest, Purpose};
use crate::notification::Date;

/// The version of the upstream Bitwarden service that this hub replaces. The hub's own version is in `Server`.
const UPSTREAM_VERSION: &str = "2026.8.0";

/// The timeout of a request, from its head to the end of its response.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection with a request for axum.
pub struct HandedOffConnection {
    /// The socket, non-blocking.
    pub socket: std::net::TcpStream,
    /// The bytes that were read from the socket.
    pub read: Vec<u8>,
    /// The address of the peer: a client or a proxy.
    pub peer: IpAddr,
    /// The properties of the request, from its head.
    pub request: PlainRequest,
    /// The permit to serve the request.
    pub permit: OwnedSemaphorePermit,
}

/// A connection whose request has been served.
pub struct ReturnedConnection {
    /// The socket, non-blocking.
    pub socket: std::net::TcpStream,
    /// The bytes that were read of its next request.
    pub read: Vec<u8>,
    /// The address of the peer: a client or a proxy.
    pub peer: IpAddr,
    /// `true` if no request may follow. The reactor closes the connection after the client has read the response.
    pub is_ending: bool,
}

/// The sending side of the handoff to axum, with a bound on the requests of each purpose.
#[derive(Clone)]
pub struct HttpHandoff {
    permits: [Arc<Semaphore>; Purpose::VARIANTS.len()],
    requests: mpsc::UnboundedSender<HandedOffConnection>,
}

/// The smallest bound on the requests of a purpose.
const MIN_REQUESTS_PER_PURPOSE: usize = 4;

/// Creates a handoff for `max_requests` at once. Each purpose has a share of its own, so that requests without a token cannot
/// block probes and senders.
pub fn handoff_channel(max_requests: usize) -> (HttpHandoff, mpsc::UnboundedReceiver<HandedOffConnection>) {
    let (requests, receiver) = mpsc::unbounded_channel();
    let permits = Purpose::VARIANTS.map(|purpose| {
        let sixteenths = match purpose {
            Purpose::Probe => 1,
            Purpose::Send => 2,
            Purpose::Anonymous => 4,
            Purpose::Hub => 9,
        };
        Arc::new(Semaphore::new((max_requests * sixteenths / 16).max(MIN_REQUESTS_PER_PURPOSE)))
    });
    (HttpHandoff { permits, requests }, receiver)
}

impl HttpHandoff {
    /// Acquires a permit for a purpose, or returns `None` if its share is used up.
    pub fn try_acquire(&self, purpose: Purpose) -> Option<OwnedSemaphorePermit> {
        self.permits[purpose as usize].clone().try_acquire_owned().ok()
    }

    /// Hands off a request. The permits bound the queue.
    pub fn send(&self, request: HandedOffConnection) {
        // The receiver lives as long as the reactor.
        let _ = self.requests.send(request);
    }
}

/// Returns the router of the public port: its own routes, `more` and the common layers. `stopping` as in [`with_common_layers`].
pub fn router(more: Router, cors: Cors, stopping: watch::Receiver<bool>) -> Router {
    let routes = Router::new()
        // The default path of load balancers' health checks.
        .route("/", get(root).options(root))
        .route("/alive", get(now))
        .route("/now", get(now))
        .route("/version", get(version));
    with_common_layers(routes.merge(more), cors, stopping)
}

/// Adds the layers of the public and the internal port: canonical paths, CORS and the common headers.
///
/// Once `stopping` is `true`, responses have `Connection: close`, so that connection pools do not keep the connection.
pub fn with_common_layers(routes: Router, cors: Cors, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(cors, cors::apply))
        .layer(map_request(paths::canonicalize_request))
        .layer(map_response(move |response| std::future::ready(with_common_headers(response, *stopping.borrow()))))
}

/// Serves requests until the reactor has ended and the last response is written. `give_back` returns connections to the reactor.
pub async fn serve(
    router: Router,
    mut requests: mpsc::UnboundedReceiver<HandedOffConnection>,
    give_back: impl Fn(ReturnedConnection) + Clone + Send + 'static,
) {
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let Some(HandedOffConnection { socket, read, peer, request, permit }) = requests.recv().await else { break };
        let budget = RequestBudget::new(peer, Some(permit), REQUEST_TIMEOUT);
        let (router, give_back) = (router.clone(), give_back.clone());
        served.spawn(async move {
            let Ok(socket) = TcpStream::from_std(socket) else { return };
            let (socket, read, is_ending) = match (HttpExchange { socket, read, request }).serve(router, budget).await {
                ExchangeOutcome::KeepAlive(socket, read) => (socket, read, false),
                ExchangeOutcome::Close(socket) => (socket, Vec::new(), true),
                ExchangeOutcome::TimedOut => return,
            };
            if let Ok(socket) = socket.into_std() {
                give_back(ReturnedConnection { socket, read, peer, is_ending });
            }
        });
    }
    while served.join_next().await.is_some() {}
}

async fn root() -> &'static str {
    "This is a notification hub.\n"
}

async fn now() -> Response {
    json_text(&Date::now().to_string())
}

async fn version() -> Response {
    json_text(UPSTREAM_VERSION)
}

fn json_text(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], format!("\"{text}\"")).into_response()
}

/// Adds the headers of every response.
fn with_common_headers(mut response: Response, stopping: bool) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if stopping {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
