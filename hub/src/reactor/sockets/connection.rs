//! A connection: a socket, its session and its write queue. Kept small, as there are many.

use std::io::{self, Read};
use std::sync::Arc;

use uuid::Uuid;

use super::outbox::Outbox;
use super::socket::Socket;
use crate::auth::{Claims, Principal};
use crate::delivery::Delivery;
use crate::notification::{ClientType, Device, Notification};
use crate::reactor::connection_limits::ConnectionPermit;
use crate::reactor::registry::{Membership, Registry};
use crate::signalr::Hub;
use crate::signalr::protocol::{self, Protocol, RECEIVE_MESSAGE, ServerMessage};
use crate::signalr::{CloseReason, SessionConfig, Tick, TimeoutAction, Transport};
use crate::websocket::{Frame, Outgoing, WebSocket};

/// How much a slow client may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteLimits {
    /// The most bytes that may be queued for one connection.
    pub(crate) max_queued_bytes: usize,
    /// After how many ticks without progress the connection is closed.
    pub(crate) write_timeout: u32,
}

/// The most bytes that are read before the answers to them are written. Answers are at most twelve times as long, which fits
/// into the write queue.
const MAX_READ_BYTES: usize = 4 * 1024;

/// An upgraded connection.
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    websocket: WebSocket,
    outbox: Option<Box<Outbox>>,
    /// `None` once the handshake is answered: the registry holds what is needed of them.
    claims: Option<Arc<Claims>>,
    memberships: Box<[Membership]>,
    hub: Hub,
    /// The user, or the login request.
    id: Option<Uuid>,
    device: Option<Device>,
    client_type: ClientType,
    /// Its share of the connection limits, released on drop.
    _permit: Option<Box<ConnectionPermit>>,
    /// The protocol of its handshake, `None` before it is registered.
    registered_protocol: Option<Protocol>,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// All bytes are in the socket.
    Written,
    /// The socket is full: the frame is queued.
    Queued,
    /// Queued frames were replaced by one `SyncVault`.
    Coalesced,
    /// The write queue is over its limit.
    Overflow,
    /// The socket failed.
    Closed,
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

    pub(crate) fn client_type(&self) -> ClientType {
        self.client_type
    }

    pub(crate) fn hub(&self) -> Hub {
        self.hub
    }

    /// The user, or the login request.
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// The user, on the main hub.
    pub(crate) fn user(&self) -> Option<Uuid> {
        self.id.filter(|_| self.hub == Hub::Main)
    }

    pub(crate) fn device(&self) -> Option<Device> {
        self.device
    }

    /// Returns when the last bytes of the client were received.
    pub(crate) fn last_received(&self) -> Tick {
        self.websocket.session.last_received()
    }

    /// Returns the protocol with which it was registered, also after its session has ended. `None` if it was not.
    pub(crate) fn registered_protocol(&self) -> Option<Protocol> {
        self.registered_protocol
    }

    /// Returns the claims of its token, `None` once it is registered.
    pub(crate) fn claims(&self) -> Option<Arc<Claims>> {
        self.claims.clone()
    }

    /// Registers the connection: from now on pushes are written to it.
    pub(crate) fn register(&mut self, slot: u32, protocol: Protocol, registry: &mut Registry) {
        let claims = self.claims.take();
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.memberships = registry.register(slot, self.hub, self.id, organizations);
        self.registered_protocol = Some(protocol);
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
        Some(self.write_shared(protocol, &sync(user, protocol), true, now, write_limits))
    }

    /// Writes a frame that is shared with other connections, or queues it.
    pub(crate) fn write_shared(
        &mut self,
        protocol: Protocol,
        frame: &Frame,
        coalescible: bool,
        now: Tick,
        write_limits: &WriteLimits,
    ) -> WriteOutcome {
        if self.outbox.is_some() {
            return self.enqueue(protocol, frame, 0, coalescible, now, write_limits);
        }
        match self.socket.try_write(frame.bytes()) {
            Ok(count) if count == frame.bytes().len() => {
                self.websocket.session.sent(now);
                WriteOutcome::Written
            }
            Ok(count) => self.enqueue(protocol, frame, count, coalescible, now, write_limits),
            Err(_) => WriteOutcome::Closed,
        }
    }

    /// Queues a frame of which `written` bytes are written. Apart from [`Self::write_shared`], whose fast path stays short.
    #[cold]
    fn enqueue(
        &mut self,
        protocol: Protocol,
        frame: &Frame,
        written: usize,
        coalescible: bool,
        now: Tick,
        write_limits: &WriteLimits,
    ) -> WriteOutcome {
        let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
        outbox.push(frame.clone(), written, coalescible);
        if outbox.cost() <= write_limits.max_queued_bytes {
            return WriteOutcome::Queued;
        }
        let user = self.id.filter(|_| self.hub == Hub::Main);
        let coalesced = user.is_some_and(|user| outbox.coalesce(sync(user, protocol)));
        match outbox.cost() <= write_limits.max_queued_bytes {
            true if coalesced => WriteOutcome::Coalesced,
            _ => WriteOutcome::Overflow,
        }
    }

    /// Writes bytes for this connection alone, or queues them.
    pub(crate) fn write_owned(&mut self, bytes: &[u8], now: Tick, write_limits: &WriteLimits) -> WriteOutcome {
        self.websocket.session.sent(now);
        let mut rest = bytes;
        if self.outbox.is_none() {
            match self.socket.try_write(rest) {
                Ok(count) if count == rest.len() => return WriteOutcome::Written,
                Ok(count) => rest = &rest[count..],
                Err(_) => return WriteOutcome::Closed,
            }
        }
        let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
        outbox.push_owned(rest);
        if outbox.cost() <= write_limits.max_queued_bytes { WriteOutcome::Queued } else { WriteOutcome::Overflow }
    }

    /// Queues bytes for this connection alone until [`Connection::flush`], and with them all that follows.
    pub(crate) fn write_deferred(&mut self, bytes: &[u8], now: Tick) -> WriteOutcome {
        self.websocket.session.sent(now);
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now))).push_owned(bytes);
        WriteOutcome::Written
    }

    /// Returns how many queued frames no `SyncVault` covers.
    pub(crate) fn uncovered(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.uncovered())
    }

    /// Returns since when a message is incomplete, and how many bytes of it are held. `None` between two messages.
    pub(crate) fn unfinished(&self) -> Option<(Tick, usize)> {
        self.websocket.unfinished()
    }

    /// Returns whether frames are queued.
    pub(crate) fn is_waiting(&self) -> bool {
        self.outbox.is_some()
    }

    /// Writes queued frames.
    pub(crate) fn flush(&mut self, now: Tick) -> WriteOutcome {
        let Some(outbox) = &mut self.outbox else { return WriteOutcome::Written };
        match outbox.flush(&mut self.socket, now) {
            Err(_) => WriteOutcome::Closed,
            Ok(()) if outbox.is_empty() => {
                self.outbox = None;
                WriteOutcome::Written
            }
            Ok(()) => WriteOutcome::Queued,
        }
    }

    /// Returns when [`Connection::on_timeout`] is due, `None` if nothing is.
    pub(crate) fn next_timeout(&self, session_config: &SessionConfig, write_limits: &WriteLimits) -> Option<Tick> {
        match &self.outbox {
            // It is not read while frames are queued, so the receive timeout does not apply; queued frames make a ping redundant.
            Some(outbox) => Some(outbox.last_progress().after(write_limits.write_timeout)),
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
        match &self.outbox {
            Some(outbox) => (now >= outbox.last_progress().after(write_limits.write_timeout))
                .then_some(TimeoutAction::Close(CloseReason::SlowConsumer)),
            None => self.websocket.on_timeout(now, session_config),
        }
    }

    /// Writes a ping. It is dropped if the socket is full, as what the socket holds serves the same purpose.
    pub(crate) fn ping(&mut self, frame: &Frame, now: Tick) -> WriteOutcome {
        self.websocket.session.sent(now);
        match self.socket.try_write(frame.bytes()) {
            Ok(count) if count == 0 || count == frame.bytes().len() => WriteOutcome::Written,
            Ok(written) => {
                let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
                outbox.push(frame.clone(), written, false);
                WriteOutcome::Queued
            }
            Err(_) => WriteOutcome::Closed,
        }
    }

    /// Closes the session from this side.
    pub(crate) fn close(&mut self, close_reason: CloseReason, outgoing: &mut Outgoing) -> CloseReason {
        self.websocket.close(close_reason, outgoing)
    }

    /// Returns the socket and the frames that are still queued.
    pub(crate) fn into_parts(self, now: Tick) -> (Socket, Outbox) {
        (self.socket, self.outbox.map_or_else(|| Outbox::new(now), |outbox| *outbox))
    }
}

/// Returns the `SyncVault` frame that replaces coalesced frames.
fn sync(user: Uuid, protocol: Protocol) -> Frame {
    let notification = Notification::sync_vault(user);
    let message = ServerMessage::Push { target: RECEIVE_MESSAGE, notification: &notification };
    Frame::new(protocol, &protocol::encode(protocol, message))
}

#[cfg(test)]
mod tests {
    use crate::reactor::sockets::slot::Slot;

    #[test]
    fn slot_size_is_at_most_128_bytes() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
    }
}
