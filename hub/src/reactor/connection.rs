//! A client: its socket, its session and what waits for it. Small, for there are many.

use std::io::{self, Read};
use std::sync::Arc;

use uuid::Uuid;

use super::outbox::Outbox;
use super::registry::{Membership, Registry};
use super::socket::Socket;
use crate::auth::{Claims, Guest};
use crate::connection::{Ending, Overdue, Terms, Tick, Transport};
use crate::delivery::{Delivery, Hub};
use crate::limits::Place;
use crate::notification::{ClientType, Device, Notification};
use crate::protocol::{self, Protocol, RECEIVE_MESSAGE, ServerMessage};
use crate::transport::websocket::{Frame, Outgoing, WebSocket};

/// What a slow client may cost, in bytes and ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) queue: usize,
    pub(super) timeout: u32,
}

/// Bytes of a client that are read before what answers them is written: the answers are at the most twelve times as long, which
/// is less than what may wait.
const AT_ONCE: usize = 4 * 1024;

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
    _place: Option<Box<Place>>,
    /// Registered, with the protocol of its handshake.
    joined: Option<Protocol>,
}

/// What became of something that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is out.
    Written,
    /// The socket is full: it waits.
    Queued,
    /// It waits in the place of others, which a `SyncVault` makes up for.
    Collapsed,
    /// The client is too slow.
    Slow,
    /// The socket is broken.
    Broken,
}

/// What a turn of reading brought.
pub(super) enum Heard {
    /// All that was there.
    All,
    /// A buffer full: there may be more.
    More,
    /// The end.
    End(Ending),
}

