//! What a session asks for when one of its timeouts has passed.

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
