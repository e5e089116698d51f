//! SignalR without sockets: the session of a client as a state machine, and the encoding of messages. No I/O.

mod clock;
mod connection_id;
mod hub;
pub mod protocol;
mod session;
mod transport;

pub use clock::{Clock, Tick};
pub use connection_id::ConnectionId;
pub use hub::Hub;
pub use session::{CloseReason, Session, SessionConfig, SessionSink, TimeoutAction};
pub use transport::Transport;
