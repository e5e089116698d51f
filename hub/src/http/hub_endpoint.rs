//! The routes of the hubs' paths for Server-Sent Events and long polling (`signalr.md` 2.1 and 2.2): authenticates a request, and
//! connects it to its relay. Reactors serve WebSockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::auth_guard::AuthGuard;
use super::connection_token_registry::{ConnectionTokenRegistry, TokenState};
use super::error_response::ErrorResponse;
use super::headers::NO_CACHE_HEADERS;
use super::relay::{ConnectFn, Relay};
use super::relay_table::RelayTable;
use super::request_body::{self, BodyChunks};
use super::request_budget::RequestBudget;
use super::request_kind::accepts_event_stream;
use super::upgrade_hint::missing_upgrade_hint;
use super::{long_polling, server_sent_events};
use crate::auth::{Policy, Principal, Query};
use crate::config::Config;
use crate::signalr::Transport;

/// The largest body of a POST, in bytes, as in the upstream service. The body is streamed to the reactor.
const MAX_POST_BYTES: usize = 30_000_000;

/// The state that the routes share.
#[derive(Clone)]
pub struct HubEndpoint {
    auth_guard: AuthGuard,
    connection_tokens: Arc<ConnectionTokenRegistry>,
    /// The relays of connected clients.
    relays: Arc<RelayTable>,
    connect_fn: ConnectFn,
    /// The longest time that a poll waits for a message.
    poll_timeout: Duration,
    /// The longest time without progress in writing a response.
    write_timeout: Duration,
    /// The most bytes that a client may send before it is connected.
    max_early_bytes: usize,
}

impl HubEndpoint {
    /// Creates an endpoint for at most `max_relays` connected clients.
    pub fn new(
        auth_guard: AuthGuard,
        connection_tokens: Arc<ConnectionTokenRegistry>,
        connect_fn: ConnectFn,
        max_relays: usize,
        config: &Config,
    ) -> HubEndpoint {
        HubEndpoint {
            auth_guard,
            connection_tokens,
            relays: Arc::new(RelayTable::new(max_relays)),
            connect_fn,
            poll_timeout: config.signalr.poll_timeout,
            write_timeout: config.slow_consumer.write_timeout,
            max_early_bytes: config.signalr.maximum_receive_message_size,
        }
    }
}

/// Returns the routes of both hubs.
pub fn routes(endpoint: HubEndpoint) -> Router {
    Router::new().route("/hub", any(main_hub)).route("/anonymous-hub", any(anonymous_hub)).with_state(endpoint)
}

async fn main_hub(State(endpoint): State<HubEndpoint>, budget: Extension<RequestBudget>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    if let Some(error_response) = missing_upgrade_hint(&parts, &query) {
        return error_response.into_response();
    }
    match endpoint.auth_guard.claims(&parts.headers, &query, Policy::Application).await {
        Ok(claims) => endpoint.respond(Principal::User(claims), budget.0, &parts, &query, body).await,
        Err(error_response) => error_response.into_response(),
    }
}

async fn anonymous_hub(
    State(endpoint): State<HubEndpoint>,
    budget: Extension<RequestBudget>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match missing_upgrade_hint(&parts, &query) {
        Some(error_response) => error_response.into_response(),
        None => endpoint.respond(Principal::anonymous(&query), budget.0, &parts, &query, body).await,
    }
}

