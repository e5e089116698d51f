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

use super::front_door;
use super::headers::NO_CACHE;
use super::lease::Lease;
use super::negotiations::{Negotiations, Standing};
use super::refusal::Refusal;
use super::relay::{Door, Relay};
use super::relays::Relays;
use super::request::{self, Gate, Pieces};
use super::{long_polling, server_sent_events};
use crate::auth::{Guest, Policy, Query};
use crate::config::Config;
use crate::connection::Transport;

/// The most that a client says in one request, in bytes, as the original limits it. It is passed on as it comes.
const MAX_SAID_BYTES: usize = 30_000_000;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Endpoint {
    /// Who may.
    gate: Gate,
    /// What was negotiated.
    negotiations: Arc<Negotiations>,
    /// Who is connected.
    relays: Arc<Relays>,
    /// The way to the reactors.
    door: Door,
    /// How long a poll waits.
    poll_timeout: Duration,
    /// How long a client may take none of an answer.
    slow_timeout: Duration,
    /// The most that a client may have said before it is connected, in bytes.
    most_early: usize,
}

impl Endpoint {
    /// An endpoint of which nobody is a client yet; `most` may be.
    pub fn new(gate: Gate, negotiations: Arc<Negotiations>, door: Door, most: usize, config: &Config) -> Endpoint {
        Endpoint {
            gate,
            negotiations,
            relays: Arc::new(Relays::new(most)),
            door,
            poll_timeout: config.signalr.poll_timeout,
            slow_timeout: config.slow_consumer.timeout,
            most_early: config.signalr.max_message,
        }
    }
}

/// The routes of both hubs.
pub fn routes(endpoint: Endpoint) -> Router {
    Router::new().route("/hub", any(main)).route("/anonymous-hub", any(anonymous)).with_state(endpoint)
}

