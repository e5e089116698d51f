//! What those may take who are no clients yet, or no longer, or have not said what they mean to say: all of them together have a bound, at
//! which the oldest go.

use super::event_loop::Reactor;
use super::slot::State;
use crate::connection::{CloseReason, Tick};
use crate::protocol::ProtocolError;

/// How many bytes all heads that are not whole may take together.
const MAX_PARTIAL_HEAD_BYTES: usize = 64 * 1024 * 1024;

/// How many bytes all messages that are not whole may take together, on all reactors.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

const TOO_MANY_UNFINISHED: ProtocolError = ProtocolError("there are too many messages that are not whole");

impl Reactor {
    /// Cuts off the older half of those who are no clients yet or no longer, so that others get a word in: first who is kept for a
    /// request of which nothing has come. Gives how many that were.
    pub(super) fn evict_transient_sockets(&mut self) -> usize {
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

    /// Notes that heads which are not whole take so many bytes more, and cuts the oldest where all of them take too many.
    pub(super) fn account_head_bytes(&mut self, more: usize) {
        let Some(inbound) = &mut self.inbound else { return };
        inbound.head_bytes += more;
        if inbound.head_bytes <= MAX_PARTIAL_HEAD_BYTES {
            return;
        }
        // Those that became whole or left were not counted off: now all are counted.
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

    /// The same for messages of clients.
    pub(super) fn account_message_bytes(&mut self, more: usize) {
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

/// Returns the slots that are to go where all together take more than `max_bytes` bytes: the oldest, so that three quarters are left; and
/// how many bytes are left. Each entry is an age, a slot and its bytes.
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
