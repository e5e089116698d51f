//! A socket on its way out: what waits for it is written, then it is half-closed and read until the other side has closed
//! too. A socket that is closed with unread bytes in it is reset, and the reset eats the last words.

use std::io::{self, Read};

use super::outbox::Outbox;
use super::socket::Socket;
use crate::connection::Tick;

/// How many buffers of a client that goes on sending are taken before it is cut off.
const MAX_DRAIN_READS: usize = 64;

/// A socket that is written to no more than what waits.
pub(super) struct ClosingSocket {
    socket: Socket,
    outbox: Outbox,
    write_shut_down: bool,
    deadline: Tick,
}

impl ClosingSocket {
    /// Says the last words, until so long.
    pub(super) fn new(socket: Socket, outbox: Outbox, deadline: Tick) -> ClosingSocket {
        ClosingSocket { socket, outbox, write_shut_down: false, deadline }
    }

    /// When it is cut off.
    pub(super) fn deadline(&self) -> Tick {
        self.deadline
    }

    /// Says no more.
    pub(super) fn set_reset_on_close(&self) {
        self.socket.set_reset_on_close();
    }

    /// Goes on as far as the socket allows; true once there is nothing left to do.
    pub(super) fn drive(&mut self, buffer: &mut [u8], now: Tick) -> bool {
        if self.outbox.flush(&mut self.socket, now).is_err() {
            return true;
        }
        if self.outbox.is_empty() && !self.write_shut_down {
            self.write_shut_down = true;
            if self.socket.shutdown_write().is_err() {
                return true;
            }
        }
        // What comes in counts no more, but it has to be taken.
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
