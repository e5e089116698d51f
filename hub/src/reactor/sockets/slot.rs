//! The entries of a reactor's slab: one socket each, in one of three states.

use super::closing_socket::ClosingSocket;
use super::connection::Connection;
use crate::reactor::sockets::pending_request::PendingRequest;
use crate::signalr::ConnectionId;

/// An entry of the slab.
pub(crate) struct Slot {
    pub(crate) state: State,
    /// Tells its socket from earlier ones in the same slot.
    pub(crate) generation: u32,
    /// `None` unless the slot is queued to be read again; then whether the peer has closed the socket.
    pub(crate) reread: Option<bool>,
}

/// The state of a socket.
pub(crate) enum State {
    /// Its request is being received or verified.
    Receiving(PendingRequest),
    /// An open connection.
    Open(Connection),
    /// It is being closed.
    Closing(Box<ClosingSocket>),
    /// None: between two of the others.
    Vacant,
}

impl Slot {
    /// Creates an entry for a socket.
    pub(crate) fn new(generation: u32) -> Slot {
        Slot { state: State::Vacant, generation, reread: None }
    }

    /// Returns whether its socket is not newer than the one of a generation. Holds for 2^31 sockets.
    pub(crate) fn is_as_old_as(&self, generation: u32) -> bool {
        generation.wrapping_sub(self.generation) < 1 << 31
    }

    /// Returns the open connection and its id, if this is the entry in `slot`. `None` if it holds something else.
    pub(super) fn open(&self, slot: u32) -> Option<(ConnectionId, &Connection)> {
        match &self.state {
            State::Open(connection) => Some((ConnectionId { slot, generation: self.generation }, connection)),
            _ => None,
        }
    }

    /// Takes the state out, and leaves [`State::Vacant`].
    pub(crate) fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Vacant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_old_as_compares_across_the_wrap() {
        assert!(Slot::new(5).is_as_old_as(5) && Slot::new(4).is_as_old_as(5) && !Slot::new(6).is_as_old_as(5));
        assert!(Slot::new(u32::MAX).is_as_old_as(0) && !Slot::new(0).is_as_old_as(u32::MAX));
    }
}
