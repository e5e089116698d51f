//! Bounds on the memory of incomplete requests, incomplete messages and closing sockets. At a bound the oldest are closed.

use crate::reactor::connections::slot::State;
use crate::reactor::event_loop::Reactor;
use crate::signalr::protocol::ProtocolError;
use crate::signalr::{CloseReason, Tick};

/// The most bytes of all incomplete request heads together.
const MAX_PARTIAL_HEAD_BYTES: usize = 64 * 1024 * 1024;

/// The most bytes of all incomplete messages together, on all reactors.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

const TOO_MANY_UNFINISHED: ProtocolError = ProtocolError("there are too many messages that are not whole");

impl Reactor {
    /// Removes the older half of the requests and closing sockets, to make room for new connections. Idle keep-alive connections
    /// go first. Returns how many were removed.
    pub(crate) fn evict_transient_sockets(&mut self) -> usize {
        let transient = self.slots.iter().filter_map(|(slot, entry)| match &entry.state {
            State::Receiving(request) if request.awaiting_token.is_none() => {
                Some((!request.is_idle(), request.deadline, slot))
            }
            State::Closing(closing) => Some((true, closing.deadline(), slot)),
            _ => None,
        });
        let mut transient: Vec<(bool, Tick, usize)> = transient.collect();
        transient.sort_unstable();
        let half = transient.len().div_ceil(2);
        transient.iter().take(half).for_each(|(.., slot)| _ = self.slots.remove(*slot));
        half
    }

    /// Adds to the bytes of incomplete heads, and removes the oldest if all of them are over the bound.
    pub(crate) fn account_head_bytes(&mut self, more: usize) {
        let Some(inbound) = &mut self.inbound else { return };
        inbound.head_bytes += more;
        if inbound.head_bytes <= MAX_PARTIAL_HEAD_BYTES {
            return;
        }
        // Completed and removed heads are not subtracted one by one: all are counted anew here.
        let heads = self.slots.iter().filter_map(|(slot, entry)| match &entry.state {
            State::Receiving(request) if request.awaiting_token.is_none() => {
                Some((request.deadline, slot, request.head.len()))
            }
            _ => None,
        });
        let (oldest, left) = oldest_above(heads.collect(), MAX_PARTIAL_HEAD_BYTES);
        inbound.head_bytes = left;
        for slot in oldest {
            self.shared.metrics.connects.inc("bad_request");
            self.slots.remove(slot);
        }
    }

    /// Adds to the bytes of incomplete messages, and closes the oldest if all of them are over the bound.
    pub(crate) fn account_message_bytes(&mut self, more: usize) {
        let max_bytes = MAX_UNFINISHED_BYTES / self.peers.len().max(1);
        self.unfinished_bytes += more;
        if self.unfinished_bytes <= max_bytes {
            return;
        }
        let messages = self.slots.iter().filter_map(|(slot, entry)| match &entry.state {
            State::Open(connection) => connection.unfinished().map(|(since, bytes)| (since, slot, bytes)),
            _ => None,
        });
        let (oldest, left) = oldest_above(messages.collect(), max_bytes);
        self.unfinished_bytes = left;
        oldest.into_iter().for_each(|slot| self.close(slot as u32, CloseReason::Protocol(TOO_MANY_UNFINISHED)));
    }
}

/// Returns the slots to close, oldest first, so that at most three quarters of `max_bytes` are left, and the bytes that are left.
/// Returns no slots if all are within `max_bytes`. Each entry is an age, a slot and its bytes.
fn oldest_above(mut all: Vec<(Tick, usize, usize)>, max_bytes: usize) -> (Vec<usize>, usize) {
    let mut left: usize = all.iter().map(|(.., bytes)| bytes).sum();
    let mut oldest = Vec::new();
    if left > max_bytes {
        all.sort_unstable();
        for (_, slot, bytes) in all {
            if left <= max_bytes / 4 * 3 {
                break;
            }
            left -= bytes;
            oldest.push(slot);
        }
    }
    (oldest, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_above_cuts_the_oldest_down_to_three_quarters() {
        let all = |bytes| vec![(Tick(3), 30, bytes), (Tick(1), 10, bytes), (Tick(2), 20, bytes), (Tick(4), 40, bytes)];
        assert_eq!(oldest_above(all(25), 100), (vec![], 100), "there is room");
        assert_eq!(oldest_above(all(26), 100), (vec![10, 20], 52));
        assert_eq!(oldest_above(all(1000), 100), (vec![10, 20, 30, 40], 0));
    }
}
