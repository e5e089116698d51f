//! The public port, up to an accepted client. Runs on the first reactor's thread.
//!
//! Sockets are accepted (`acceptor`), request heads are read here, tokens are verified (`token_queue`, `token_verifier`). Then a client
//! is accepted (`admission`) or its request is answered (`refusal`). Other requests go to axum.

pub(super) mod acceptor;
mod admission;
pub(super) mod capacity;
mod refusal;
mod token_queue;
pub(super) mod token_verifier;

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::budgets::ByteBudget;
use super::command::VerifyResult;
use super::sockets::Sockets;
use super::sockets::outbox::Outbox;
use super::sockets::pending_request::{PendingRequest, ReadHead};
use super::sockets::slot::State;
use super::sockets::socket::Socket;
use super::status::OwnStatus;
use crate::auth::{Policy, Principal, Rejection};
use crate::http::error_response::ErrorResponse;
use crate::http::headers::{ERROR_LINGER, KEEP_ALIVE_TIMEOUT, REQUEST_HEAD_TIMEOUT};
use crate::http::plain_http::{HandedOffConnection, HttpHandoff, ReturnedConnection};
use crate::http::request_head::PlainRequest;
use crate::http::request_kind::{self, RequestKind, Upgrade};
use crate::observability::LogLimiter;
use crate::signalr::Tick;
use acceptor::Acceptor;
pub(super) use admission::AcceptedClient;
use admission::UpgradeAdmission;
use capacity::Capacity;
use refusal::Refusal;
use token_queue::TokenQueue;
use token_verifier::Verification;

/// The most bytes of all incomplete request heads together.
const MAX_PARTIAL_HEAD_BYTES: usize = 64 * 1024 * 1024;

/// The public port.
pub(super) struct Ingress {
    shared: Arc<Shared>,
    status: OwnStatus,
    capacity: Arc<Capacity>,
    acceptor: Acceptor,
    admission: UpgradeAdmission,
    http: HttpHandoff,
    tokens: TokenQueue,
    /// The bytes of incomplete heads.
    head_bytes: ByteBudget,
    /// Limits log lines about rejected PROXY headers.
    proxy_header_log: LogLimiter,
}

impl Ingress {
    /// Creates the public port of the reactor with this status.
    pub(super) fn new(
        shared: Arc<Shared>,
        status: OwnStatus,
        acceptor: Acceptor,
        capacity: Arc<Capacity>,
        http: HttpHandoff,
        verification: Verification,
    ) -> Ingress {
        Ingress {
            admission: UpgradeAdmission::new(shared.clone(), status.clone(), capacity.clone()),
            status,
            capacity,
            acceptor,
            http,
            tokens: TokenQueue::new(verification, shared.config.limits.max_concurrent_verifications),
            head_bytes: ByteBudget::new(MAX_PARTIAL_HEAD_BYTES),
            proxy_header_log: LogLimiter::default(),
            shared,
        }
    }

    /// Notes that connections wait to be accepted.
    pub(super) fn on_listener_ready(&mut self) {
        self.acceptor.ready = true;
    }

