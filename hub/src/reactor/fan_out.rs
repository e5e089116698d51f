//! Pushes to many connections that are under way: each is written a part a turn, in the order in which they came. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Receipt;
use crate::connection::ConnectionId;
use crate::delivery::{Audience, Delivery};

/// How many connections are written to before everything else has its turn.
pub(super) const PART: usize = 256;

/// A push under way.
struct FanOut {
    delivery: Arc<Delivery>,
    /// `None` for what no sender waits for.
    receipt: Option<Arc<Receipt>>,
}

/// All that are under way. Only the first has a list of its connections, so that many pushes to many take no more room than
/// their frames.
#[derive(Default)]
pub(super) struct FanOuts {
    queue: VecDeque<FanOut>,
    /// The connections that the first one is still to be written to, the next one last; `None` before it has begun.
    left: Option<Vec<ConnectionId>>,
}

/// What is to be written next.
pub(super) struct Part {
    pub(super) delivery: Arc<Delivery>,
    pub(super) receipt: Option<Arc<Receipt>>,
    /// Some may have gone since the push began.
    pub(super) connections: Vec<ConnectionId>,
    /// There is nothing left of the push behind this.
    pub(super) last: bool,
}

impl FanOuts {
    /// Returns whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a push behind those that are under way.
    pub(super) fn add(&mut self, delivery: Arc<Delivery>, receipt: Option<Arc<Receipt>>) {
        self.queue.push_back(FanOut { delivery, receipt });
    }

    /// Takes the next part. `members` tells the connections of an audience when a push to it begins.
    pub(super) fn take(&mut self, members: impl FnOnce(Audience) -> Vec<ConnectionId>) -> Option<Part> {
        let first = self.queue.front()?;
        let left = self.left.get_or_insert_with(|| members(first.delivery.audience));
        let connections = left.split_off(left.len().saturating_sub(PART));
        let last = left.is_empty();
        let part = Part { delivery: first.delivery.clone(), receipt: first.receipt.clone(), connections, last };
        if last {
            self.left = None;
            self.queue.pop_front();
        }
        Some(part)
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
        let mut fan_outs = FanOuts::default();
        let many = PART as u32 + 10;
        [1, 2, 3].into_iter().for_each(|kind| fan_outs.add(push(kind), None));
        let mut counts = [many, 2, 0].into_iter();
        let mut parts = Vec::new();
        while let Some(part) = fan_outs.take(|_| connections(counts.next().expect("asked once a push"))) {
            parts.push((part.delivery.kind, part.connections, part.last));
        }
        let sizes: Vec<_> = parts.iter().map(|(kind, connections, last)| (*kind, connections.len(), *last)).collect();
        assert_eq!(sizes, [(Some(1), PART, false), (Some(1), 10, true), (Some(2), 2, true), (Some(3), 0, true)]);
        let written: HashSet<ConnectionId> = parts[0].1.iter().chain(&parts[1].1).copied().collect();
        assert_eq!(written, connections(many).into_iter().collect());
        assert!(fan_outs.is_empty());
    }

    #[test]
    fn add_keeps_no_list_of_connections() {
        let mut fan_outs = FanOuts::default();
        (0..1000).for_each(|_| fan_outs.add(push(1), None));
        let _ = fan_outs.take(|_| connections(10_000));
        assert!(fan_outs.left.as_ref().is_some_and(|left| left.len() == 10_000 - PART));
        assert!(size_of::<FanOut>() <= 16);
    }
}
