//! The output of a session, which its transport writes.

use crate::signalr::protocol::Protocol;

/// Receives what a session produces. The transport frames and writes it.
pub trait SessionSink {
    /// Handles a successful handshake. Called before its response is written, so that the client is registered by then.
    fn handshake_complete(&mut self, protocol: Protocol);
    /// Handles that [`Session::next_timeout`] has become earlier.
    fn timeout_changed(&mut self) {}
    /// Writes one message in the session's protocol.
    fn write_message(&mut self, protocol: Protocol, body: &[u8]);
}
