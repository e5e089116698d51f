//! What was handed to the reactors and is not written yet. Pure but for the receipts.

use std::collections::VecDeque;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// How many bytes may be under way.
const MAX_INFLIGHT_BYTES: usize = 64 << 20;

/// What a message takes besides its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// Deliveries under way, in their order.
#[derive(Default)]
pub(super) struct InflightDeliveries {
    pending: VecDeque<(usize, Receiver<usize>)>,
    bytes: usize,
    /// There was no room: until half of it is free, nothing more is taken.
    full: bool,
}

/// Whether there is room for more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There is.
    Accept,
    /// There is none, for the first time.
    Overflowed,
    /// There is none.
    Dropping,
}

impl InflightDeliveries {
    /// Whether there is room, once what is written is taken off.
    pub(super) fn admit(&mut self) -> Admission {
        while let Some((size, reached)) = self.pending.front_mut()
            && !matches!(reached.try_recv(), Err(TryRecvError::Empty))
        {
            self.bytes -= *size;
            self.pending.pop_front();
        }
        match (self.full, self.bytes) {
            (false, bytes) if bytes < MAX_INFLIGHT_BYTES => Admission::Accept,
            (false, _) => {
                self.full = true;
                Admission::Overflowed
            }
            (true, _) => Admission::Dropping,
        }
    }

    /// Waits until half of the room is free again, after there was none; for ever while there is room. May be dropped and
    /// called again.
    pub(super) async fn resumed(&mut self) {
        if !self.full {
            std::future::pending::<()>().await;
        }
        while let Some((size, reached)) = self.pending.front_mut()
            && self.bytes > MAX_INFLIGHT_BYTES / 2
        {
            // A reactor that is gone writes nothing more.
            let _ = reached.await;
            self.bytes -= *size;
            self.pending.pop_front();
        }
        self.full = false;
    }

    /// So many bytes are under way until there is a receipt.
    pub(super) fn add(&mut self, bytes: usize, reached: Receiver<usize>) {
        self.bytes += bytes + MESSAGE_OVERHEAD_BYTES;
        self.pending.push_back((bytes + MESSAGE_OVERHEAD_BYTES, reached));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn backlog_overflow_ends_by_itself_when_half_is_written() {
        let mut inflight = InflightDeliveries::default();
        let mut acks = VecDeque::new();
        let mut count = 0;
        while inflight.admit() == Admission::Accept {
            let (done, reached) = oneshot::channel();
            inflight.add(1 << 20, reached);
            acks.push_back(done);
            count += 1;
        }
        assert_eq!(count, 64);
        assert_eq!(inflight.admit(), Admission::Dropping);
        let mut finish = |many: usize| acks.drain(..many).for_each(|done| _ = done.send(1));
        finish(31);
        assert!(inflight.resumed().now_or_never().is_none());
        assert_eq!(inflight.admit(), Admission::Dropping);
        // Nobody has to ask whether there is room: no message may come.
        let relieved = tokio::spawn(async move {
            inflight.resumed().await;
            inflight
        });
        finish(2);
        let mut inflight = relieved.await.expect("relieved");
        assert_eq!(inflight.admit(), Admission::Accept);
        assert!(inflight.resumed().now_or_never().is_none(), "it is told once");
        // A reactor that is gone writes nothing more.
        acks.clear();
        assert_eq!((inflight.admit(), inflight.bytes), (Admission::Accept, 0));
    }
}
