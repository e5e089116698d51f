//! What tells the connections of one reactor apart.

/// A connection of one reactor: its slot, and which of the sockets that had this slot, one after the other, it is. Something
/// that is kept for a connection can therefore never reach the next one in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The place in the reactor's slab.
    pub slot: u32,
    /// Counts the reactor's sockets, and wraps after 2^32 of them.
    pub generation: u32,
}
