//! The sockets of one reactor: each is registered with the reactor's poll, and has a slot and a timer. In a slot is a request that
//! is being received, an open connection, or a socket that is being closed (`slot`).

pub(crate) mod closing_socket;
pub(crate) mod connection;
pub(crate) mod frame_writer;
pub(crate) mod outbox;
pub(crate) mod pending_request;
pub(crate) mod slot;
pub(crate) mod socket;
mod timer_wheel;

use std::time::Duration;

use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::http::headers::REQUEST_HEAD_TIMEOUT;
use crate::signalr::{ConnectionId, Tick};
use closing_socket::ClosingSocket;
use connection::Connection;
use outbox::Outbox;
use pending_request::PendingRequest;
use slot::{Slot, State};
use socket::Socket;
use timer_wheel::TimerWheel;

/// The size of the read buffer in bytes.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The sockets of one reactor. Belongs to the reactor's thread.
pub(crate) struct Sockets {
    poll: Registry,
    slots: Slab<Slot>,
    /// The generation of the latest socket.
    generation: u32,
    timers: TimerWheel,
    /// Slots whose sockets may hold more bytes: events are edge-triggered.
    reread: Vec<u32>,
    /// The read buffer, which all sockets share.
    buffer: Vec<u8>,
    /// The tick at which the current turn began.
    pub(crate) now: Tick,
}

impl Sockets {
    /// Creates an empty set of sockets that are registered with a poll.
    pub(crate) fn new(poll: Registry, now: Tick) -> Sockets {
        Sockets {
            poll,
            slots: Slab::new(),
            generation: 0,
            timers: TimerWheel::new(now),
            reread: Vec::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            now,
        }
    }

    /// Returns how many sockets there are, in any state.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the generation of the latest socket.
    pub(crate) fn latest_generation(&self) -> u32 {
        self.generation
    }

    /// Registers a socket with the poll and reserves a slot for it. Returns `None` if the system refuses.
    pub(crate) fn insert(&mut self, socket: &mut Socket) -> Option<u32> {
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.register(socket, Token(slot), interests) {
            tracing::warn!(%error, "socket cannot be registered with the poll");
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        entry.insert(Slot::new(self.generation));
        Some(slot as u32)
    }

    /// Sets the state of a slot, and schedules a timer for it.
    pub(crate) fn set(&mut self, slot: u32, state: State, due: Tick) {
        self.slots[slot as usize].state = state;
        self.schedule(slot, due);
    }

    /// Puts an open connection into a slot, and returns its id. Its timer is not scheduled yet.
    pub(crate) fn set_open(&mut self, slot: u32, connection: Connection) -> ConnectionId {
        let entry = &mut self.slots[slot as usize];
        entry.state = State::Open(connection);
        ConnectionId { slot, generation: entry.generation }
    }

    /// Removes a slot. Its socket is closed unless it was taken out before.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.slots.try_remove(slot as usize);
    }

    /// Removes a slot whose socket was taken out, to be registered elsewhere.
    pub(crate) fn release(&mut self, slot: u32, socket: &mut Socket) {
        self.remove(slot);
        // Fails only for a socket that is not registered.
        let _ = self.poll.deregister(socket);
    }

