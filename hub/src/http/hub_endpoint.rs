//! What a hub's path does beside WebSockets and negotiations (`signalr.md` 2.1 and 2.2): whose request it is, and who answers it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::connection_token_registry::{ConnectionTokenRegistry, TokenState};
use super::error_response::ErrorResponse;
use super::headers::NO_CACHE;
use super::relay::{ConnectFn, Relay};
use super::relay_table::RelayTable;
use super::request::{self, AuthGuard, BodyChunks};
use super::request_budget::RequestBudget;
use super::request_kind;
use super::{long_polling, server_sent_events};
use crate::auth::{Policy, Principal, Query};
use crate::config::Config;
use crate::signalr::Transport;

/// The most that a client says in one request, in bytes, as the original limits it. It is passed on as it comes.
const MAX_POST_BYTES: usize = 30_000_000;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Endpoint {
    /// Who may.
    auth_guard: AuthGuard,
    /// What was negotiated.
    connection_tokens: Arc<ConnectionTokenRegistry>,
    /// Who is connected.
    relays: Arc<RelayTable>,
    /// The way to the reactors.
    connect_fn: ConnectFn,
    /// How long a poll waits.
    poll_timeout: Duration,
    /// How long a client may take none of an answer.
    slow_timeout: Duration,
    /// The most that a client may have said before it is connected, in bytes.
    max_early_bytes: usize,
}

impl Endpoint {
    /// An endpoint of which nobody is a client yet; `max_relays` may be.
    pub fn new(
        auth_guard: AuthGuard,
        connection_tokens: Arc<ConnectionTokenRegistry>,
        connect_fn: ConnectFn,
        max_relays: usize,
        config: &Config,
    ) -> Endpoint {
        Endpoint {
            auth_guard,
            connection_tokens,
            relays: Arc::new(RelayTable::new(max_relays)),
            connect_fn,
            poll_timeout: config.signalr.poll_timeout,
            slow_timeout: config.slow_consumer.timeout,
            max_early_bytes: config.signalr.max_message,
        }
    }
}

/// The routes of both hubs.
pub fn routes(endpoint: Endpoint) -> Router {
    Router::new().route("/hub", any(main)).route("/anonymous-hub", any(anonymous)).with_state(endpoint)
}

async fn main(State(endpoint): State<Endpoint>, budget: Extension<RequestBudget>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    if let Some(error_response) = missing_upgrade_hint(&parts, &query) {
        return error_response.into_response();
    }
    match endpoint.auth_guard.claims(&parts.headers, &query, Policy::Application).await {
        Ok(claims) => endpoint.answer(Principal::User(claims), budget.0, &parts, &query, body).await,
        Err(error_response) => error_response.into_response(),
    }
}

async fn anonymous(State(endpoint): State<Endpoint>, budget: Extension<RequestBudget>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match missing_upgrade_hint(&parts, &query) {
        Some(error_response) => error_response.into_response(),
        None => endpoint.answer(Principal::anonymous(&query), budget.0, &parts, &query, body).await,
    }
}

impl Endpoint {
    async fn answer(
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
            Method::GET if accepts_event_stream(&parts.headers) => self.events(hub_request).await.into_response(),
            Method::GET => {
                let mut response = self.poll(hub_request).await.into_response();
                for (name, value) in NO_CACHE {
                    response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                response
            }
            Method::POST => self.receive_post(hub_request, body).await.into_response(),
            Method::DELETE => self.delete(&hub_request).into_response(),
            _ => ErrorResponse::text(405, "").into_response(),
        }
    }

    async fn events(&self, hub_request: HubRequest<'_>) -> Result<Response, ErrorResponse> {
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
        let over = move |slow| {
            relays.remove(&token);
            if slow {
                metrics.slow_consumers.inc("reset");
            }
        };
        Ok(server_sent_events::respond(relay, budget, self.slow_timeout, over))
    }

