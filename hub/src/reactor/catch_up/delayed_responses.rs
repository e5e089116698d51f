//! Responses to login requests that came before their clients, which are sent a moment after the handshake. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::delivery::Delivery;
use crate::signalr::{ConnectionId, Tick};

/// The responses of one reactor that wait.
#[derive(Default)]
pub(crate) struct DelayedResponses(VecDeque<(Tick, ConnectionId, Arc<Delivery>)>);

impl DelayedResponses {
    /// Adds a response to send to a connection at a tick, which is not before the last one's: all wait equally long.
    pub(crate) fn push(&mut self, due: Tick, id: ConnectionId, response: Arc<Delivery>) {
        self.0.push_back((due, id, response));
    }

    /// Returns when the next one is due.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        self.0.front().map(|(due, ..)| *due)
    }

    /// Takes the next one that is due by now. Its connection may be closed.
    pub(crate) fn take_due(&mut self, now: Tick) -> Option<(ConnectionId, Arc<Delivery>)> {
        self.0.front().filter(|(due, ..)| *due <= now)?;
        self.0.pop_front().map(|(_, id, response)| (id, response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use crate::delivery::Audience;
    use crate::signalr::protocol::Protocol;
    use crate::websocket::Frame;

    #[test]
    fn take_due_returns_due_responses_in_order() {
        let response = Arc::new(Delivery::new(Audience::None, 16, Instant::now(), |protocol: Protocol| {
            Frame::new(protocol, b"x")
        }));
        let mut responses = DelayedResponses::default();
        for (due, slot) in [(3, 2), (5, 1), (5, 3)] {
            responses.push(Tick(due), ConnectionId { slot, generation: 0 }, response.clone());
        }
        let mut slots =
            |now| std::iter::from_fn(|| responses.take_due(Tick(now))).map(|(id, _)| id.slot).collect::<Vec<_>>();
        assert_eq!((slots(2), slots(4), slots(9)), (vec![], vec![2], vec![1, 3]));
        assert_eq!(responses.next_due(), None);
    }
}
