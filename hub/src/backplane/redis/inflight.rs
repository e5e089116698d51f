//! Bounds the deliveries that were sent to the reactors and are not written yet. No I/O.

use std::collections::VecDeque;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// The most bytes in flight.
const MAX_INFLIGHT_BYTES: usize = 64 << 20;

/// The memory that a message takes besides its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// Deliveries in flight, in order.
#[derive(Default)]
pub(super) struct InflightDeliveries {
    pending: VecDeque<(usize, Receiver<usize>)>,
    bytes: usize,
    /// Whether messages are dropped, until half of the bytes are written.
    full: bool,
}

/// Whether a message is admitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is admitted.
    Accept,
    /// It is the first that is dropped.
    Overflowed,
    /// It is dropped.
    Dropping,
}

impl InflightDeliveries {
    /// Returns whether the next message is admitted.
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

    /// Waits until messages are admitted again after an overflow; for ever without one. Cancel-safe.
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

    /// Adds a delivery of `bytes` bytes, in flight until `reached` resolves.
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
    async fn backlog_overflow_ends_when_half_is_written() {
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
