//! A push on its way to the connections: its audience and its encoded frames. No I/O.

pub mod route;

use std::time::Instant;

use uuid::Uuid;

use crate::notification::{ClientType, Device, PushType};
use crate::signalr::Hub;
use crate::signalr::protocol::{self, Protocol, ServerMessage};
use crate::websocket::Frame;

/// The connections that a push is for. [`ClientType::All`] does not restrict them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// No connection: the push names no target.
    None,
    /// The connections of a user.
    User(Uuid, ClientType),
    /// The connections of the members of an organization.
    Organization(Uuid, ClientType),
    /// All connections, if the hub serves this installation.
    Installation(Uuid, ClientType),
    /// The connections on the anonymous hub that wait for the answer to this login request.
    LoginRequest(Uuid),
    /// All connections of a hub.
    All(Hub),
}

impl Audience {
    /// Returns the client type that the audience is restricted to, or [`ClientType::All`].
    pub fn client_type(self) -> ClientType {
        match self {
            Audience::None | Audience::LoginRequest(_) | Audience::All(_) => ClientType::All,
            Audience::User(_, client_type)
            | Audience::Organization(_, client_type)
            | Audience::Installation(_, client_type) => client_type,
        }
    }
}

/// A push with its audience, encoded once for each protocol.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The connections that it is for.
    pub audience: Audience,
    /// The number of the push type, or `None` if an upstream server published it and its frames do not name the type.
    pub kind: Option<u8>,
    /// The device that caused the push and ignores it.
    pub device: Option<Device>,
    /// When this hub received the push.
    pub since: Instant,
    /// Whether a `SyncVault` may replace it in the queue of a slow client.
    pub coalescible: bool,
    /// Whether a client that missed it gets a `SyncVault`.
    pub covered: bool,
    frames: [Option<Frame>; 2],
}

impl Delivery {
    /// Creates a delivery. `frame` encodes it for a protocol.
    pub fn new(audience: Audience, kind: u8, since: Instant, mut frame: impl FnMut(Protocol) -> Frame) -> Delivery {
        Delivery::from_frames(audience, Some(kind), since, |protocol| Some(frame(protocol)))
    }

    /// Creates a delivery that another server published. It may lack the frame of a protocol, or the type.
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

    /// Creates a `Heartbeat` invocation for all connections of the main hub. It is not a push.
    pub fn heartbeat() -> Delivery {
        let frame = |protocol| Some(Frame::new(protocol, &protocol::encode(protocol, ServerMessage::Heartbeat)));
        Delivery::from_frames(Audience::All(Hub::Main), None, Instant::now(), frame)
    }

    /// Sets the device that caused the push.
    pub fn with_device(mut self, device: Option<Device>) -> Delivery {
        self.device = device;
        self
    }

    /// Returns the frame for a protocol. `None` is possible only for a delivery that another server published.
    pub fn frame(&self, protocol: Protocol) -> Option<&Frame> {
        self.frames[protocol as usize].as_ref()
    }
}
