//! The action for a timeout of a session that has passed.

use super::close_reason::CloseReason;
use crate::signalr::protocol::Protocol;

/// The action for a timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeoutAction {
    /// Send a ping in the session's protocol.
    SendPing(Protocol),
    /// Close the session.
    Close(CloseReason),
}
