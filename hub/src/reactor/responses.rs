//! Answers to login requests that may come before their clients (`decisions.md` 5). Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use uuid::Uuid;

use crate::connection::Tick;
use crate::delivery::Delivery;

/// How many answers one reactor keeps.
const MOST: usize = 10_000;

/// The latest answer to each request, for as long as a client may be late.
pub(super) struct Responses {
    kept: HashMap<Uuid, (Tick, Arc<Delivery>)>,
    order: VecDeque<(Tick, Uuid)>,
    ticks: u32,
}

impl Responses {
    /// Keeps answers for so many ticks.
    pub(super) fn new(ticks: u32) -> Responses {
        Responses { kept: HashMap::default(), order: VecDeque::new(), ticks }
    }

    /// Keeps an answer; the oldest goes if there is no room.
    pub(super) fn keep(&mut self, request: Uuid, delivery: Arc<Delivery>, now: Tick) {
        self.forget(now);
        if self.order.len() >= MOST {
            self.drop_oldest();
        }
        self.kept.insert(request, (now, delivery));
        self.order.push_back((now, request));
    }

    /// The answer to a request, if it came lately.
    pub(super) fn find(&mut self, request: Uuid, now: Tick) -> Option<Arc<Delivery>> {
        self.forget(now);
        self.kept.get(&request).map(|(_, delivery)| delivery.clone())
    }

    /// Whether an answer to a request is the one that came last.
    pub(super) fn is_latest(&self, request: Uuid, response: &Arc<Delivery>) -> bool {
        self.kept.get(&request).is_some_and(|(_, latest)| Arc::ptr_eq(latest, response))
    }

    fn forget(&mut self, now: Tick) {
        while self.order.front().is_some_and(|(kept, _)| kept.after(self.ticks) <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((kept, request)) = self.order.pop_front()
            && self.kept.get(&request).is_some_and(|(current, _)| *current == kept)
        {
            self.kept.remove(&request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use crate::delivery::Audience;
    use crate::transport::websocket::Frame;

    fn delivery(kind: u8) -> Arc<Delivery> {
        Arc::new(Delivery::new(Audience::Nobody, kind, Instant::now(), |protocol| Frame::new(protocol, b"x")))
    }

    #[test]
    fn find_returns_the_latest_response_until_its_ttl() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut responses = Responses::new(20);
        responses.keep(one, delivery(1), Tick(0));
        responses.keep(one, delivery(2), Tick(10));
        responses.keep(other, delivery(3), Tick(15));
        let kind = |found: Option<Arc<Delivery>>| found.map(|delivery| delivery.kind);
        assert_eq!(kind(responses.find(one, Tick(29))), Some(Some(2)));
        assert_eq!(kind(responses.find(one, Tick(30))), None);
        assert_eq!(kind(responses.find(other, Tick(30))), Some(Some(3)));
    }

    #[test]
    fn keep_above_the_maximum_drops_the_oldest_response() {
        let mut responses = Responses::new(20);
        for number in 0..=MOST as u128 {
            responses.keep(Uuid::from_u128(number), delivery(0), Tick(0));
        }
        assert!(responses.find(Uuid::from_u128(0), Tick(0)).is_none());
        assert!(responses.find(Uuid::from_u128(MOST as u128), Tick(0)).is_some());
    }
}
