//! What travels from the route to the sockets: for whom, and the finished frames.

use std::time::Instant;

use uuid::Uuid;

use crate::notification::ClientType;
use crate::protocol::Protocol;
use crate::transport::websocket::Frame;

/// For whom a push is, narrowed to one kind of client unless that is [`ClientType::All`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Nobody: it names no target.
    Nobody,
    /// The connections of a user.
    User(Uuid, ClientType),
    /// The connections of an organisation's members.
    Organization(Uuid, ClientType),
    /// Every connection, if the hub serves this installation.
    Installation(Uuid, ClientType),
}

/// A push on its way, encoded once for each protocol.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For whom.
    pub audience: Audience,
    /// The push's type.
    pub kind: u8,
    /// Whether a `SyncVault` makes up for it.
    pub collapsible: bool,
    /// When the hub took it.
    pub since: Instant,
    frames: [Frame; 2],
}

impl Delivery {
    /// A delivery with its frames, which `frame` makes for each protocol.
    pub fn new(
        audience: Audience,
        kind: u8,
        collapsible: bool,
        since: Instant,
        frame: impl FnMut(Protocol) -> Frame,
    ) -> Delivery {
        Delivery { audience, kind, collapsible, since, frames: Protocol::EVERY.map(frame) }
    }

    /// The frame for a protocol.
    pub fn frame(&self, protocol: Protocol) -> &Frame {
        &self.frames[protocol as usize]
    }
}
