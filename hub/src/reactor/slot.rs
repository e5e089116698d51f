//! The places of a reactor's slab: one socket each, in one of three states.

use super::closing_socket::ClosingSocket;
use super::connection::Connection;
use super::pending_request::PendingRequest;

/// A socket.
pub(super) struct Slot {
    pub(super) state: State,
    /// Tells its socket from those that had the slot before.
    pub(super) generation: u32,
    /// It is on the list of those that may have more to read; whether their end is near.
    pub(super) reread: Option<bool>,
}

/// What a socket is.
pub(super) enum State {
    /// Its request is not answered.
    Receiving(PendingRequest),
    /// A client.
    Open(Connection),
    /// Its last words are on their way.
    Closing(Box<ClosingSocket>),
    /// Nothing: between two of the others.
    Vacant,
}

impl Slot {
    /// A slot that is kept for a socket.
    pub(super) fn new(generation: u32) -> Slot {
        Slot { state: State::Vacant, generation, reread: None }
    }

    /// Takes the state out, to put another one in.
    pub(super) fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Vacant)
    }
}
