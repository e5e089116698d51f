//! Pushes to many clients that are under way: each is written a part a turn, in the order in which they came. Pure.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Receipt;
use crate::delivery::Delivery;

/// How many clients are written to before everything else has its turn.
pub(super) const PART: usize = 256;

/// A push under way.
struct FanOut {
    delivery: Arc<Delivery>,
    /// Nothing for what nobody waits for.
    receipt: Option<Arc<Receipt>>,
    /// Everybody that it is for, and how many have been written to.
    slots: Vec<u32>,
    written: usize,
    /// Slots whose clients have left since: somebody else may be there by now.
    gone: HashSet<u32>,
}

/// All that are under way.
#[derive(Default)]
pub(super) struct FanOuts(VecDeque<FanOut>);

/// What is to be written next.
pub(super) struct Part {
    pub(super) delivery: Arc<Delivery>,
    pub(super) receipt: Option<Arc<Receipt>>,
    pub(super) slots: Vec<u32>,
    /// There is nothing left of the push behind this.
    pub(super) last: bool,
}

impl FanOuts {
    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A push to the clients in these slots, behind those that are under way.
    pub(super) fn add(&mut self, delivery: Arc<Delivery>, receipt: Option<Arc<Receipt>>, slots: Vec<u32>) {
        self.0.push_back(FanOut { delivery, receipt, slots, written: 0, gone: HashSet::new() });
    }

    /// A client has left: what is under way is not for whoever comes to its slot.
    pub(super) fn forget(&mut self, slot: u32) {
        for fan_out in &mut self.0 {
            fan_out.gone.insert(slot);
        }
    }

    /// Takes the next part.
    pub(super) fn take(&mut self) -> Option<Part> {
        let first = self.0.front_mut()?;
        let from = first.written;
        first.written = first.slots.len().min(from + PART);
        let mut slots = first.slots[from..first.written].to_vec();
        if !first.gone.is_empty() {
            slots.retain(|slot| !first.gone.contains(slot));
        }
        let last = first.written == first.slots.len();
        let part = Part { delivery: first.delivery.clone(), receipt: first.receipt.clone(), slots, last };
        if last {
            self.0.pop_front();
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use crate::delivery::Audience;
    use crate::protocol::Protocol;
    use crate::transport::websocket::Frame;

    fn push(kind: u8) -> Arc<Delivery> {
        let frame = |protocol: Protocol| Frame::new(protocol, b"x");
        Arc::new(Delivery::new(Audience::Nobody, kind, Instant::now(), frame))
    }

    fn parts(fan_outs: &mut FanOuts) -> Vec<(u8, Vec<u32>, bool)> {
        std::iter::from_fn(|| fan_outs.take())
            .map(|part| (part.delivery.kind.unwrap_or_default(), part.slots, part.last))
            .collect()
    }

    #[test]
    fn everybody_is_written_to_once_in_parts_and_in_order() {
        let mut fan_outs = FanOuts::default();
        let many = PART as u32 + 10;
        fan_outs.add(push(1), None, (0..many).collect());
        fan_outs.add(push(2), None, vec![7, 8]);
        fan_outs.add(push(3), None, vec![]);
        let expected = [
            (1, (0..PART as u32).collect(), false),
            (1, (PART as u32..many).collect(), true),
            (2, vec![7, 8], true),
            (3, vec![], true),
        ];
        assert_eq!(parts(&mut fan_outs), expected);
        assert!(fan_outs.is_empty());
    }

    #[test]
    fn who_comes_to_the_slot_of_somebody_else_gets_nothing() {
        let mut fan_outs = FanOuts::default();
        fan_outs.add(push(1), None, vec![1, 2, 3]);
        fan_outs.forget(2);
        fan_outs.add(push(2), None, vec![1, 2, 3]);
        assert_eq!(parts(&mut fan_outs), [(1, vec![1, 3], true), (2, vec![1, 2, 3], true)]);
    }
}
