//! What was handed to the reactors and is not written yet. Pure but for the receipts.

use std::collections::VecDeque;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// How many bytes may be under way.
const MOST: usize = 64 << 20;

/// What a message takes besides its bytes.
const OVERHEAD: usize = 512;

/// Deliveries under way, in their order.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: VecDeque<(usize, Receiver<usize>)>,
    bytes: usize,
    /// There was no room: until half of it is free, nothing more is taken.
    full: bool,
}

/// Whether there is room for more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is.
    Is,
    /// There is again, after something was dropped.
    IsAgain,
    /// There is none, for the first time.
    IsNoMore,
    /// There is none.
    IsNot,
}

impl Backlog {
    /// Whether there is room, once what is written is taken off.
    pub(super) fn room(&mut self) -> Room {
        while let Some((size, receipt)) = self.waiting.front_mut()
            && !matches!(receipt.try_recv(), Err(TryRecvError::Empty))
        {
            self.bytes -= *size;
            self.waiting.pop_front();
        }
        match (self.full, self.bytes) {
            (false, bytes) if bytes < MOST => Room::Is,
            (false, _) => {
                self.full = true;
                Room::IsNoMore
            }
            (true, bytes) if bytes <= MOST / 2 => {
                self.full = false;
                Room::IsAgain
            }
            (true, _) => Room::IsNot,
        }
    }

    /// So many bytes are under way until there is a receipt.
    pub(super) fn add(&mut self, bytes: usize, receipt: Receiver<usize>) {
        self.bytes += bytes + OVERHEAD;
        self.waiting.push_back((bytes + OVERHEAD, receipt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn what_does_not_fit_is_told_once_and_again_when_half_is_free() {
        let mut backlog = Backlog::default();
        let mut receipts = VecDeque::new();
        let mut count = 0;
        while backlog.room() == Room::Is {
            let (done, receipt) = oneshot::channel();
            backlog.add(1 << 20, receipt);
            receipts.push_back(done);
            count += 1;
        }
        assert_eq!(count, 64);
        assert_eq!(backlog.room(), Room::IsNot);
        let mut finish = |many: usize| receipts.drain(..many).for_each(|done| _ = done.send(1));
        finish(31);
        assert_eq!(backlog.room(), Room::IsNot);
        finish(2);
        assert_eq!((backlog.room(), backlog.room()), (Room::IsAgain, Room::Is));
        // A reactor that is gone writes nothing more.
        receipts.clear();
        assert_eq!((backlog.room(), backlog.bytes), (Room::Is, 0));
    }
}
