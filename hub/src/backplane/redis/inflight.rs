//! Bounds the deliveries that the `subscriber` task has passed to the reactors and that are not written yet. No I/O.

use std::collections::VecDeque;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// The most bytes in flight.
const MAX_INFLIGHT_BYTES: usize = 64 << 20;

/// The memory that a message takes in addition to its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// Deliveries in flight, in order.
#[derive(Default)]
pub(super) struct InflightDeliveries {
    pending: VecDeque<(usize, Receiver<usize>)>,
    bytes: usize,
    /// `true` while messages are dropped, from an overflow until half of the bytes are written.
    full: bool,
}

/// The decision about a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The message is passed on.
    Accept,
    /// The message is dropped, as the first one of an overflow.
    Overflowed,
    /// The message is dropped.
    Dropping,
}

impl InflightDeliveries {
    /// Decides about the next message.
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

    /// Waits until messages are accepted again after an overflow. Never returns without an overflow. Cancel-safe.
    pub(super) async fn resumed(&mut self) {
        if !self.full {
            std::future::pending::<()>().await;
        }
        while let Some((size, reached)) = self.pending.front_mut()
            && self.bytes > MAX_INFLIGHT_BYTES / 2
        {
            // An error means that a reactor has ended, which counts as written.
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
    async fn inflight_overflow_ends_when_half_is_written() {
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
        // It resolves without a further message.
        let resumed = tokio::spawn(async move {
            inflight.resumed().await;
            inflight
        });
        finish(2);
        let mut inflight = resumed.await.expect("resumed");
        assert_eq!(inflight.admit(), Admission::Accept);
        assert!(inflight.resumed().now_or_never().is_none(), "it resolves once");
        // The deliveries of reactors that have ended count as written.
        acks.clear();
        assert_eq!((inflight.admit(), inflight.bytes), (Admission::Accept, 0));
    }
}