impl HubEndpoint {
    async fn respond(
        self,
        principal: Principal,
        budget: RequestBudget,
        parts: &Parts,
        query: &Query<'_>,
        body: Body,
    ) -> Response {
        let id = query.value("id");
        let hub_request =
            HubRequest { id: id.as_deref(), principal, forwarded: joined_forwarded_for(&parts.headers), budget };
        match parts.method {
            Method::GET if accepts_event_stream(&parts.headers) => {
                self.open_event_stream(hub_request).await.into_response()
            }
            Method::GET => {
                let mut response = self.poll(hub_request).await.into_response();
                for (name, value) in NO_CACHE_HEADERS {
                    response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                response
            }
            Method::POST => self.receive_post(hub_request, body).await.into_response(),
            Method::DELETE => self.delete(&hub_request).into_response(),
            _ => ErrorResponse::text(405, "").into_response(),
        }
    }

    async fn open_event_stream(&self, hub_request: HubRequest<'_>) -> Result<Response, ErrorResponse> {
        if let Some(relay) = self.find_relay(&hub_request)? {
            return Err(match relay.transport() {
                Transport::ServerSentEvents => ErrorResponse::text(409, ""),
                _ => ErrorResponse::transport_mismatch(),
            });
        }
        let budget = hub_request.budget.clone();
        let (token, relay) = self.connect(hub_request, Transport::ServerSentEvents).await?;
        budget.detach();
        let (relays, metrics) = (self.relays.clone(), self.auth_guard.metrics.clone());
        let on_end = move |is_slow| {
            relays.remove(&token);
            if is_slow {
                metrics.slow_consumer_actions.inc("reset");
            }
        };
        Ok(server_sent_events::respond(relay, budget, self.write_timeout, on_end))
    }

    async fn poll(&self, hub_request: HubRequest<'_>) -> Result<Response, ErrorResponse> {
        let Some(relay) = self.find_relay(&hub_request)? else {
            self.connect(hub_request, Transport::LongPolling).await?;
            return Ok(long_polling::first_response());
        };
        if relay.transport() != Transport::LongPolling {
            return Err(ErrorResponse::transport_mismatch());
        }
        hub_request.budget.detach();
        let response = long_polling::poll(&relay, self.poll_timeout).await;
        hub_request.budget.set_deadline(self.write_timeout);
        Ok(response.unwrap_or_else(|| {
            hub_request.id.map(|id| self.relays.remove(id));
            long_polling::no_content()
        }))
    }

    async fn receive_post(&self, hub_request: HubRequest<'_>, body: Body) -> Result<Response, ErrorResponse> {
        let relay = self.find_relay(&hub_request)?;
        let id = hub_request.id()?;
        if relay.is_none() {
            match self.connection_tokens.peek(id, hub_request.principal.hub()) {
                TokenState::Unused => {}
                TokenState::Used(Transport::WebSockets) => {
                    return Err(ErrorResponse::text(405, "POST requests are not allowed for WebSocket connections."));
                }
                TokenState::Used(_) | TokenState::Invalid => return Err(connection_not_found()),
            }
        }
        if let Some(relay) = relay {
            let (mut writer, mut chunks) = (relay.lock_writer().await, BodyChunks::new(body, MAX_POST_BYTES));
            while let Some(chunk) = chunks.next().await? {
                if !writer.send(chunk).await {
                    return Err(connection_not_found());
                }
            }
        } else {
            // The body is limited here, because many of these requests may come without an access token.
            let bytes = request_body::read_body(body, self.max_early_bytes).await?;
            if !self.relays.buffer_early(id, &bytes, self.max_early_bytes) {
                return Err(ErrorResponse::service_unavailable(
                    "There is no room for data that is sent before a transport is connected.",
                ));
            }
        }
        Ok(([(CONTENT_TYPE, "text/plain")], ()).into_response())
    }

    fn delete(&self, hub_request: &HubRequest<'_>) -> Result<Response, ErrorResponse> {
        let id = hub_request.id()?;
        let is_long_polling = match self.find_relay(hub_request)? {
            Some(relay) => relay.transport() == Transport::LongPolling,
            None => match self.connection_tokens.peek(id, hub_request.principal.hub()) {
                TokenState::Unused | TokenState::Used(Transport::WebSockets) => false,
                TokenState::Used(_) | TokenState::Invalid => return Err(connection_not_found()),
            },
        };
        if !is_long_polling {
            return Err(ErrorResponse::text(400, "Cannot terminate this connection using the DELETE endpoint."));
        }
        if let Some(relay) = self.relays.remove(id) {
            relay.cancel_poll();
        }
        Ok((StatusCode::ACCEPTED, [(CONTENT_TYPE, "text/plain")]).into_response())
    }

    /// Returns the relay of a request's connection, or `None` if the client is not connected yet.
    ///
    /// # Errors
    /// Returns an error if the request has no connection token, or another client's.
    fn find_relay(&self, hub_request: &HubRequest<'_>) -> Result<Option<Arc<Relay>>, ErrorResponse> {
        match self.relays.get(hub_request.id()?) {
            Some(relay) if !relay.is_owned_by(&hub_request.principal) => Err(connection_not_found()),
            found => Ok(found),
        }
    }

    /// Redeems the connection token of a request and connects the client to its reactor.
    async fn connect(
        &self,
        hub_request: HubRequest<'_>,
        transport: Transport,
    ) -> Result<(String, Arc<Relay>), ErrorResponse> {
        let token = hub_request.id()?.to_owned();
        let no_room =
            || ErrorResponse::service_unavailable("This server has reached its limit of clients without WebSockets.");
        if !self.relays.has_room() {
            return Err(no_room());
        }
        match self.connection_tokens.redeem(&token, hub_request.principal.hub(), transport) {
            TokenState::Unused => {}
            TokenState::Used(before) if before != transport => return Err(ErrorResponse::transport_mismatch()),
            TokenState::Used(_) | TokenState::Invalid => return Err(connection_not_found()),
        }
        let relay = Relay::open(
            &self.connect_fn,
            transport,
            hub_request.principal,
            hub_request.budget.peer,
            hub_request.forwarded,
        )
        .await?;
        let relay = Arc::new(relay);
        // Other clients may have taken the room in the meantime.
        let early_bytes = self.relays.insert(&token, relay.clone()).ok_or_else(no_room)?;
        // Spawned before the next await: if the request is dropped there, the task still removes the relay.
        let (relays, watched) = (self.relays.clone(), (token.clone(), Arc::downgrade(&relay)));
        tokio::spawn(async move { relays.reap_when_idle(watched.0, watched.1).await });
        if !early_bytes.is_empty() {
            // If the reactor has closed the connection, reading from the relay reports it.
            let _ = relay.lock_writer().await.send(early_bytes.into()).await;
        }
        Ok((token, relay))
    }
}

/// An authenticated request.
struct HubRequest<'a> {
    /// The connection token, from the parameter `id`.
    id: Option<&'a str>,
    principal: Principal,
    forwarded: String,
    budget: RequestBudget,
}

impl HubRequest<'_> {
    fn id(&self) -> Result<&str, ErrorResponse> {
        self.id.ok_or_else(|| ErrorResponse::text(400, "Connection ID required"))
    }
}

fn connection_not_found() -> ErrorResponse {
    ErrorResponse::text(404, "No Connection with that ID")
}

fn joined_forwarded_for(headers: &HeaderMap) -> String {
    let hops = headers.get_all("x-forwarded-for").into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    hops.collect::<Vec<_>>().join(",")
}
