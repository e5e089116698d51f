//! The public port: accepts sockets, reads request heads, verifies tokens, and hands each client to the reactor that owns its
//! user. Runs on the first reactor's thread.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::pending_request::{PendingRequest, ReadHead};
use super::token_verifier::Verification;
use crate::auth::{Claims, Policy, Principal, Rejection};
use crate::http::connection_token_registry::TokenState;
use crate::http::error_response::ErrorResponse;
use crate::http::headers::{self, ERROR_LINGER, KEEP_ALIVE_TIMEOUT, REQUEST_HEAD_TIMEOUT};
use crate::http::plain_http::{HandedOffConnection, HttpHandoff, ReturnedConnection};
use crate::http::request_head::PlainRequest;
use crate::http::request_kind::{self, RequestKind, Upgrade};
use crate::observability::LogLimiter;
use crate::reactor::command::{AcceptReply, PendingConnection, ReactorCommand, VerifyResult};
use crate::reactor::connections::outbox::Outbox;
use crate::reactor::connections::slot::{Slot, State};
use crate::reactor::connections::socket::Socket;
use crate::reactor::event_loop::Reactor;
use crate::reactor::ingress::connection_limits::LimitReached;
use crate::reactor::shard_for;
use crate::signalr::{Tick, Transport};

/// The state of the public port.
pub(crate) struct Inbound {
    pub(crate) acceptor: Acceptor,
    http: HttpHandoff,
    verification: Verification,
    /// How many tokens are being verified. Requests above the limit wait in `pending_tokens`.
    verifying: usize,
    pending_tokens: VecDeque<(u32, u64)>,
    /// Upper bound of the bytes of incomplete heads.
    pub(crate) head_bytes: usize,
    last_request_id: u64,
    /// Limits log lines about rejected PROXY headers.
    proxy_header_log: LogLimiter,
}

impl Reactor {
    /// Makes this the reactor that accepts connections.
    pub(crate) fn open_public_port(
        &mut self,
        listener: std::net::TcpListener,
        http: HttpHandoff,
        verification: Verification,
        max_sockets: usize,
    ) -> io::Result<()> {
        let acceptor = Acceptor::new(listener, self.poll.registry(), max_sockets)?;
        self.inbound = Some(Inbound {
            acceptor,
            http,
            verification,
            verifying: 0,
            pending_tokens: VecDeque::new(),
            head_bytes: 0,
            last_request_id: 0,
            proxy_header_log: LogLimiter::default(),
        });
        Ok(())
    }

    /// Stops accepting connections and drops the requests that are still being received.
    pub(crate) fn close_public_port(&mut self) {
        self.inbound = None;
        self.slots.retain(|_, slot| !matches!(slot.state, State::Receiving(_)));
    }

    /// Accepts waiting connections, up to a budget per turn.
    pub(crate) fn accept(&mut self) {
        let Some(mut inbound) = self.inbound.take_if(|inbound| inbound.acceptor.ready) else { return };
        let mut open = self.slots.len() + self.peer_sockets();
        if open >= inbound.acceptor.max_sockets() {
            inbound.acceptor.warn_at_capacity();
            open -= self.evict_transient_sockets();
        }
        inbound.acceptor.accept(open, |socket, peer| {
            let mut socket = Socket::from(socket);
            if let Some(slot) = self.insert_socket(&mut socket) {
                let deadline = self.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
                let config = &self.shared.config;
                let is_proxied = config.listen.proxy_protocol && config.limits.is_trusted(peer);
                self.slots[slot as usize].state =
                    State::Receiving(PendingRequest::new(socket, peer, deadline, is_proxied));
                self.schedule(slot, deadline);
            }
        });
        self.inbound = Some(inbound);
    }

    /// Takes back a connection whose request was answered by axum. It is kept for its next request, or closed with a linger so
    /// that the client reads the answer.
    pub(crate) fn take_back(&mut self, returned: ReturnedConnection) {
        let ReturnedConnection { socket, read, peer, is_ending } = returned;
        let Some(inbound) = self.inbound.as_ref().filter(|_| !is_ending) else {
            let mut socket = Socket::from(socket);
            if let Some(slot) = self.insert_socket(&mut socket) {
                self.start_closing(slot, socket, Outbox::new(self.now), ERROR_LINGER);
            }
            return;
        };
        if self.slots.len() + self.peer_sockets() >= inbound.acceptor.max_sockets() {
            return;
        }
        let mut socket = Socket::from(socket);
        if let Some(slot) = self.insert_socket(&mut socket) {
            let deadline = self.now.after(Tick::ticks_in(KEEP_ALIVE_TIMEOUT));
            let mut request = PendingRequest::keep_alive(socket, peer, deadline);
            let head = request.feed(&read);
            self.slots[slot as usize].state = State::Receiving(request);
            self.schedule(slot, deadline);
            self.on_head_bytes(slot);
            head.into_iter().for_each(|head| self.handle_head(slot, head));
        }
    }