    /// Removes the slots whose state fails a condition.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&State) -> bool) {
        self.slots.retain(|_, slot| is_kept(&slot.state));
    }

    /// Returns the slots and their states.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &State)> {
        self.slots.iter().map(|(slot, entry)| (slot as u32, &entry.state))
    }

    /// Returns the state of a slot, or `None` if the slot is not used.
    pub(crate) fn state(&self, slot: u32) -> Option<&State> {
        self.slots.get(slot as usize).map(|slot| &slot.state)
    }

    /// Returns the request in a slot, or `None` if the slot holds something else.
    pub(crate) fn request(&mut self, slot: u32) -> Option<&mut PendingRequest> {
        self.request_and_buffer(slot).map(|(request, _)| request)
    }

    /// Returns the request in a slot and the read buffer, or `None` if the slot holds something else.
    pub(crate) fn request_and_buffer(&mut self, slot: u32) -> Option<(&mut PendingRequest, &mut [u8])> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot { state: State::Receiving(request), .. }) => Some((request, &mut self.buffer)),
            _ => None,
        }
    }

    /// Starts the timeout for the rest of a request's head once its first bytes have arrived.
    pub(crate) fn start_head_timeout(&mut self, slot: u32) {
        let deadline = self.now.after(Tick::ticks_in(REQUEST_HEAD_TIMEOUT));
        if let Some(request) = self.request(slot)
            && !request.head.is_empty()
            && deadline < request.deadline
        {
            request.deadline = deadline;
            self.schedule(slot, deadline);
        }
    }

    /// Takes the request out of a slot, which the caller sets again or removes.
    pub(crate) fn take_request(&mut self, slot: u32) -> Option<PendingRequest> {
        let entry = self.slots.get_mut(slot as usize)?;
        match entry.take_state() {
            State::Receiving(request) => Some(request),
            other => {
                entry.state = other;
                None
            }
        }
    }

    /// Returns the open connection in a slot and its id, or `None` if there is none.
    pub(crate) fn open(&self, slot: u32) -> Option<(ConnectionId, &Connection)> {
        self.slots.get(slot as usize)?.open(slot)
    }

    /// Returns the open connection in a slot and its id, or `None` if there is none.
    pub(crate) fn open_mut(&mut self, slot: u32) -> Option<(ConnectionId, &mut Connection)> {
        self.open_and_buffer(slot).map(|(id, connection, _)| (id, connection))
    }

    /// Returns the open connection in a slot, its id and the read buffer, or `None` if there is none.
    pub(crate) fn open_and_buffer(&mut self, slot: u32) -> Option<(ConnectionId, &mut Connection, &mut [u8])> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot { state: State::Open(connection), generation, .. }) => {
                Some((ConnectionId { slot, generation: *generation }, connection, &mut self.buffer))
            }
            _ => None,
        }
    }

    /// Takes the open connection out of a slot, which the caller sets again or removes.
    pub(crate) fn take_open(&mut self, slot: u32) -> Option<(ConnectionId, Connection)> {
        let entry = self.slots.get_mut(slot as usize)?;
        match entry.take_state() {
            State::Open(connection) => Some((ConnectionId { slot, generation: entry.generation }, connection)),
            other => {
                entry.state = other;
                None
            }
        }
    }

    /// Returns the open connections.
    pub(crate) fn iter_open(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.slots.iter().filter_map(|(slot, entry)| entry.open(slot as u32))
    }

    /// Returns a connection, or `None` if it is closed.
    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.open(id.slot).filter(|(other, _)| *other == id).map(|(_, connection)| connection)
    }

    /// Returns a connection, or `None` if it is closed.
    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.open_mut(id.slot).filter(|(other, _)| *other == id).map(|(_, connection)| connection)
    }

    /// Returns the open connection in a slot unless its socket is newer than a generation.
    pub(crate) fn open_until(&mut self, slot: u32, generation: u32) -> Option<&mut Connection> {
        match self.slots.get_mut(slot as usize) {
            Some(entry) if entry.is_as_old_as(generation) => match &mut entry.state {
                State::Open(connection) => Some(connection),
                _ => None,
            },
            _ => None,
        }
    }

    /// Reads from a socket again in the next turn. `closed` tells that the peer has closed it.
    pub(crate) fn queue_reread(&mut self, slot: u32, closed: bool) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        match &mut entry.reread {
            Some(known) => *known |= closed,
            None => {
                entry.reread = Some(closed);
                self.reread.push(slot);
            }
        }
    }

    /// Returns whether a socket is to be read again.
    pub(crate) fn has_rereads(&self) -> bool {
        !self.reread.is_empty()
    }

    /// Takes the slots whose sockets are to be read again. See [`Sockets::take_reread`].
    pub(crate) fn take_rereads(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.reread)
    }

    /// Returns whether the peer has closed the socket in a slot that is to be read again. `None` if the slot is used anew.
    pub(crate) fn take_reread(&mut self, slot: u32) -> Option<bool> {
        self.slots.get_mut(slot as usize)?.reread.take()
    }

    /// Schedules a timer of a slot. It may fire early, never late.
    pub(crate) fn schedule(&mut self, slot: u32, due: Tick) {
        self.timers.schedule(slot, due);
    }

    /// Returns the tick of the next timer, or `None` if there is none.
    pub(crate) fn next_timer(&self) -> Option<Tick> {
        self.timers.next_deadline()
    }

    /// Takes slots whose timers may be due, or returns `None` if no timer is left that may be.
    pub(crate) fn pop_expired(&mut self) -> Option<Vec<u32>> {
        self.timers.pop_expired(self.now)
    }

    /// Starts the lingering close of a socket that was taken out of its slot. The close is given up after `lingers`.
    pub(crate) fn start_closing(&mut self, slot: u32, socket: Socket, outbox: Outbox, lingers: Duration) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            let deadline = self.now.after(Tick::ticks_in(lingers));
            entry.state = State::Closing(Box::new(ClosingSocket::new(socket, outbox, deadline)));
            self.schedule(slot, deadline);
            self.drive_close(slot);
        }
    }

    /// Goes on with a lingering close.
    pub(crate) fn drive_close(&mut self, slot: u32) {
        if let Some(Slot { state: State::Closing(closing), .. }) = self.slots.get_mut(slot as usize)
            && closing.drive(&mut self.buffer, self.now)
        {
            self.remove(slot);
        }
    }

    /// Removes the older half of the requests and of the closing sockets, to make room for new connections. Idle keep-alive
    /// connections go first. Returns how many were removed.
    pub(crate) fn evict_transient(&mut self) -> usize {
        let transient = self.iter().filter_map(|(slot, state)| match state {
            State::Receiving(request) if request.awaiting_token.is_none() => {
                Some((!request.is_idle(), request.deadline, slot))
            }
            State::Closing(closing) => Some((true, closing.deadline(), slot)),
            _ => None,
        });
        let mut transient: Vec<(bool, Tick, u32)> = transient.collect();
        transient.sort_unstable();
        let half = transient.len().div_ceil(2);
        transient.iter().take(half).for_each(|(.., slot)| self.remove(*slot));
        half
    }
}