    async fn poll(&self, hub_request: HubRequest<'_>) -> Result<Response, ErrorResponse> {
        let Some(relay) = self.find_relay(&hub_request)? else {
            self.connect(hub_request, Transport::LongPolling).await?;
            return Ok(long_polling::begin());
        };
        if relay.transport() != Transport::LongPolling {
            return Err(ErrorResponse::transport_mismatch());
        }
        hub_request.budget.detach();
        let answer = long_polling::poll(&relay, self.poll_timeout).await;
        hub_request.budget.set_deadline(self.slow_timeout);
        Ok(answer.unwrap_or_else(|| {
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
            // Many of them at once may come without a token.
            let said = request::body(body, self.max_early_bytes).await?;
            if !self.relays.buffer_early(id, &said, self.max_early_bytes) {
                return Err(ErrorResponse::service_unavailable(
                    "There is no room for what is said before a transport is connected.",
                ));
            }
        }
        Ok(([(CONTENT_TYPE, "text/plain")], ()).into_response())
    }

    fn delete(&self, hub_request: &HubRequest<'_>) -> Result<Response, ErrorResponse> {
        let id = hub_request.id()?;
        let polls = match self.find_relay(hub_request)? {
            Some(relay) => relay.transport() == Transport::LongPolling,
            None => match self.connection_tokens.peek(id, hub_request.principal.hub()) {
                TokenState::Unused | TokenState::Used(Transport::WebSockets) => false,
                TokenState::Used(_) | TokenState::Invalid => return Err(connection_not_found()),
            },
        };
        if !polls {
            return Err(ErrorResponse::text(400, "Cannot terminate this connection using the DELETE endpoint."));
        }
        if let Some(relay) = self.relays.remove(id) {
            relay.cancel_poll();
        }
        Ok((StatusCode::ACCEPTED, [(CONTENT_TYPE, "text/plain")]).into_response())
    }

    /// The connected client that a caller speaks for, if there is one.
    fn find_relay(&self, hub_request: &HubRequest<'_>) -> Result<Option<Arc<Relay>>, ErrorResponse> {
        match self.relays.get(hub_request.id()?) {
            Some(relay) if !relay.is_owned_by(&hub_request.principal) => Err(connection_not_found()),
            found => Ok(found),
        }
    }

    /// Connects a caller, by its token.
    async fn connect(
        &self,
        hub_request: HubRequest<'_>,
        transport: Transport,
    ) -> Result<(String, Arc<Relay>), ErrorResponse> {
        let token = hub_request.id()?.to_owned();
        let no_room =
            || ErrorResponse::service_unavailable("This server has as many clients without WebSockets as it may have.");
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
        // Others may have come meanwhile.
        let said = self.relays.insert(&token, relay.clone()).ok_or_else(no_room)?;
        // Before anything is waited for: a request that is dropped leaves a client that nobody listens for.
        let (relays, watched) = (self.relays.clone(), (token.clone(), Arc::downgrade(&relay)));
        tokio::spawn(async move { relays.reap_when_idle(watched.0, watched.1).await });
        if !said.is_empty() {
            // A hub that does not listen says so to who listens to it.
            let _ = relay.lock_writer().await.send(said.into()).await;
        }
        Ok((token, relay))
    }
}

/// Who asks, once that is known.
struct HubRequest<'a> {
    /// The token of its negotiation.
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

fn accepts_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).into_iter().any(|value| request_kind::is_event_stream(value.as_bytes()))
}

/// What a request lacks that is no upgrade but looks as if it should have been one (`decisions.md` 3).
fn missing_upgrade_hint(parts: &Parts, query: &Query<'_>) -> Option<ErrorResponse> {
    let headers = &parts.headers;
    if parts.method != Method::GET || accepts_event_stream(headers) || query.value("id").is_some() {
        return None;
    }
    let missing = [("Connection", "Upgrade"), ("Upgrade", "websocket")].into_iter().find(|(name, wanted)| {
        !headers.get_all(*name).iter().any(|value| {
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
    let error_response = ErrorResponse::json(400, &format!("Connection ID required; {explanation}."));
    Some(NO_CACHE.into_iter().fold(error_response, |error_response, (name, value)| error_response.with(name, value)))
}