    /// Reads more of a request's head.
    pub(crate) fn read_head(&mut self, slot: u32) {
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get_mut(slot as usize) else { return };
        let before = request.head.len();
        match request.read(&mut self.buffer) {
            ReadHead::Incomplete => {
                let more = request.head.len() - before;
                if before == 0 {
                    self.on_head_bytes(slot);
                }
                self.account_head_bytes(more);
            }
            ReadHead::Closed => _ = self.slots.remove(slot as usize),
            ReadHead::Complete(head) => self.handle_head(slot, head),
        }
    }

    /// Starts the timeout for the rest of a head once its first bytes have arrived.
    fn on_head_bytes(&mut self, slot: u32) {
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get_mut(slot as usize) else { return };
        let deadline = self.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
        if !request.head.is_empty() && deadline < request.deadline {
            request.deadline = deadline;
            self.schedule(slot, deadline);
        }
    }

    /// Dispatches a complete head by its kind.
    fn handle_head(&mut self, slot: u32, head: RequestKind) {
        match head {
            RequestKind::Incomplete => {}
            RequestKind::Plain(request) => self.hand_off_to_http(slot, request),
            RequestKind::Reject(error_response) => self.respond_and_close(slot, "bad_request", error_response),
            RequestKind::Upgrade(upgrade) => self.authenticate(slot, upgrade),
            RequestKind::ProxyHeader => self.reject_proxy_header(slot),
        }
    }

    /// Rejects a connection with a PROXY header that is not read from its address, and logs which setting to change.
    fn reject_proxy_header(&mut self, slot: u32) {
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get(slot as usize) else { return };
        if let Some(inbound) = &self.inbound
            && let Some(unsaid) = inbound.proxy_header_log.allow()
        {
            let peer = request.peer;
            tracing::warn!(
                %peer,
                unsaid,
                "PROXY protocol header refused: set listen.proxy_protocol, and name the proxy in limits.trusted_proxies"
            );
        }
        let message = "The connection begins with a header of the PROXY protocol, which is not read from this address or is wrong.";
        self.respond_and_close(slot, "bad_request", ErrorResponse::json(400, message));
    }

