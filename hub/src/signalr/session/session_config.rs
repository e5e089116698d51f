//! The timeouts and limits of sessions. No I/O.

use crate::config::SignalR;
use crate::signalr::{Hub, Tick};

/// The timeouts of a session in ticks, and its limits in bytes.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// The longest duration of the handshake.
    pub handshake_timeout: u32,
    /// The time without output after which a ping is due.
    pub keep_alive_interval: u32,
    /// The time without input after which a client that has pinged is disconnected.
    pub client_timeout_interval: u32,
    /// The time after which an incomplete message ends the connection.
    pub message_timeout: u32,
    /// The largest message of a client, including its framing.
    pub maximum_receive_message_size: usize,
}

/// The largest message on the anonymous hub, in bytes. Its clients need no token, and send only handshakes and pings.
const MAX_ANONYMOUS_MESSAGE_BYTES: usize = 1024;

impl SessionConfig {
    /// Returns the configuration for the sessions of the main hub.
    pub fn new(config: &SignalR) -> SessionConfig {
        SessionConfig {
            handshake_timeout: Tick::ticks_in(config.handshake_timeout),
            keep_alive_interval: Tick::ticks_in(config.keep_alive_interval),
            client_timeout_interval: Tick::ticks_in(config.client_timeout_interval),
            message_timeout: Tick::ticks_in(config.message_timeout),
            maximum_receive_message_size: config.maximum_receive_message_size,
        }
    }

    /// Returns the configuration for the sessions of a hub.
    pub fn for_hub(&self, hub: Hub) -> SessionConfig {
        match hub {
            Hub::Main => *self,
            Hub::Anonymous => SessionConfig {
                maximum_receive_message_size: self.maximum_receive_message_size.min(MAX_ANONYMOUS_MESSAGE_BYTES),
                ..*self
            },
        }
    }
}
