//! Pushes to many connections, written in chunks of one per turn, in order. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::delivery::{Audience, Delivery};
use crate::reactor::DeliveryAck;

/// The most connections that are written to per turn.
pub(crate) const FAN_OUT_CHUNK: usize = 256;

/// A push that is being written.
struct FanOutJob {
    delivery: Arc<Delivery>,
    /// `None` if no sender waits for it.
    ack: Option<Arc<DeliveryAck>>,
}

/// The queue of fan-outs. Only the first has a list of its connections, so that many pushes take no more memory than their
/// frames.
#[derive(Default)]
pub(crate) struct FanOutQueue {
    queue: VecDeque<FanOutJob>,
    /// What the first push is still to be written to. `None` before it has begun.
    left: Option<Members>,
}

/// The connections of an audience when a push to it began.
struct Members {
    /// Their slots, the next one last.
    slots: Vec<u32>,
    /// The generation of the latest socket then: a newer one in a slot is another connection's.
    generation: u32,
}

/// The next connections to write to.
pub(crate) struct Chunk {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) ack: Option<Arc<DeliveryAck>>,
    /// Some may have closed since the push began.
    pub(crate) slots: Vec<u32>,
    /// Sockets that are newer than this generation are of other connections.
    pub(crate) generation: u32,
    /// Whether this is the last chunk of its push.
    pub(crate) last: bool,
}

impl FanOutQueue {
    /// Returns whether no push is being written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a push to the end of the queue.
    pub(crate) fn push(&mut self, delivery: Arc<Delivery>, ack: Option<Arc<DeliveryAck>>) {
        self.queue.push_back(FanOutJob { delivery, ack });
    }

    /// Takes the next chunk. `members` returns the slots of an audience; it is called when a push begins. `generation` is the one
    /// of the latest socket now.
    pub(crate) fn next_chunk(&mut self, generation: u32, members: impl FnOnce(Audience) -> Vec<u32>) -> Option<Chunk> {
        let first = self.queue.front()?;
        let members = || Members { slots: members(first.delivery.audience), generation };
        let Members { slots: left, generation } = self.left.get_or_insert_with(members);
        let slots = left.split_off(left.len().saturating_sub(FAN_OUT_CHUNK));
        let last = left.is_empty();
        let (delivery, ack) = (first.delivery.clone(), first.ack.clone());
        let chunk = Chunk { delivery, ack, slots, generation: *generation, last };
        if last {
            self.left = None;
            self.queue.pop_front();
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Instant;

    use crate::signalr::protocol::Protocol;
    use crate::websocket::Frame;

    fn push(kind: u8) -> Arc<Delivery> {
        let frame = |protocol: Protocol| Frame::new(protocol, b"x");
        Arc::new(Delivery::new(Audience::None, kind, Instant::now(), frame))
    }

    fn slots(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    #[test]
    fn take_returns_every_connection_once_in_parts_and_pushes_in_order() {
        let mut fan_outs = FanOutQueue::default();
        let many = FAN_OUT_CHUNK as u32 + 10;
        [1, 2, 3].into_iter().for_each(|kind| fan_outs.push(push(kind), None));
        let mut counts = [many, 2, 0].into_iter();
        let mut chunks = Vec::new();
        let mut generation = 5;
        while let Some(chunk) = fan_outs.next_chunk(generation, |_| slots(counts.next().expect("asked once a push"))) {
            generation += 1;
            chunks.push((chunk.delivery.kind, chunk.slots, chunk.last, chunk.generation));
        }
        let sizes: Vec<_> = chunks.iter().map(|(kind, slots, last, _)| (*kind, slots.len(), *last)).collect();
        assert_eq!(
            sizes,
            [(Some(1), FAN_OUT_CHUNK, false), (Some(1), 10, true), (Some(2), 2, true), (Some(3), 0, true)]
        );
        let generations: Vec<u32> = chunks.iter().map(|(.., generation)| *generation).collect();
        assert_eq!(generations, [5, 5, 7, 8], "that of the push's beginning");
        let written: HashSet<u32> = chunks[0].1.iter().chain(&chunks[1].1).copied().collect();
        assert_eq!(written, slots(many).into_iter().collect());
        assert!(fan_outs.is_empty());
    }

    #[test]
    fn add_keeps_no_list_of_connections() {
        let mut fan_outs = FanOutQueue::default();
        (0..1000).for_each(|_| fan_outs.push(push(1), None));
        let _ = fan_outs.next_chunk(0, |_| slots(10_000));
        assert!(fan_outs.left.as_ref().is_some_and(|left| left.slots.len() == 10_000 - FAN_OUT_CHUNK));
        assert!(size_of::<FanOutJob>() <= 16);
    }
}
