//! Writes a push to the connections that it is for: to few at once, to many in chunks, one chunk a turn (`queue`).

mod deliver;
pub(crate) mod queue;
