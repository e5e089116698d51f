//! What clients have begun to say and not ended: all of it together has a bound, at which the oldest go.

use super::event_loop::Reactor;
use super::slot::State;
use crate::connection::{Ending, Tick};
use crate::protocol::ProtocolError;

/// How many bytes messages that are not whole may take together, on all reactors, and what is left of them after a cut.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

const NO_ROOM: ProtocolError = ProtocolError("there are too many messages that are not whole");

impl Reactor {
    /// Notes that messages which are not whole take so many bytes more, and cuts the oldest where all of them take too many.
    pub(super) fn note_unfinished(&mut self, more: usize) {
        let most = MAX_UNFINISHED_BYTES / self.peers.len().max(1);
        self.unfinished += more;
        if self.unfinished <= most {
            return;
        }
        // Those that became whole or left were not counted off: now all are counted.
        let unfinished = self.slots.iter().filter_map(|(slot, entry)| match &entry.state {
            State::Open(connection) => connection.unfinished().map(|(since, bytes)| (since, slot as u32, bytes)),
            _ => None,
        });
        let mut unfinished: Vec<(Tick, u32, usize)> = unfinished.collect();
        let mut bytes: usize = unfinished.iter().map(|(.., bytes)| bytes).sum();
        if bytes > most {
            unfinished.sort_unstable();
            for (_, slot, own) in unfinished {
                if bytes <= most / 4 * 3 {
                    break;
                }
                bytes -= own;
                self.end(slot, Ending::Protocol(NO_ROOM));
            }
        }
        self.unfinished = bytes;
    }
}
