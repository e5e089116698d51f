//! A reactor's connections: the slots of its sockets (`slot`), what an open one holds (`connection`, `outbox`), how one is added,
//! read, written and closed (`lifecycle`, `closing_socket`), and who is to be found where (`registry`).

pub(crate) mod closing_socket;
pub(crate) mod connection;
mod lifecycle;
pub(crate) mod outbox;
pub(crate) mod registry;
pub(crate) mod slot;
pub(crate) mod socket;
