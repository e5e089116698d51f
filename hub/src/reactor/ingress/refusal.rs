//! Refuses a request of the public port: the error response, and how the refusal is counted.

use crate::auth::Rejection;
use crate::http::connection_token_registry::TokenState;
use crate::http::error_response::ErrorResponse;
use crate::http::headers::ERROR_LINGER;
use crate::reactor::Shared;
use crate::reactor::connection_limits::LimitReached;
use crate::reactor::sockets::Sockets;
use crate::reactor::sockets::outbox::Outbox;
use crate::signalr::Transport;

/// Why a request is refused.
pub(super) struct Refusal {
    /// The label of the metric.
    outcome: &'static str,
    error_response: ErrorResponse,
}

impl Refusal {
    /// Refuses a request that is wrong.
    pub(super) fn bad_request(error_response: ErrorResponse) -> Refusal {
        Refusal { outcome: "bad_request", error_response }
    }

    /// Refuses a request that there is no room for.
    pub(super) fn limited(error_response: ErrorResponse) -> Refusal {
        Refusal { outcome: "limited", error_response }
    }

    /// Refuses a WebSocket with a connection token in this state. Returns `None` if it may open one.
    pub(super) fn of_token_state(state: TokenState) -> Option<Refusal> {
        let error_response = match state {
            TokenState::Unused => return None,
            TokenState::Used(Transport::WebSockets) => ErrorResponse::text(409, ""),
            TokenState::Used(_) => ErrorResponse::transport_mismatch(),
            TokenState::Invalid => {
                ErrorResponse { body: b"No Connection with that ID".to_vec(), ..ErrorResponse::status_only(404) }
            }
        };
        Some(Refusal::bad_request(error_response))
    }

    /// Sends the error response, which a web page of `origin` may read, and closes the connection.
    pub(super) fn send(self, shared: &Shared, sockets: &mut Sockets, slot: u32, origin: Option<&str>) {
        let Refusal { outcome, error_response } = self;
        let Some(request) = sockets.take_request(slot) else { return };
        let cors_headers = shared.cors.headers(origin);
        let error_response =
            cors_headers.into_iter().fold(error_response, |response, (name, value)| response.with(name, value));
        shared.metrics.connection_attempts.inc(outcome);
        tracing::debug!(outcome, status = error_response.status, "client rejected");
        let outbox = Outbox::with_bytes(&error_response.bytes(), sockets.now);
        sockets.start_closing(slot, request.socket, outbox, ERROR_LINGER);
    }
}

impl From<LimitReached> for Refusal {
    fn from(reached: LimitReached) -> Refusal {
        Refusal::limited(reached.error_response())
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        let outcome = match rejection {
            Rejection::Unavailable => "unavailable",
            Rejection::Scope => "forbidden",
            _ => "unauthorized",
        };
        Refusal { outcome, error_response: ErrorResponse::unauthorized(rejection) }
    }
}
