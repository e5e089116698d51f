//! The public port, up to an accepted client: accepts sockets (`acceptor`), reads request heads, has tokens verified
//! (`token_queue`, `token_verifier`), applies the limits, and returns the clients that are accepted. Runs on the first reactor's thread.

mod acceptor;
mod token_queue;
pub(super) mod token_verifier;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;

use super::Shared;
use super::budgets::oldest_above;
use super::command::{AcceptReply, PendingConnection, VerifyResult};
use super::connection_limits::LimitReached;
use super::sockets::Sockets;
use super::sockets::outbox::Outbox;
use super::sockets::pending_request::{PendingRequest, ReadHead};
use super::sockets::slot::State;
use super::sockets::socket::Socket;
use crate::auth::{Claims, Policy, Principal, Rejection};
use crate::http::connection_token_registry::TokenState;
use crate::http::error_response::ErrorResponse;
use crate::http::headers::{self, ERROR_LINGER, KEEP_ALIVE_TIMEOUT, REQUEST_HEAD_TIMEOUT};
use crate::http::plain_http::{HandedOffConnection, HttpHandoff, ReturnedConnection};
use crate::http::request_head::PlainRequest;
use crate::http::request_kind::{self, RequestKind, Upgrade};
use crate::observability::LogLimiter;
use crate::signalr::{Tick, Transport};
use acceptor::Acceptor;
pub(super) use acceptor::LISTENER_TOKEN;
use token_queue::TokenQueue;
use token_verifier::Verification;

/// The most bytes of all incomplete request heads together.
const MAX_PARTIAL_HEAD_BYTES: usize = 64 * 1024 * 1024;

/// The public port.
pub(super) struct Ingress {
    shared: Arc<Shared>,
    acceptor: Acceptor,
    http: HttpHandoff,
    tokens: TokenQueue,
    /// Upper bound of the bytes of incomplete heads.
    head_bytes: usize,
    /// Limits log lines about rejected PROXY headers.
    proxy_header_log: LogLimiter,
}

/// A client that was accepted. Its socket was taken out of the slot.
pub(super) struct AcceptedClient {
    pub(super) slot: u32,
    pub(super) connection: PendingConnection,
}

impl Ingress {
    /// Opens the public port. All reactors together hold `max_sockets` at the most.
    pub(super) fn open(
        shared: Arc<Shared>,
        poll: &Registry,
        listener: TcpListener,
        http: HttpHandoff,
        verification: Verification,
        max_sockets: usize,
    ) -> io::Result<Ingress> {
        Ok(Ingress {
            acceptor: Acceptor::new(listener, poll, max_sockets)?,
            http,
            tokens: TokenQueue::new(verification, shared.config.limits.max_concurrent_verifications),
            head_bytes: 0,
            proxy_header_log: LogLimiter::default(),
            shared,
        })
    }

    /// Notes that connections wait to be accepted.
    pub(super) fn on_listener_ready(&mut self) {
        self.acceptor.ready = true;
    }

    /// Returns whether connections may wait to be accepted.
    pub(super) fn is_listener_ready(&self) -> bool {
        self.acceptor.ready
    }