impl Connection {
    /// A client that has just been upgraded.
    pub(super) fn new(
        socket: Socket,
        guest: Guest,
        transport: Transport,
        place: Option<Box<Place>>,
        now: Tick,
    ) -> Connection {
        let (hub, id) = (guest.hub(), guest.id());
        let claims = match guest {
            Guest::User(claims) => Some(claims),
            Guest::Anonymous(_) => None,
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
            _place: place,
            joined: None,
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
    pub(super) fn joined(&self) -> Option<Protocol> {
        self.joined
    }

    /// What its token said; only until the client is registered.
    pub(super) fn claims(&self) -> Option<Arc<Claims>> {
        self.claims.clone()
    }

    /// Registers the client, so that from now on it is written to.
    pub(super) fn join(&mut self, slot: u32, protocol: Protocol, registry: &mut Registry) {
        let claims = self.claims.take();
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.memberships = registry.join(slot, self.hub, self.id, organizations);
        self.joined = Some(protocol);
    }

    /// The reverse of [`Connection::join`]; `moved` as in [`Registry::leave`].
    pub(super) fn leave(&self, slot: u32, registry: &mut Registry, moved: impl FnMut(u32, usize, Membership)) {
        registry.leave(slot, self.hub, self.id, &self.memberships, moved);
    }

    /// The organisations that it is registered under.
    pub(super) fn organizations(&self, registry: &Registry) -> Box<[Uuid]> {
        registry.organizations(&self.memberships)
    }

    /// Notes where a membership is now.
    pub(super) fn moved(&mut self, number: usize, membership: Membership) {
        self.memberships[number] = membership;
    }

    /// Reads once from the socket. `closed`: the other side may have hung up behind what it sent.
    pub(super) fn hear(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        now: Tick,
        terms: &Terms,
        outgoing: &mut Outgoing,
    ) -> Heard {
        if self.is_waiting() {
            // What it says has time until it has taken what it was told: else its own answers would make it too slow.
            return Heard::All;
        }
        let room = buffer.len().min(AT_ONCE);
        match self.socket.read(&mut buffer[..room]) {
            Ok(0) => Heard::End(Ending::HungUp),
            Ok(count) => {
                // A socket that gives less than there is room for is empty.
                let more = count == room || closed;
                match self.websocket.receive(&mut buffer[..count], now, &terms.on(self.hub), outgoing) {
                    Some(ending) => Heard::End(ending),
                    None if more => Heard::More,
                    None => Heard::All,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::All,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Heard::More,
            Err(_) => Heard::End(Ending::Reset),
        }
    }

    /// Takes bytes that came with the upgrade request.
    pub(super) fn take(
        &mut self,
        leftover: &mut [u8],
        now: Tick,
        terms: &Terms,
        outgoing: &mut Outgoing,
    ) -> Option<Ending> {
        self.websocket.receive(leftover, now, &terms.on(self.hub), outgoing)
    }

    /// Writes a push; nothing for a client that is not connected yet or any more, or whose protocol the push lacks.
    pub(super) fn deliver(&mut self, delivery: &Delivery, now: Tick, patience: &Patience) -> Option<Sent> {
        let protocol = self.protocol()?;
        Some(self.offer(protocol, delivery.frame(protocol)?, delivery.collapsible, now, patience))
    }

    /// Writes a `SyncVault`, to make up for what was missed; nothing for a client that is not a connected user.
    pub(super) fn make_up(&mut self, now: Tick, patience: &Patience) -> Option<Sent> {
        let (user, protocol) = (self.user()?, self.protocol()?);
        Some(self.offer(protocol, &sync(user, protocol), true, now, patience))
    }

    /// Writes a frame that is shared with other clients, or has it wait.
    pub(super) fn offer(
        &mut self,
        protocol: Protocol,
        frame: &Frame,
        collapsible: bool,
        now: Tick,
        patience: &Patience,
    ) -> Sent {
        if self.outbox.is_some() {
            return self.keep(protocol, frame, 0, collapsible, now, patience);
        }
        match self.socket.offer(frame.bytes()) {
            Ok(count) if count == frame.bytes().len() => {
                self.websocket.session.sent(now);
                Sent::Written
            }
            Ok(count) => self.keep(protocol, frame, count, collapsible, now, patience),
            Err(_) => Sent::Broken,
        }
    }

    /// Has a frame wait, `written` bytes of which are out. Apart from [`Self::offer`], which is as short as it can be.
    #[cold]
    fn keep(
        &mut self,
        protocol: Protocol,
        frame: &Frame,
        written: usize,
        collapsible: bool,
        now: Tick,
        patience: &Patience,
    ) -> Sent {
        let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
        outbox.push(frame.clone(), written, collapsible);
        if outbox.cost() <= patience.queue {
            return Sent::Queued;
        }
        let user = self.id.filter(|_| self.hub == Hub::Main);
        let collapsed = user.is_some_and(|user| outbox.collapse(sync(user, protocol)));
        match outbox.cost() <= patience.queue {
            true if collapsed => Sent::Collapsed,
            _ => Sent::Slow,
        }
    }

    /// Writes bytes that are this client's alone, or has them wait.
    pub(super) fn answer(&mut self, bytes: &[u8], now: Tick, patience: &Patience) -> Sent {
        self.websocket.session.sent(now);
        let mut rest = bytes;
        if self.outbox.is_none() {
            match self.socket.offer(rest) {
                Ok(count) if count == rest.len() => return Sent::Written,
                Ok(count) => rest = &rest[count..],
                Err(_) => return Sent::Broken,
            }
        }
        let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
        outbox.push_own(rest);
        if outbox.cost() <= patience.queue { Sent::Queued } else { Sent::Slow }
    }

    /// Has bytes that are this client's alone wait until [`Connection::flush`], and with them all that comes behind.
    pub(super) fn hold_back(&mut self, bytes: &[u8], now: Tick) -> Sent {
        self.websocket.session.sent(now);
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now))).push_own(bytes);
        Sent::Written
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
    pub(super) fn flush(&mut self, now: Tick) -> Sent {
        let Some(outbox) = &mut self.outbox else { return Sent::Written };
        match outbox.flush(&mut self.socket, now) {
            Err(_) => Sent::Broken,
            Ok(()) if outbox.is_empty() => {
                self.outbox = None;
                Sent::Written
            }
            Ok(()) => Sent::Queued,
        }
    }

    /// When to look at it again.
    pub(super) fn due(&self, terms: &Terms, patience: &Patience) -> Option<Tick> {
        match &self.outbox {
            // Nobody listens to it, so its silence is none; and a ping says no more than the frames that wait.
            Some(outbox) => Some(outbox.taken().after(patience.timeout)),
            None => self.websocket.due(terms),
        }
    }

    /// Looks at the clock.
    pub(super) fn overdue(&mut self, now: Tick, terms: &Terms, patience: &Patience) -> Option<Overdue> {
        match &self.outbox {
            Some(outbox) => (now >= outbox.taken().after(patience.timeout)).then_some(Overdue::End(Ending::Slow)),
            None => self.websocket.overdue(now, terms),
        }
    }

    /// Writes a ping, which never waits: what a full socket holds says as much.
    pub(super) fn ping(&mut self, frame: &Frame, now: Tick) -> Sent {
        self.websocket.session.sent(now);
        match self.socket.offer(frame.bytes()) {
            Ok(count) if count == 0 || count == frame.bytes().len() => Sent::Written,
            Ok(written) => {
                let outbox = self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
                outbox.push(frame.clone(), written, false);
                Sent::Queued
            }
            Err(_) => Sent::Broken,
        }
    }

    /// Ends the session from this side.
    pub(super) fn end(&mut self, ending: Ending, outgoing: &mut Outgoing) -> Ending {
        self.websocket.end(ending, outgoing)
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
    fn slot_size_is_at_most_128_bytes() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
    }
}