    /// Returns how long the poll may wait because of the listener, `None` if there is no bound.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.acceptor.poll_timeout()
    }

    /// Returns how many sockets all reactors have open. `sockets` are those of this one.
    fn open_sockets(&self, sockets: &Sockets) -> usize {
        sockets.len() + self.status.peer_sockets()
    }

    /// Accepts waiting connections, up to a budget per turn.
    pub(super) fn accept(&mut self, sockets: &mut Sockets) {
        if !self.acceptor.ready {
            return;
        }
        let mut open = self.open_sockets(sockets);
        if open >= self.capacity.max_sockets() {
            self.capacity.warn_exhausted();
            open -= sockets.evict_transient();
        }
        let config = &self.shared.config;
        self.acceptor.accept(open, self.capacity.max_sockets(), |socket, peer| {
            let mut socket = Socket::from(socket);
            if let Some(slot) = sockets.insert(&mut socket) {
                let deadline = sockets.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
                let is_proxied = config.listen.proxy_protocol && config.limits.is_trusted(peer);
                let request = PendingRequest::new(socket, peer, deadline, is_proxied);
                sockets.set(slot, State::Receiving(request), deadline);
            }
        });
    }

    /// Takes back a connection whose request was answered by axum, and keeps it for its next request.
    pub(super) fn take_back(&mut self, sockets: &mut Sockets, returned: ReturnedConnection) -> Option<AcceptedClient> {
        if returned.is_ending {
            close_after_answer(sockets, returned);
            return None;
        }
        if self.open_sockets(sockets) >= self.capacity.max_sockets() {
            return None;
        }
        let mut socket = Socket::from(returned.socket);
        let slot = sockets.insert(&mut socket)?;
        let deadline = sockets.now.after(Tick::ticks_in(KEEP_ALIVE_TIMEOUT));
        let mut request = PendingRequest::keep_alive(socket, returned.peer, deadline);
        let head = request.feed(&returned.read);
        sockets.set(slot, State::Receiving(request), deadline);
        sockets.start_head_timeout(slot);
        self.handle_head(sockets, slot, head?)
    }

    /// Reads more of a request's head.
    pub(super) fn read_head(&mut self, sockets: &mut Sockets, slot: u32) -> Option<AcceptedClient> {
        let (request, buffer) = sockets.request_and_buffer(slot)?;
        let before = request.head.len();
        match request.read(buffer) {
            ReadHead::Incomplete => {
                let more = request.head.len() - before;
                if before == 0 {
                    sockets.start_head_timeout(slot);
                }
                self.account_head_bytes(sockets, more);
                None
            }
            ReadHead::Closed => {
                sockets.remove(slot);
                None
            }
            ReadHead::Complete(head) => self.handle_head(sockets, slot, head),
        }
    }

    /// Adds to the bytes of incomplete heads, and removes the oldest if all of them are over the bound.
    fn account_head_bytes(&mut self, sockets: &mut Sockets, more: usize) {
        let oldest = self.head_bytes.add(more, || {
            let receiving = sockets.iter().filter_map(|(slot, state)| match state {
                State::Receiving(request) if request.awaiting_token.is_none() => {
                    Some((request.deadline, slot, request.head.len()))
                }
                _ => None,
            });
            receiving.collect()
        });
        for slot in oldest {
            self.shared.metrics.connection_attempts.inc("bad_request");
            sockets.remove(slot);
        }
    }

    /// Dispatches a complete head by its kind.
    fn handle_head(&mut self, sockets: &mut Sockets, slot: u32, head: RequestKind) -> Option<AcceptedClient> {
        match head {
            RequestKind::Incomplete => {}
            RequestKind::Plain(request) => self.hand_off_to_http(sockets, slot, request),
            RequestKind::Reject(error_response) => {
                self.refuse_head(sockets, slot, Refusal::bad_request(error_response));
            }
            RequestKind::Upgrade(upgrade) => return self.authenticate(sockets, slot, upgrade),
            RequestKind::ProxyHeader => self.refuse_proxy_header(sockets, slot),
        }
        None
    }

    /// Refuses a connection with a PROXY header that is not read from its address, and logs which setting to change.
    fn refuse_proxy_header(&mut self, sockets: &mut Sockets, slot: u32) {
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
        self.refuse_head(sockets, slot, Refusal::bad_request(ErrorResponse::json(400, message)));
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
            return self.refuse_head(sockets, slot, Refusal::limited(error_response));
        };
        let Some(PendingRequest { mut socket, head, peer, .. }) = sockets.take_request(slot) else { return };
        sockets.release(slot, &mut socket);
        self.http.send(HandedOffConnection { socket: socket.into(), read: head, peer, request: plain_request, permit });
    }

    /// Verifies a client's token: from the cache, or on the verification thread.
    fn authenticate(&mut self, sockets: &mut Sockets, slot: u32, mut upgrade: Upgrade) -> Option<AcceptedClient> {
        let principal = match (upgrade.principal.take(), upgrade.token.take()) {
            (Some(principal), _) => Ok(principal),
            (None, None) => Err(Rejection::Missing),
            (None, Some(token)) => {
                let Some(known) = self.shared.authenticator.verifier.cached(&token, Policy::Application) else {
                    self.tokens.push(sockets.request(slot)?, slot, token, upgrade);
                    return None;
                };
                known.map(Principal::User)
            }
        };
        self.finish_auth(sockets, slot, &upgrade, principal)
    }

    /// Takes the outcome of a token's verification and starts the next one.
    pub(super) fn on_token_verified(&mut self, sockets: &mut Sockets, result: VerifyResult) -> Option<AcceptedClient> {
        let VerifyResult { slot, request_id, claims, deferred } = result;
        if !deferred {
            self.tokens.start_next(sockets);
        }
        let upgrade = token_queue::take_upgrade(sockets, slot, request_id)?;
        self.finish_auth(sockets, slot, &upgrade, claims.map(Principal::User))
    }

    /// Frees the verification slot of a token that waits for newer keys.
    pub(super) fn on_token_deferred(&mut self, sockets: &mut Sockets) {
        self.tokens.start_next(sockets);
    }

    /// Accepts the client, or refuses its request.
    fn finish_auth(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: &Upgrade,
        principal: Result<Principal, Rejection>,
    ) -> Option<AcceptedClient> {
        let accepted = match principal {
            Ok(principal) => self.admission.admit(sockets, slot, upgrade, principal),
            Err(rejection) => {
                self.shared.metrics.auth_failures.inc(rejection.label());
                tracing::debug!(reason = rejection.label(), "client not authenticated");
                Err(rejection.into())
            }
        };
        accepted.unwrap_or_else(|refusal| {
            refusal.send(&self.shared, sockets, slot, upgrade.origin.as_deref());
            None
        })
    }

    /// Refuses a request whose head is still held.
    fn refuse_head(&self, sockets: &mut Sockets, slot: u32, refusal: Refusal) {
        let Some(request) = sockets.request(slot) else { return };
        let origin = request_kind::origin(&request.head);
        refusal.send(&self.shared, sockets, slot, origin.as_deref());
    }
}

/// Closes a connection whose last request was answered by axum, with a linger so that the client reads the answer.
pub(super) fn close_after_answer(sockets: &mut Sockets, returned: ReturnedConnection) {
    let mut socket = Socket::from(returned.socket);
    if let Some(slot) = sockets.insert(&mut socket) {
        sockets.start_closing(slot, socket, Outbox::new(sockets.now), ERROR_LINGER);
    }
}
