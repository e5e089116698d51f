//! A connection: its socket, its write queue (`outbox`, `frame_writer`), its session and its registration. Kept small, as there are many.

use std::io::{self, Read};
use std::sync::Arc;

use uuid::Uuid;

use super::frame_writer::{FrameWriter, WriteLimits, WriteOutcome};
use super::outbox::Outbox;
use super::socket::Socket;
use crate::auth::{Claims, Principal};
use crate::delivery::Delivery;
use crate::delivery::route::sync_frame;
use crate::notification::{ClientType, Device};
use crate::reactor::connection_limits::ConnectionPermit;
use crate::reactor::registry::{Membership, Registry};
use crate::signalr::protocol::Protocol;
use crate::signalr::{CloseReason, Hub, SessionConfig, Tick, TimeoutAction, Transport};
use crate::websocket::{Frame, Outgoing, WebSocket};

/// The most bytes that are read before the answers to them are written. Answers are at most twelve times as long, which fits
/// into the write queue.
const MAX_READ_BYTES: usize = 4 * 1024;

/// An upgraded connection.
pub(crate) struct Connection {
    socket: Socket,
    websocket: WebSocket,
    /// The write queue, `None` while the socket takes all.
    outbox: Option<Box<Outbox>>,
    /// `None` once the handshake is answered: the registry holds what is needed of them.
    claims: Option<Arc<Claims>>,
    memberships: Box<[Membership]>,
    pub(crate) hub: Hub,
    /// The user, or the login request.
    id: Option<Uuid>,
    pub(crate) device: Option<Device>,
    pub(crate) client_type: ClientType,
    /// Its share of the connection limits, released on drop.
    _permit: Option<Box<ConnectionPermit>>,
    /// The protocol of its handshake, `None` before it is registered.
    registered_protocol: Option<Protocol>,
}

/// The outcome of a read.
pub(crate) enum ReadOutcome {
    /// The socket is empty.
    Drained,
    /// The socket may hold more.
    More,
    /// The session has ended.
    Closed(CloseReason),
}

impl Connection {
    /// Creates the connection of a client that was just upgraded.
    pub(crate) fn new(
        socket: Socket,
        principal: Principal,
        transport: Transport,
        permit: Option<Box<ConnectionPermit>>,
        now: Tick,
    ) -> Connection {
        let (hub, id) = (principal.hub(), principal.id());
        let claims = match principal {
            Principal::User(claims) => Some(claims),
            Principal::Anonymous(_) => None,
        };
        Connection {
            socket,
            websocket: WebSocket::new(transport, now),
            outbox: None,
            hub,
            id,
            device: claims.as_ref().and_then(|claims| claims.device),
            client_type: claims.as_ref().map_or(ClientType::All, |claims| claims.client_type),
            claims,
            memberships: Box::default(),
            _permit: permit,
            registered_protocol: None,
        }
    }

