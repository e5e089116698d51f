//! A client: its socket, its session and what waits for it. Small, for there are many.

use std::io::{self, Read};
use std::sync::Arc;

use uuid::Uuid;

use super::outbox::Outbox;
use super::registry::{Membership, Registry};
use super::socket::Socket;
use crate::auth::{Claims, Principal};
use crate::connection::{CloseReason, SessionConfig, Tick, TimeoutAction, Transport};
use crate::delivery::{Delivery, Hub};
use crate::limits::ConnectionPermit;
use crate::notification::{ClientType, Device, Notification};
use crate::protocol::{self, Protocol, RECEIVE_MESSAGE, ServerMessage};
use crate::transport::websocket::{Frame, Outgoing, WebSocket};

/// What a slow client may cost, in bytes and ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteLimits {
    pub(super) max_queued_bytes: usize,
    pub(super) write_timeout: u32,
}

/// Bytes of a client that are read before what answers them is written: the answers are at the most twelve times as long, which
/// is less than what may wait.
const MAX_READ_BYTES: usize = 4 * 1024;

/// An upgraded client.
pub(super) struct Connection {
    pub(super) socket: Socket,
    websocket: WebSocket,
    outbox: Option<Box<Outbox>>,
    /// Until the handshake is answered; then the registry knows what is needed of it.
    claims: Option<Arc<Claims>>,
    memberships: Box<[Membership]>,
    hub: Hub,
    /// The user, or the login request.
    id: Option<Uuid>,
    device: Option<Device>,
    client_type: ClientType,
    /// What it counts for, where there are limits.
    _permit: Option<Box<ConnectionPermit>>,
    /// Registered, with the protocol of its handshake.
    registered_protocol: Option<Protocol>,
}

/// What became of something that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// It is out.
    Written,
    /// The socket is full: it waits.
    Queued,
    /// It waits in the place of others, which a `SyncVault` makes up for.
    Coalesced,
    /// The client is too slow.
    Overflow,
    /// The socket is broken.
    Closed,
}

/// What a turn of reading brought.
pub(super) enum ReadOutcome {
    /// All that was there.
    Drained,
    /// A buffer full: there may be more.
    More,
    /// The end.
    Closed(CloseReason),
}

impl Connection {
    /// A client that has just been upgraded.
    pub(super) fn new(
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
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.websocket.session.protocol()
    }

    pub(super) fn transport(&self) -> Transport {
        self.websocket.session.transport()
    }

    pub(super) fn client_type(&self) -> ClientType {
        self.client_type
    }

    pub(super) fn hub(&self) -> Hub {
        self.hub
    }

    /// The user, or the login request.
    pub(super) fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// The user, on the main hub.
    pub(super) fn user(&self) -> Option<Uuid> {
        self.id.filter(|_| self.hub == Hub::Main)
    }

    pub(super) fn device(&self) -> Option<Device> {
        self.device
    }

    /// When bytes of the client's last came.
    pub(super) fn last_received(&self) -> Tick {
        self.websocket.session.last_received()
    }

    /// The protocol with which it was registered, also after its session has ended.
    pub(super) fn registered_protocol(&self) -> Option<Protocol> {
        self.registered_protocol
    }

    /// What its token said; only until the client is registered.
    pub(super) fn claims(&self) -> Option<Arc<Claims>> {
        self.claims.clone()
    }

    /// Registers the client, so that from now on it is written to.
    pub(super) fn register(&mut self, slot: u32, protocol: Protocol, registry: &mut Registry) {
        let claims = self.claims.take();
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.memberships = registry.register(slot, self.hub, self.id, organizations);
        self.registered_protocol = Some(protocol);
    }

    /// The reverse of [`Connection::join`]; `on_moved` as in [`Registry::leave`].
    pub(super) fn deregister(&self, slot: u32, registry: &mut Registry, on_moved: impl FnMut(u32, usize, Membership)) {
        registry.deregister(slot, self.hub, self.id, &self.memberships, on_moved);
    }

    /// The organisations that it is registered under.
    pub(super) fn organizations(&self, registry: &Registry) -> Box<[Uuid]> {
        registry.organizations(&self.memberships)
    }

    /// Notes where a membership is now.
    pub(super) fn update_membership(&mut self, number: usize, membership: Membership) {
        self.memberships[number] = membership;
    }