async fn main(State(endpoint): State<Endpoint>, lease: Extension<Lease>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    if let Some(refusal) = no_upgrade(&parts, &query) {
        return refusal.into_response();
    }
    match endpoint.gate.claims(&parts.headers, &query, Policy::Application).await {
        Ok(claims) => endpoint.answer(Guest::User(claims), lease.0, &parts, &query, body).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn anonymous(State(endpoint): State<Endpoint>, lease: Extension<Lease>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match no_upgrade(&parts, &query) {
        Some(refusal) => refusal.into_response(),
        None => endpoint.answer(Guest::anonymous(&query), lease.0, &parts, &query, body).await,
    }
}

impl Endpoint {
    async fn answer(self, guest: Guest, lease: Lease, parts: &Parts, query: &Query<'_>, body: Body) -> Response {
        let id = query.value("id");
        let caller = Caller { id: id.as_deref(), guest, forwarded: forwarded(&parts.headers), lease };
        match parts.method {
            Method::GET if wants_events(&parts.headers) => self.events(caller).await.into_response(),
            Method::GET => {
                let mut response = self.poll(caller).await.into_response();
                for (name, value) in NO_CACHE {
                    response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                response
            }
            Method::POST => self.say(caller, body).await.into_response(),
            Method::DELETE => self.end(&caller).into_response(),
            _ => Refusal::text(405, "").into_response(),
        }
    }

    async fn events(&self, caller: Caller<'_>) -> Result<Response, Refusal> {
        if let Some(relay) = self.find(&caller)? {
            return Err(match relay.transport() {
                Transport::ServerSentEvents => Refusal::text(409, ""),
                _ => Refusal::other_transport(),
            });
        }
        let lease = caller.lease.clone();
        let (token, relay) = self.connect(caller, Transport::ServerSentEvents).await?;
        lease.wait();
        let (relays, metrics) = (self.relays.clone(), self.gate.metrics.clone());
        let over = move |slow| {
            relays.remove(&token);
            if slow {
                metrics.slow_consumers.inc("reset");
            }
        };
        Ok(server_sent_events::answer(relay, lease, self.slow_timeout, over))
    }

    async fn poll(&self, caller: Caller<'_>) -> Result<Response, Refusal> {
        let Some(relay) = self.find(&caller)? else {
            self.connect(caller, Transport::LongPolling).await?;
            return Ok(long_polling::begin());
        };
        if relay.transport() != Transport::LongPolling {
            return Err(Refusal::other_transport());
        }
        caller.lease.wait();
        let answer = long_polling::poll(&relay, self.poll_timeout).await;
        caller.lease.end_within(self.slow_timeout);
        Ok(answer.unwrap_or_else(|| {
            caller.id.map(|id| self.relays.remove(id));
            long_polling::no_content()
        }))
    }

    async fn say(&self, caller: Caller<'_>, body: Body) -> Result<Response, Refusal> {
        let relay = self.find(&caller)?;
        let id = caller.id()?;
        if relay.is_none() {
            match self.negotiations.look(id, caller.guest.hub()) {
                Standing::Fresh => {}
                Standing::Used(Transport::WebSockets) => {
                    return Err(Refusal::text(405, "POST requests are not allowed for WebSocket connections."));
                }
                Standing::Used(_) | Standing::Unknown => return Err(unknown()),
            }
        }
        if let Some(relay) = relay {
            let (mut speech, mut pieces) = (relay.speak().await, Pieces::new(body, MAX_SAID_BYTES));
            while let Some(piece) = pieces.next().await? {
                if !speech.say(piece).await {
                    return Err(unknown());
                }
            }
        } else {
            // Many of them at once may come without a token.
            let said = request::body(body, self.most_early).await?;
            if !self.relays.keep_early(id, &said, self.most_early) {
                return Err(Refusal::busy("There is no room for what is said before a transport is connected."));
            }
        }
        Ok(([(CONTENT_TYPE, "text/plain")], ()).into_response())
    }

    fn end(&self, caller: &Caller<'_>) -> Result<Response, Refusal> {
        let id = caller.id()?;
        let polls = match self.find(caller)? {
            Some(relay) => relay.transport() == Transport::LongPolling,
            None => match self.negotiations.look(id, caller.guest.hub()) {
                Standing::Fresh | Standing::Used(Transport::WebSockets) => false,
                Standing::Used(_) | Standing::Unknown => return Err(unknown()),
            },
        };
        if !polls {
            return Err(Refusal::text(400, "Cannot terminate this connection using the DELETE endpoint."));
        }
        if let Some(relay) = self.relays.remove(id) {
            relay.interrupt();
        }
        Ok((StatusCode::ACCEPTED, [(CONTENT_TYPE, "text/plain")]).into_response())
    }

    /// The connected client that a caller speaks for, if there is one.
    fn find(&self, caller: &Caller<'_>) -> Result<Option<Arc<Relay>>, Refusal> {
        match self.relays.find(caller.id()?) {
            Some(relay) if !relay.is_of(&caller.guest) => Err(unknown()),
            found => Ok(found),
        }
    }

    /// Connects a caller, by its token.
    async fn connect(&self, caller: Caller<'_>, transport: Transport) -> Result<(String, Arc<Relay>), Refusal> {
        let token = caller.id()?.to_owned();
        let no_room = || Refusal::busy("This server has as many clients without WebSockets as it may have.");
        if !self.relays.has_room() {
            return Err(no_room());
        }
        match self.negotiations.take(&token, caller.guest.hub(), transport) {
            Standing::Fresh => {}
            Standing::Used(before) if before != transport => return Err(Refusal::other_transport()),
            Standing::Used(_) | Standing::Unknown => return Err(unknown()),
        }
        let relay = Relay::open(&self.door, transport, caller.guest, caller.lease.peer, caller.forwarded).await?;
        let relay = Arc::new(relay);
        // Others may have come meanwhile.
        let said = self.relays.add(&token, relay.clone()).ok_or_else(no_room)?;
        // Before anything is waited for: a request that is dropped leaves a client that nobody listens for.
        let (relays, watched) = (self.relays.clone(), (token.clone(), Arc::downgrade(&relay)));
        tokio::spawn(async move { relays.watch(watched.0, watched.1).await });
        if !said.is_empty() {
            // A hub that does not listen says so to who listens to it.
            let _ = relay.speak().await.say(said.into()).await;
        }
        Ok((token, relay))
    }
}

/// Who asks, once that is known.
struct Caller<'a> {
    /// The token of its negotiation.
    id: Option<&'a str>,
    guest: Guest,
    forwarded: String,
    lease: Lease,
}

impl Caller<'_> {
    fn id(&self) -> Result<&str, Refusal> {
        self.id.ok_or_else(|| Refusal::text(400, "Connection ID required"))
    }
}

fn unknown() -> Refusal {
    Refusal::text(404, "No Connection with that ID")
}

fn forwarded(headers: &HeaderMap) -> String {
    let hops = headers.get_all("x-forwarded-for").into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    hops.collect::<Vec<_>>().join(",")
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).into_iter().any(|value| front_door::is_event_stream(value.as_bytes()))
}

/// What a request lacks that is no upgrade but looks as if it should have been one (`decisions.md` 3).
fn no_upgrade(parts: &Parts, query: &Query<'_>) -> Option<Refusal> {
    let headers = &parts.headers;
    if parts.method != Method::GET || wants_events(headers) || query.value("id").is_some() {
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
    let refusal = Refusal::explained(400, &format!("Connection ID required; {explanation}."));
    Some(NO_CACHE.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value)))
}
