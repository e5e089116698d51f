//! The id of a connection.

/// The id of a connection in its reactor. Slots are reused, so the generation distinguishes the connections of one slot: a
/// command for a connection that has ended does not reach the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The index in the reactor's slab.
    pub slot: u32,
    /// The number of the reactor's socket. Wraps after 2^32 sockets.
    pub generation: u32,
}
