//! Pushes to many connections, written in chunks of one per turn, in order. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use super::DeliveryAck;
use crate::connection::ConnectionId;
use crate::delivery::{Audience, Delivery};

/// The most connections that are written to per turn.
pub(super) const FAN_OUT_CHUNK: usize = 256;

/// A push that is being written.
struct FanOutJob {
    delivery: Arc<Delivery>,
    /// `None` if no sender waits for it.
    ack: Option<Arc<DeliveryAck>>,
}

/// The queue of fan-outs. Only the first has a list of its connections, so that many pushes take no more memory than their
/// frames.
#[derive(Default)]
pub(super) struct FanOutQueue {
    queue: VecDeque<FanOutJob>,
    /// The connections that the first push is still to be written to, the next one last. `None` before it has begun.
    left: Option<Vec<ConnectionId>>,
}

/// The next connections to write to.
pub(super) struct Chunk {
    pub(super) delivery: Arc<Delivery>,
    pub(super) ack: Option<Arc<DeliveryAck>>,
    /// Some may have closed since the push began.
    pub(super) connections: Vec<ConnectionId>,
    /// Whether this is the last chunk of its push.
    pub(super) last: bool,
}

impl FanOutQueue {
    /// Returns whether no push is being written.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a push to the end of the queue.
    pub(super) fn push(&mut self, delivery: Arc<Delivery>, ack: Option<Arc<DeliveryAck>>) {
        self.queue.push_back(FanOutJob { delivery, ack });
    }

    /// Takes the next chunk. `members` returns the connections of an audience; it is called when a push begins.
    pub(super) fn next_chunk(&mut self, members: impl FnOnce(Audience) -> Vec<ConnectionId>) -> Option<Chunk> {
        let first = self.queue.front()?;
        let left = self.left.get_or_insert_with(|| members(first.delivery.audience));
        let connections = left.split_off(left.len().saturating_sub(FAN_OUT_CHUNK));
        let last = left.is_empty();
        let chunk = Chunk { delivery: first.delivery.clone(), ack: first.ack.clone(), connections, last };
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

    use crate::protocol::Protocol;
    use crate::transport::websocket::Frame;

    fn push(kind: u8) -> Arc<Delivery> {
        let frame = |protocol: Protocol| Frame::new(protocol, b"x");
        Arc::new(Delivery::new(Audience::Nobody, kind, Instant::now(), frame))
    }

    fn connections(count: u32) -> Vec<ConnectionId> {
        (0..count).map(|slot| ConnectionId { slot, generation: slot }).collect()
    }

    #[test]
    fn take_returns_every_connection_once_in_parts_and_pushes_in_order() {
        let mut fan_outs = FanOutQueue::default();
        let many = FAN_OUT_CHUNK as u32 + 10;
        [1, 2, 3].into_iter().for_each(|kind| fan_outs.push(push(kind), None));
        let mut counts = [many, 2, 0].into_iter();
        let mut chunks = Vec::new();
        while let Some(chunk) = fan_outs.next_chunk(|_| connections(counts.next().expect("asked once a push"))) {
            chunks.push((chunk.delivery.kind, chunk.connections, chunk.last));
        }
        let sizes: Vec<_> = chunks.iter().map(|(kind, connections, last)| (*kind, connections.len(), *last)).collect();
        assert_eq!(
            sizes,
            [(Some(1), FAN_OUT_CHUNK, false), (Some(1), 10, true), (Some(2), 2, true), (Some(3), 0, true)]
        );
        let written: HashSet<ConnectionId> = chunks[0].1.iter().chain(&chunks[1].1).copied().collect();
        assert_eq!(written, connections(many).into_iter().collect());
        assert!(fan_outs.is_empty());
    }

    #[test]
    fn add_keeps_no_list_of_connections() {
        let mut fan_outs = FanOutQueue::default();
        (0..1000).for_each(|_| fan_outs.push(push(1), None));
        let _ = fan_outs.next_chunk(|_| connections(10_000));
        assert!(fan_outs.left.as_ref().is_some_and(|left| left.len() == 10_000 - FAN_OUT_CHUNK));
        assert!(size_of::<FanOutJob>() <= 16);
    }
}