    /// The protocol, once the handshake is done.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.websocket.session.protocol()
    }

    pub(crate) fn transport(&self) -> Transport {
        self.websocket.session.transport()
    }

    /// The user, or the login request.
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// The user, on the main hub.
    pub(crate) fn user(&self) -> Option<Uuid> {
        self.id.filter(|_| self.hub == Hub::Main)
    }

    /// Returns when the last bytes of the client were received.
    pub(crate) fn last_received(&self) -> Tick {
        self.websocket.session.last_received()
    }

    /// Returns the protocol with which it was registered, also after its session has ended. `None` if it was not.
    pub(crate) fn registered_protocol(&self) -> Option<Protocol> {
        self.registered_protocol
    }

    /// Registers the connection: from now on pushes are written to it. Returns the claims of its token, `None` on the anonymous hub.
    pub(crate) fn register(&mut self, slot: u32, protocol: Protocol, registry: &mut Registry) -> Option<Arc<Claims>> {
        let claims = self.claims.take();
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.memberships = registry.register(slot, self.hub, self.id, organizations);
        self.registered_protocol = Some(protocol);
        claims
    }

    /// Reverses [`Connection::register`]. See [`Registry::deregister`] for `on_moved`.
    pub(crate) fn deregister(&self, slot: u32, registry: &mut Registry, on_moved: impl FnMut(u32, usize, Membership)) {
        registry.deregister(slot, self.hub, self.id, &self.memberships, on_moved);
    }

    /// Returns the organizations that it is registered under.
    pub(crate) fn organizations(&self, registry: &Registry) -> Box<[Uuid]> {
        registry.organizations(&self.memberships)
    }

    /// Updates one of its memberships, whose place in the registry has changed.
    pub(crate) fn update_membership(&mut self, number: usize, membership: Membership) {
        self.memberships[number] = membership;
    }

    /// Reads once from the socket. `closed` tells that the peer may have closed it behind what it sent.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> ReadOutcome {
        if self.is_waiting() {
            // Not read while frames are queued: a client could overflow its queue with the answers to its own messages.
            return ReadOutcome::Drained;
        }
        let room = buffer.len().min(MAX_READ_BYTES);
        match self.socket.read(&mut buffer[..room]) {
            Ok(0) => ReadOutcome::Closed(CloseReason::PeerClosed),
            Ok(count) => {
                // A socket that gives less than there is room for is empty.
                let more = count == room || closed;
                match self.websocket.receive(&mut buffer[..count], now, &session_config.for_hub(self.hub), outgoing) {
                    Some(close_reason) => ReadOutcome::Closed(close_reason),
                    None if more => ReadOutcome::More,
                    None => ReadOutcome::Drained,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ReadOutcome::Drained,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => ReadOutcome::More,
            Err(_) => ReadOutcome::Closed(CloseReason::Reset),
        }
    }

    /// Takes bytes that were read together with the upgrade request.
    pub(crate) fn feed(
        &mut self,
        read_ahead: &mut [u8],
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> Option<CloseReason> {
        self.websocket.receive(read_ahead, now, &session_config.for_hub(self.hub), outgoing)
    }

    /// Writes a push. Returns `None` if the client has no handshake or has ended, or the push has no frame in its protocol.
    pub(crate) fn deliver(
        &mut self,
        delivery: &Delivery,
        now: Tick,
        write_limits: &WriteLimits,
    ) -> Option<WriteOutcome> {
        let protocol = self.protocol()?;
        Some(self.write_shared(protocol, delivery.frame(protocol)?, delivery.coalescible, now, write_limits))
    }

    /// Writes a `SyncVault`. Returns `None` for a client that is not a connected user.
    pub(crate) fn write_sync(&mut self, now: Tick, write_limits: &WriteLimits) -> Option<WriteOutcome> {
        let (user, protocol) = (self.user()?, self.protocol()?);
        Some(self.write_shared(protocol, &sync_frame(user, protocol), true, now, write_limits))
    }

    /// Writes a frame that is shared with other connections, or queues it.
    fn write_shared(
        &mut self,
        protocol: Protocol,
        frame: &Frame,
        coalescible: bool,
        now: Tick,
        write_limits: &WriteLimits,
    ) -> WriteOutcome {
        let Connection { socket, outbox, id, hub, .. } = self;
        let substitute = || id.filter(|_| *hub == Hub::Main).map(|user| sync_frame(user, protocol));
        let outcome = FrameWriter { socket, outbox }.write_shared(frame, coalescible, now, write_limits, substitute);
        if outcome == WriteOutcome::Written {
            self.websocket.session.sent(now);
        }
        outcome
    }

    /// Writes bytes for this connection alone, or queues them.
    pub(crate) fn write_owned(&mut self, bytes: &[u8], now: Tick, write_limits: &WriteLimits) -> WriteOutcome {
        self.websocket.session.sent(now);
        self.writer().write_owned(bytes, now, write_limits)
    }

    /// Queues bytes for this connection alone until [`Connection::flush`], and with them all that follows.
    pub(crate) fn write_deferred(&mut self, bytes: &[u8], now: Tick) -> WriteOutcome {
        self.websocket.session.sent(now);
        self.writer().write_deferred(bytes, now)
    }

    /// Writes a ping. It is dropped if the socket is full.
    pub(crate) fn ping(&mut self, frame: &Frame, now: Tick) -> WriteOutcome {
        self.websocket.session.sent(now);
        self.writer().write_droppable(frame, now)
    }

    /// Writes queued frames.
    pub(crate) fn flush(&mut self, now: Tick) -> WriteOutcome {
        self.writer().flush(now)
    }

    /// Returns whether frames are queued.
    pub(crate) fn is_waiting(&self) -> bool {
        self.outbox.is_some()
    }

    /// Returns how many queued frames no `SyncVault` covers.
    pub(crate) fn uncovered(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.uncovered())
    }

    /// Returns since when a message is incomplete, and how many bytes of it are held. `None` between two messages.
    pub(crate) fn unfinished(&self) -> Option<(Tick, usize)> {
        self.websocket.unfinished()
    }

    /// Returns when the socket must have taken more of the queued frames, `None` if none are queued.
    fn write_deadline(&self, write_limits: &WriteLimits) -> Option<Tick> {
        self.outbox.as_ref().map(|outbox| outbox.last_progress().after(write_limits.write_timeout))
    }

    fn writer(&mut self) -> FrameWriter<'_> {
        FrameWriter { socket: &mut self.socket, outbox: &mut self.outbox }
    }

    /// Returns when [`Connection::on_timeout`] is due, `None` if nothing is.
    pub(crate) fn next_timeout(&self, session_config: &SessionConfig, write_limits: &WriteLimits) -> Option<Tick> {
        // It is not read while frames are queued, so the receive timeout does not apply; queued frames make a ping redundant.
        match self.write_deadline(write_limits) {
            Some(deadline) => Some(deadline),
            None => self.websocket.next_timeout(session_config),
        }
    }

    /// Returns what a timeout that has passed asks for, `None` if none has.
    pub(crate) fn on_timeout(
        &mut self,
        now: Tick,
        session_config: &SessionConfig,
        write_limits: &WriteLimits,
    ) -> Option<TimeoutAction> {
        match self.write_deadline(write_limits) {
            Some(deadline) => (now >= deadline).then_some(TimeoutAction::Close(CloseReason::SlowConsumer)),
            None => self.websocket.on_timeout(now, session_config),
        }
    }

    /// Closes the session from this side.
    pub(crate) fn close(&mut self, close_reason: CloseReason, outgoing: &mut Outgoing) -> CloseReason {
        self.websocket.close(close_reason, outgoing)
    }

    /// Closes the socket with a reset, and drops what is still queued.
    pub(crate) fn reset(self) {
        self.socket.set_reset_on_close();
    }

    /// Returns the socket and the frames that are still queued.
    pub(crate) fn into_parts(self, now: Tick) -> (Socket, Outbox) {
        (self.socket, self.outbox.map_or_else(|| Outbox::new(now), |outbox| *outbox))
    }
}

#[cfg(test)]
mod tests {
    use crate::reactor::sockets::slot::Slot;

    #[test]
    fn slot_size_is_at_most_128_bytes() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
    }
}
