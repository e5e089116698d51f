//! What travels from the route to the sockets: for whom, and the finished frames.

pub mod route;

use std::time::Instant;

use uuid::Uuid;

use crate::notification::{ClientType, Device, PushType};
use crate::signalr::Hub;
use crate::signalr::protocol::{self, Protocol, ServerMessage};
use crate::websocket::Frame;

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
    /// Who waits for the answer to this login request, on the anonymous hub.
    LoginRequest(Uuid),
    /// Every connection of a hub.
    Everyone(Hub),
}

impl Audience {
    /// The kind of client that it is narrowed to.
    pub fn client_type(self) -> ClientType {
        match self {
            Audience::Nobody | Audience::LoginRequest(_) | Audience::Everyone(_) => ClientType::All,
            Audience::User(_, wanted) | Audience::Organization(_, wanted) | Audience::Installation(_, wanted) => wanted,
        }
    }
}

/// A push on its way, encoded once for each protocol.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For whom.
    pub audience: Audience,
    /// The push's type; nothing if it came from another server and its frames do not tell.
    pub kind: Option<u8>,
    /// The device that caused it and will ignore it.
    pub device: Option<Device>,
    /// When the hub took it.
    pub since: Instant,
    /// Whether a `SyncVault` may take its place in the queue of a slow client.
    pub coalescible: bool,
    /// Whether a `SyncVault` makes up for it to who was away.
    pub covered: bool,
    frames: [Option<Frame>; 2],
}

impl Delivery {
    /// A delivery with its frames, which `frame` makes for each protocol.
    pub fn new(audience: Audience, kind: u8, since: Instant, mut frame: impl FnMut(Protocol) -> Frame) -> Delivery {
        Delivery::from_frames(audience, Some(kind), since, |protocol| Some(frame(protocol)))
    }

    /// A delivery as another server made it: it may lack a protocol, or a type.
    pub fn from_frames(
        audience: Audience,
        kind: Option<u8>,
        since: Instant,
        frame: impl FnMut(Protocol) -> Option<Frame>,
    ) -> Delivery {
        let push_type = kind.and_then(PushType::from_number);
        Delivery {
            audience,
            kind,
            device: None,
            since,
            coalescible: push_type.is_some_and(|push_type| push_type.coalescible),
            covered: push_type.is_some_and(|push_type| push_type.covered),
            frames: Protocol::VARIANTS.map(frame),
        }
    }

    /// The application's Heartbeat, which is for everybody on the main hub and no push.
    pub fn heartbeat() -> Delivery {
        let frame = |protocol| Some(Frame::new(protocol, &protocol::encode(protocol, ServerMessage::Heartbeat)));
        Delivery::from_frames(Audience::Everyone(Hub::Main), None, Instant::now(), frame)
    }

    /// The same, caused by a device.
    pub fn with_device(mut self, device: Option<Device>) -> Delivery {
        self.device = device;
        self
    }

    /// The frame for a protocol; only what another server published may lack one.
    pub fn frame(&self, protocol: Protocol) -> Option<&Frame> {
        self.frames[protocol as usize].as_ref()
    }
}