    /// Returns how long the poll may wait because of the listener, `None` if there is no bound.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.acceptor.poll_timeout()
    }

    /// Accepts waiting connections, up to a budget per turn. `peer_sockets` is how many sockets the other reactors hold.
    pub(super) fn accept(&mut self, sockets: &mut Sockets, peer_sockets: usize) {
        let mut open = sockets.len() + peer_sockets;
        if open >= self.acceptor.max_sockets() {
            self.acceptor.warn_at_capacity();
            open -= sockets.evict_transient();
        }
        let config = &self.shared.config;
        self.acceptor.accept(open, |socket, peer| {
            let mut socket = Socket::from(socket);
            if let Some(slot) = sockets.insert(&mut socket) {
                let deadline = sockets.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
                let is_proxied = config.listen.proxy_protocol && config.limits.is_trusted(peer);
                let request = PendingRequest::new(socket, peer, deadline, is_proxied);
                sockets.set(slot, State::Receiving(request), deadline);
            }
        });
    }

    /// Takes back a connection whose request was answered by axum, and keeps it for its next request. `peer_sockets` and
    /// `open_connections` are those of the other reactors, and of all reactors.
    pub(super) fn take_back(
        &mut self,
        sockets: &mut Sockets,
        returned: ReturnedConnection,
        peer_sockets: usize,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        if returned.is_ending {
            close_after_answer(sockets, returned);
            return None;
        }
        if sockets.len() + peer_sockets >= self.acceptor.max_sockets() {
            return None;
        }
        let mut socket = Socket::from(returned.socket);
        let slot = sockets.insert(&mut socket)?;
        let deadline = sockets.now.after(Tick::ticks_in(KEEP_ALIVE_TIMEOUT));
        let mut request = PendingRequest::keep_alive(socket, returned.peer, deadline);
        let head = request.feed(&returned.read);
        sockets.set(slot, State::Receiving(request), deadline);
        on_head_bytes(sockets, slot);
        self.handle_head(sockets, slot, head?, open_connections)
    }

    /// Reads more of a request's head. `open_connections` is how many connections all reactors hold.
    pub(super) fn read_head(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        let (request, buffer) = sockets.request_and_buffer(slot)?;
        let before = request.head.len();
        match request.read(buffer) {
            ReadHead::Incomplete => {
                let more = request.head.len() - before;
                if before == 0 {
                    on_head_bytes(sockets, slot);
                }
                self.account_head_bytes(sockets, more);
                None
            }
            ReadHead::Closed => {
                sockets.remove(slot);
                None
            }
            ReadHead::Complete(head) => self.handle_head(sockets, slot, head, open_connections),
        }
    }

    /// Adds to the bytes of incomplete heads, and removes the oldest if all of them are over the bound.
    fn account_head_bytes(&mut self, sockets: &mut Sockets, more: usize) {
        self.head_bytes += more;
        if self.head_bytes <= MAX_PARTIAL_HEAD_BYTES {
            return;
        }
        // Completed and removed heads are not subtracted one by one: all are counted anew here.
        let heads = sockets.iter().filter_map(|(slot, state)| match state {
            State::Receiving(request) if request.awaiting_token.is_none() => {
                Some((request.deadline, slot, request.head.len()))
            }
            _ => None,
        });
        let (oldest, left) = oldest_above(heads.collect(), MAX_PARTIAL_HEAD_BYTES);
        self.head_bytes = left;
        for slot in oldest {
            self.shared.metrics.connection_attempts.inc("bad_request");
            sockets.remove(slot);
        }
    }

    /// Dispatches a complete head by its kind.
    fn handle_head(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        head: RequestKind,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        match head {
            RequestKind::Incomplete => {}
            RequestKind::Plain(request) => self.hand_off_to_http(sockets, slot, request),
            RequestKind::Reject(error_response) => self.reject_head(sockets, slot, "bad_request", error_response),
            RequestKind::Upgrade(upgrade) => return self.authenticate(sockets, slot, upgrade, open_connections),
            RequestKind::ProxyHeader => self.reject_proxy_header(sockets, slot),
        }
        None
    }

    /// Rejects a connection with a PROXY header that is not read from its address, and logs which setting to change.
    fn reject_proxy_header(&mut self, sockets: &mut Sockets, slot: u32) {
        let Some(request) = sockets.request(slot) else { return };
        if let Some(suppressed) = self.proxy_header_log.allow() {
            let peer = request.peer;
            tracing::warn!(
                %peer,
                suppressed,
                "PROXY protocol header refused; set listen.proxy_protocol and add the proxy to limits.trusted_proxies"
            );
        }
        let message = "The connection begins with a header of the PROXY protocol, which is not read from this address or is wrong.";
        self.reject_head(sockets, slot, "bad_request", ErrorResponse::json(400, message));
    }

    /// Removes a request whose deadline has passed. One whose token is being verified gets more time: its head is complete.
    pub(super) fn on_deadline(&mut self, sockets: &mut Sockets, slot: u32) {
        let now = sockets.now;
        let Some(request) = sockets.request(slot) else { return };
        if request.awaiting_token.is_some() {
            let deadline = now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
            request.deadline = deadline;
            return sockets.schedule(slot, deadline);
        }
        if !request.head.is_empty() {
            self.shared.metrics.connection_attempts.inc("bad_request");
        }
        sockets.remove(slot);
    }

    /// Hands a connection to axum, together with the bytes that were read from it.
    fn hand_off_to_http(&mut self, sockets: &mut Sockets, slot: u32, plain_request: PlainRequest) {
        let Some(permit) = self.http.try_acquire(plain_request.purpose) else {
            let error_response = ErrorResponse::service_unavailable("Too many requests at once.");
            return self.reject_head(sockets, slot, "limited", error_response);
        };
        let Some(PendingRequest { mut socket, head, peer, .. }) = sockets.take_request(slot) else { return };
        sockets.release(slot, &mut socket);
        self.http.send(HandedOffConnection { socket: socket.into(), read: head, peer, request: plain_request, permit });
    }

    /// Verifies a client's token: from the cache, or on the verification thread.
    fn authenticate(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        mut upgrade: Upgrade,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        if let Some(principal) = upgrade.principal.take() {
            return self.admit(sockets, slot, upgrade, principal, open_connections);
        }
        let Some(token) = upgrade.token.take() else {
            return self.reject_token(sockets, slot, &upgrade, Rejection::Missing);
        };
        if let Some(known) = self.shared.authenticator.verifier.cached(&token, Policy::Application) {
            return self.finish_auth(sockets, slot, upgrade, known, open_connections);
        }
        self.tokens.push(sockets.request(slot)?, slot, token, upgrade);
        None
    }

    /// Takes the outcome of a token's verification and starts the next one.
    pub(super) fn on_token_verified(
        &mut self,
        sockets: &mut Sockets,
        result: VerifyResult,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        let VerifyResult { slot, request_id, claims, deferred } = result;
        if !deferred {
            self.tokens.start_next(sockets);
        }
        let upgrade = token_queue::take_upgrade(sockets, slot, request_id)?;
        self.finish_auth(sockets, slot, upgrade, claims, open_connections)
    }

    /// Frees the verification slot of a token that waits for newer keys.
    pub(super) fn on_token_deferred(&mut self, sockets: &mut Sockets) {
        self.tokens.start_next(sockets);
    }

    fn finish_auth(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: Upgrade,
        claims: Result<Arc<Claims>, Rejection>,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        match claims {
            Err(rejection) => self.reject_token(sockets, slot, &upgrade, rejection),
            Ok(claims) => self.admit(sockets, slot, upgrade, Principal::User(claims), open_connections),
        }
    }

    /// Checks the connection token and the limits, and accepts the client.
    fn admit(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: Upgrade,
        principal: Principal,
        open_connections: usize,
    ) -> Option<AcceptedClient> {
        let take = |id: &str| self.shared.connection_tokens.redeem(id, principal.hub(), Transport::WebSockets);
        let error_response = match upgrade.id.as_deref().map(take) {
            None | Some(TokenState::Unused) => None,
            Some(TokenState::Used(Transport::WebSockets)) => Some(ErrorResponse::text(409, "")),
            Some(TokenState::Used(_)) => Some(ErrorResponse::transport_mismatch()),
            Some(TokenState::Invalid) => {
                Some(ErrorResponse { body: b"No Connection with that ID".to_vec(), ..ErrorResponse::status_only(404) })
            }
        };
        if let Some(error_response) = error_response {
            return self.reject_upgrade(sockets, slot, &upgrade, "bad_request", error_response);
        }
        if open_connections >= self.acceptor.max_connections() {
            self.acceptor.warn_at_capacity();
            return self.reject_upgrade(sockets, slot, &upgrade, "limited", LimitReached::Total.error_response());
        }
        let peer = sockets.request(slot)?.peer;
        let permit = match self.shared.admission.admit(&self.shared.config.limits, peer, &upgrade.forwarded) {
            Ok(permit) => permit,
            Err(reached) => {
                return self.reject_upgrade(sockets, slot, &upgrade, "limited", reached.error_response());
            }
        };
        let PendingRequest { socket, head: read_ahead, maybe_readable, .. } = sockets.take_request(slot)?;
        let cors_headers = self.shared.cors.headers(upgrade.origin.as_deref());
        let reply = AcceptReply::Upgrade(headers::switching_protocols(&upgrade.accept, &cors_headers));
        let transport = Transport::WebSockets;
        let connection = PendingConnection { socket, read_ahead, maybe_readable, principal, transport, permit, reply };
        Some(AcceptedClient { slot, connection })
    }

    fn reject_token(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: &Upgrade,
        rejection: Rejection,
    ) -> Option<AcceptedClient> {
        self.shared.metrics.auth_failures.inc(rejection.label());
        tracing::debug!(reason = rejection.label(), "client not authenticated");
        let outcome = match rejection {
            Rejection::Unavailable => "unavailable",
            Rejection::Scope => "forbidden",
            _ => "unauthorized",
        };
        self.reject_upgrade(sockets, slot, upgrade, outcome, ErrorResponse::unauthorized(rejection))
    }

    /// Rejects an upgrade. Returns `None`: no client is accepted.
    fn reject_upgrade(
        &self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: &Upgrade,
        outcome: &str,
        error_response: ErrorResponse,
    ) -> Option<AcceptedClient> {
        self.respond_and_close(sockets, slot, outcome, error_response, upgrade.origin.as_deref());
        None
    }

    /// Rejects a request whose head is still held.
    fn reject_head(&self, sockets: &mut Sockets, slot: u32, outcome: &str, error_response: ErrorResponse) {
        let Some(request) = sockets.request(slot) else { return };
        let origin = request_kind::origin(&request.head);
        self.respond_and_close(sockets, slot, outcome, error_response, origin.as_deref());
    }

    /// Sends an error response, which a web page of `origin` may read, and closes the connection.
    fn respond_and_close(
        &self,
        sockets: &mut Sockets,
        slot: u32,
        outcome: &str,
        error_response: ErrorResponse,
        origin: Option<&str>,
    ) {
        let Some(request) = sockets.take_request(slot) else { return };
        let cors_headers = self.shared.cors.headers(origin);
        let error_response =
            cors_headers.into_iter().fold(error_response, |response, (name, value)| response.with(name, value));
        self.shared.metrics.connection_attempts.inc(outcome);
        tracing::debug!(outcome, status = error_response.status, "client rejected");
        let outbox = Outbox::with_bytes(&error_response.bytes(), sockets.now);
        sockets.start_closing(slot, request.socket, outbox, ERROR_LINGER);
    }
}

/// Closes a connection whose last request was answered by axum, with a linger so that the client reads the answer.
pub(super) fn close_after_answer(sockets: &mut Sockets, returned: ReturnedConnection) {
    let mut socket = Socket::from(returned.socket);
    if let Some(slot) = sockets.insert(&mut socket) {
        sockets.start_closing(slot, socket, Outbox::new(sockets.now), ERROR_LINGER);
    }
}

/// Starts the timeout for the rest of a head once its first bytes have arrived.
fn on_head_bytes(sockets: &mut Sockets, slot: u32) {
    let deadline = sockets.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
    if let Some(request) = sockets.request(slot)
        && !request.head.is_empty()
        && deadline < request.deadline
    {
        request.deadline = deadline;
        sockets.schedule(slot, deadline);
    }
}
