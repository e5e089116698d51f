//! Everything on the public port that is no WebSocket: connections that the front door hands on, served by axum.
//!
//! Every answer closes its connection, so that an upgrade is always the first request of one.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc};

use super::cors::{self, Cors};
use super::headers::{NO_CACHE, SECURITY, SERVER, error_body};
use super::{front_door, headers, paths};
use crate::auth::Rejection;
use crate::notification::Date;

/// How many connections axum serves at once; the front door refuses those above.
const MOST: usize = 1024;

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
}

/// The routes of the public port, and what else is to be served there.
pub fn router(more: Router, cors: Cors) -> Router {
    let routes = Router::new().route("/alive", get(now)).route("/now", get(now)).route("/version", get(version));
    dressed(routes.merge(more).fallback(other), cors)
}

/// Routes as every port serves them: whatever the spelling of a path, and with the headers that every answer has.
pub fn dressed(routes: Router, cors: Cors) -> Router {
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(cors, cors::answer))
        .layer(map_request(paths::canonical_request))
        .layer(map_response(with_headers))
}

/// Serves connections as they come, until the front door is gone.
pub async fn serve(router: Router, mut connections: mpsc::Receiver<Handover>) {
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        // The front door finds its queue full, and refuses, as long as there is no room here.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let Some(handover) = connections.recv().await else { return };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _place = place;
            let Ok(socket) = tokio::net::TcpStream::from_std(handover.socket) else { return };
            let (reading, writing) = socket.into_split();
            let stream = tokio::io::join(Cursor::new(handover.head).chain(reading), writing);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .keep_alive(false)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up in the middle is no event.
            let _ = tokio::time::timeout(DEADLINE, connection).await;
        });
    }
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

/// The answer to a token that is not good.
pub fn rejected(rejection: Rejection) -> Response {
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    match rejection.challenge() {
        Some(challenge) => (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response(),
        None if rejection == Rejection::Unavailable => busy("The identity server's keys are not loaded yet."),
        None => status.into_response(),
    }
}

/// For now there is no room: 503, and when to try again.
pub fn busy(message: &str) -> Response {
    ([(header::RETRY_AFTER, headers::RETRY_AFTER)], error(StatusCode::SERVICE_UNAVAILABLE, message)).into_response()
}

/// An error as Bitwarden's services write it.
pub fn error(status: StatusCode, message: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], error_body(message)).into_response()
}

/// A request for the hub that is no upgrade is told what it lacks; everything else is not here.
async fn other(request: Request) -> Response {
    if front_door::hub_at(request.uri().path()).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::CONTENT_TYPE, "text/plain")]).into_response();
    }
    let missing = [("Connection", "Upgrade"), ("Upgrade", "websocket")].into_iter().find(|(name, wanted)| {
        let values = request.headers().get_all(*name);
        !values.iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
        })
    });
    let explanation = match missing {
        Some((name, value)) => {
            format!(
                "the header '{name}: {value}' is missing: this is a WebSocket endpoint, and a proxy in front of it may drop the header"
            )
        }
        None => "this is a WebSocket endpoint, and the request is no HTTP/1.1 upgrade".to_owned(),
    };
    let body = error_body(&format!("Connection ID required; {explanation}."));
    let mut response =
        (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response();
    for (name, value) in NO_CACHE {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
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
