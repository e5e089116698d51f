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
            (true, _) => Room::IsNot,
        }
    }

    /// Waits until half of the room is free again, after there was none; for ever while there is room. May be dropped and
    /// called again.
    pub(super) async fn relieved(&mut self) {
        if !self.full {
            std::future::pending::<()>().await;
        }
        while let Some((size, receipt)) = self.waiting.front_mut()
            && self.bytes > MOST / 2
        {
            // A reactor that is gone writes nothing more.
            let _ = receipt.await;
            self.bytes -= *size;
            self.waiting.pop_front();
        }
        self.full = false;
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
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn backlog_overflow_ends_when_half_is_written() {
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
        assert!(backlog.relieved().now_or_never().is_none());
        assert_eq!(backlog.room(), Room::IsNot);
        // Nobody has to ask whether there is room: no message may come.
        let relieved = tokio::spawn(async move {
            backlog.relieved().await;
            backlog
        });
        finish(2);
        let mut backlog = relieved.await.expect("relieved");
        assert_eq!(backlog.room(), Room::Is);
        assert!(backlog.relieved().now_or_never().is_none(), "it is told once");
        // A reactor that is gone writes nothing more.
        receipts.clear();
        assert_eq!((backlog.room(), backlog.bytes), (Room::Is, 0));
    }
}
