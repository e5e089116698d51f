//! A lingering close: writes the queued bytes, half-closes the socket, and reads until the peer has closed too. Closing a
//! socket with unread bytes resets it, and a reset discards bytes that the peer has not read.

use std::io::{self, Read};

use super::outbox::Outbox;
use super::socket::Socket;
use crate::signalr::Tick;

/// How many buffers are read from a client that goes on sending before it is cut off.
const MAX_DRAIN_READS: usize = 64;

/// A socket that is being closed.
pub(crate) struct ClosingSocket {
    socket: Socket,
    outbox: Outbox,
    write_shut_down: bool,
    deadline: Tick,
}

impl ClosingSocket {
    /// Starts closing a socket: `outbox` holds its final bytes. Gives up at `deadline`.
    pub(crate) fn new(socket: Socket, outbox: Outbox, deadline: Tick) -> ClosingSocket {
        ClosingSocket { socket, outbox, write_shut_down: false, deadline }
    }

    /// Returns when the close is given up.
    pub(crate) fn deadline(&self) -> Tick {
        self.deadline
    }

    /// Makes the socket send a reset when it is dropped.
    pub(crate) fn set_reset_on_close(&self) {
        self.socket.set_reset_on_close();
    }

    /// Writes and reads as far as the socket allows. Returns `true` once the close is done.
    pub(crate) fn drive(&mut self, buffer: &mut [u8], now: Tick) -> bool {
        if self.outbox.flush(&mut self.socket, now).is_err() {
            return true;
        }
        if self.outbox.is_empty() && !self.write_shut_down {
            self.write_shut_down = true;
            if self.socket.shutdown_write().is_err() {
                return true;
            }
        }
        // Discarded, but unread bytes would turn the close into a reset.
        for _ in 0..MAX_DRAIN_READS {
            match self.socket.read(buffer) {
                Ok(0) => return self.outbox.is_empty(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        true
    }
}