    /// Removes a socket whose deadline has passed. A request whose token is being verified gets more time: its head is complete.
    pub(crate) fn on_deadline(&mut self, slot: u32) {
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Receiving(request)) if request.awaiting_token.is_some() => {
                request.deadline = self.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
                let deadline = request.deadline;
                return self.schedule(slot, deadline);
            }
            Some(State::Receiving(request)) if !request.head.is_empty() => {
                self.shared.metrics.connects.inc("bad_request");
            }
            _ => {}
        }
        self.slots.remove(slot as usize);
    }

    /// Hands a connection to axum, together with the bytes that were read from it.
    fn hand_off_to_http(&mut self, slot: u32, plain_request: PlainRequest) {
        let Some(inbound) = &self.inbound else { return };
        let http = inbound.http.clone();
        let Some(permit) = http.try_acquire(plain_request.purpose) else {
            return self.respond_and_close(
                slot,
                "limited",
                ErrorResponse::service_unavailable("Too many requests at once."),
            );
        };
        let Some(mut request) = self.take_request(slot) else { return };
        self.slots.remove(slot as usize);
        // Fails only for a socket that is not registered.
        let _ = self.poll.registry().deregister(&mut request.socket);
        let PendingRequest { socket, head, peer, .. } = request;
        http.send(HandedOffConnection { socket: socket.into(), read: head, peer, request: plain_request, permit });
    }

    /// Verifies a client's token: from the cache, or on the verification thread.
    fn authenticate(&mut self, slot: u32, mut upgrade: Upgrade) {
        if let Some(principal) = upgrade.principal.take() {
            return self.admit(slot, upgrade, principal);
        }
        let Some(token) = upgrade.token.take() else { return self.reject_token(slot, Rejection::Missing) };
        if let Some(known) = self.shared.authenticator.verifier.cached(&token, Policy::Application) {
            return self.finish_auth(slot, upgrade, known);
        }
        let limit = self.shared.config.limits.handshakes_in_flight;
        let Some(inbound) = &mut self.inbound else { return };
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get_mut(slot as usize) else { return };
        inbound.last_request_id += 1;
        if inbound.verifying < limit {
            inbound.verifying += 1;
            inbound.verification.submit(slot, inbound.last_request_id, token);
        } else {
            upgrade.token = Some(token);
            inbound.pending_tokens.push_back((slot, inbound.last_request_id));
        }
        request.awaiting_token = Some(Box::new((inbound.last_request_id, upgrade)));
    }

    /// Takes the outcome of a token's verification and starts the next one.
    pub(crate) fn on_token_verified(&mut self, result: VerifyResult) {
        if !result.deferred {
            self.start_next_verification();
        }
        if pending_upgrade(self.slots.get_mut(result.slot as usize), result.request_id).is_none() {
            return;
        }
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get_mut(result.slot as usize) else {
            return;
        };
        if let Some(verified) = request.awaiting_token.take() {
            let (_, upgrade) = *verified;
            self.finish_auth(result.slot, upgrade, result.claims);
        }
    }

    /// Frees the verification slot of a token that waits for newer keys.
    pub(crate) fn on_token_deferred(&mut self) {
        self.start_next_verification();
    }

    /// Submits the next pending token to the verification thread.
    fn start_next_verification(&mut self) {
        let Some(inbound) = &mut self.inbound else { return };
        inbound.verifying -= 1;
        while let Some((slot, request_id)) = inbound.pending_tokens.pop_front() {
            let upgrade = pending_upgrade(self.slots.get_mut(slot as usize), request_id);
            if let Some(token) = upgrade.and_then(|upgrade| upgrade.token.take()) {
                inbound.verifying += 1;
                inbound.verification.submit(slot, request_id, token);
                break;
            }
        }
    }

    fn finish_auth(&mut self, slot: u32, upgrade: Upgrade, claims: Result<Arc<Claims>, Rejection>) {
        match claims {
            Err(rejection) => self.reject_token(slot, rejection),
            Ok(claims) => self.admit(slot, upgrade, Principal::User(claims)),
        }
    }

    /// Checks the connection token and the limits, and sends the client to the reactor that owns it.
    fn admit(&mut self, slot: u32, upgrade: Upgrade, principal: Principal) {
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
            return self.respond_and_close(slot, "bad_request", error_response);
        }
        let Some(Slot { state: State::Receiving(request), .. }) = self.slots.get(slot as usize) else { return };
        if let Some(inbound) = &self.inbound
            && self.connections + self.peer_connections() >= inbound.acceptor.max_connections()
        {
            inbound.acceptor.warn_at_capacity();
            return self.respond_and_close(slot, "limited", LimitReached::Hub.error_response());
        }
        let limits = &self.shared.config.limits;
        let permit = match self.shared.admission.admit(limits, request.peer, &upgrade.forwarded) {
            Ok(permit) => permit,
            Err(reached) => return self.respond_and_close(slot, "limited", reached.error_response()),
        };
        let Some(request) = self.take_request(slot) else { return };
        let PendingRequest { mut socket, mut head, maybe_readable, .. } = request;
        let read_ahead = head.split_off(upgrade.length);
        let reply = AcceptReply::Upgrade(headers::switching_protocols(
            &upgrade.accept,
            &self.shared.cors.headers(upgrade.origin.as_deref()),
        ));
        let shard = principal.id().map_or(self.number, |id| shard_for(id, self.peers.len()));
        let here = shard == self.number;
        if !here {
            self.slots.remove(slot as usize);
            // Fails only for a socket that is not registered.
            let _ = self.poll.registry().deregister(&mut socket);
        }
        let pending = PendingConnection {
            socket,
            read_ahead,
            maybe_readable,
            principal,
            transport: Transport::WebSockets,
            permit,
            reply,
        };
        if here {
            self.add_connection(slot, pending)
        } else {
            self.peers[shard].send(ReactorCommand::AddConnection(pending))
        }
    }

    fn reject_token(&mut self, slot: u32, rejection: Rejection) {
        self.shared.metrics.auth_failures.inc(rejection.label());
        tracing::debug!(reason = rejection.label(), "a client was not authenticated");
        let outcome = match rejection {
            Rejection::Unavailable => "unavailable",
            Rejection::Scope => "forbidden",
            _ => "unauthorized",
        };
        self.respond_and_close(slot, outcome, ErrorResponse::unauthorized(rejection));
    }

    /// Sends an error response and closes the connection.
    fn respond_and_close(&mut self, slot: u32, outcome: &str, error_response: ErrorResponse) {
        let Some(request) = self.take_request(slot) else { return };
        let origin = request_kind::origin(&request.head);
        let error_response = self
            .shared
            .cors
            .headers(origin.as_deref())
            .into_iter()
            .fold(error_response, |error_response, (name, value)| error_response.with(name, value));
        self.shared.metrics.connects.inc(outcome);
        tracing::debug!(outcome, status = error_response.status, "a client was refused");
        self.start_closing(slot, request.socket, Outbox::with_bytes(&error_response.bytes(), self.now), ERROR_LINGER);
    }

    /// Takes a request out of its slot, which the caller refills or removes.
    fn take_request(&mut self, slot: u32) -> Option<PendingRequest> {
        match self.slots.get_mut(slot as usize)?.take_state() {
            State::Receiving(request) => Some(request),
            _ => None,
        }
    }
}

/// Returns the upgrade that waits in a slot for this verification, or `None` if the slot holds something else by now.
fn pending_upgrade(slot: Option<&mut Slot>, request_id: u64) -> Option<&mut Upgrade> {
    match slot {
        Some(Slot { state: State::Receiving(request), .. }) => match request.awaiting_token.as_deref_mut() {
            Some((number, upgrade)) if *number == request_id => Some(upgrade),
            _ => None,
        },
        _ => None,
    }
}