    /// Reads once from the socket. `closed`: the other side may have hung up behind what it sent.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> ReadOutcome {
        if self.is_waiting() {
            // What it says has time until it has taken what it was told: else its own answers would make it too slow.
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

    /// Takes bytes that came with the upgrade request.
    pub(super) fn feed(
        &mut self,
        read_ahead: &mut [u8],
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> Option<CloseReason> {
        self.websocket.receive(read_ahead, now, &session_config.for_hub(self.hub), outgoing)
    }

    /// Writes a push; nothing for a client that is not connected yet or any more, or whose protocol the push lacks.
    pub(super) fn deliver(
        &mut self,
        delivery: &Delivery,
        now: Tick,
        write_limits: &WriteLimits,
    ) -> Option<WriteOutcome> {
        let protocol = self.protocol()?;
        Some(self.write_shared(protocol, delivery.frame(protocol)?, delivery.coalescible, now, write_limits))
    }

    /// Writes a `SyncVault`, to make up for what was missed; nothing for a client that is not a connected user.
    pub(super) fn write_sync(&mut self, now: Tick, write_limits: &WriteLimits) -> Option<WriteOutcome> {
        let (user, protocol) = (self.user()?, self.protocol()?);
        Some(self.write_shared(protocol, &sync(user, protocol), true, now, write_limits))
    }

    /// Writes a frame that is shared with other clients, or has it wait.
    pub(super) fn write_shared(
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

    /// Has a frame wait, `written` bytes of which are out. Apart from [`Self::offer`], which is as short as it can be.
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

    /// Writes bytes that are this client's alone, or has them wait.
    pub(super) fn write_owned(&mut self, bytes: &[u8], now: Tick, write_limits: &WriteLimits) -> WriteOutcome {
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

    /// Has bytes that are this client's alone wait until [`Connection::flush`], and with them all that comes behind.
    pub(super) fn write_deferred(&mut self, bytes: &[u8], now: Tick) -> WriteOutcome {
        self.websocket.session.sent(now);
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now))).push_owned(bytes);
        WriteOutcome::Written
    }

    /// Returns how many frames wait for it that no `SyncVault` makes up for.
    pub(super) fn uncovered(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.uncovered())
    }

    /// Returns since when it owes the rest of a message, and how many bytes of that are kept. `None` between two messages.
    pub(super) fn unfinished(&self) -> Option<(Tick, usize)> {
        self.websocket.unfinished()
    }

    /// Whether something waits for it.
    pub(super) fn is_waiting(&self) -> bool {
        self.outbox.is_some()
    }

    /// Writes what waits, now that the socket takes bytes again.
    pub(super) fn flush(&mut self, now: Tick) -> WriteOutcome {
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

    /// When to look at it again.
    pub(super) fn next_timeout(&self, session_config: &SessionConfig, write_limits: &WriteLimits) -> Option<Tick> {
        match &self.outbox {
            // Nobody listens to it, so its silence is none; and a ping says no more than the frames that wait.
            Some(outbox) => Some(outbox.last_progress().after(write_limits.write_timeout)),
            None => self.websocket.next_timeout(session_config),
        }
    }

    /// Looks at the clock.
    pub(super) fn on_timeout(
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

    /// Writes a ping, which never waits: what a full socket holds says as much.
    pub(super) fn ping(&mut self, frame: &Frame, now: Tick) -> WriteOutcome {
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

    /// Ends the session from this side.
    pub(super) fn close(&mut self, close_reason: CloseReason, outgoing: &mut Outgoing) -> CloseReason {
        self.websocket.close(close_reason, outgoing)
    }

    /// Takes it apart: the socket, and what is still to be written.
    pub(super) fn into_parts(self, now: Tick) -> (Socket, Outbox) {
        (self.socket, self.outbox.map_or_else(|| Outbox::new(now), |outbox| *outbox))
    }
}

/// The frame that makes up for collapsed ones.
fn sync(user: Uuid, protocol: Protocol) -> Frame {
    let notification = Notification::sync_vault(user);
    let message = ServerMessage::Push { target: RECEIVE_MESSAGE, notification: &notification };
    Frame::new(protocol, &protocol::encode(protocol, message))
}

#[cfg(test)]
mod tests {
    use crate::reactor::slot::Slot;

    #[test]
    fn a_client_takes_little_room() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
    }
}
