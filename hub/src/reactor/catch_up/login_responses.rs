//! A cache of responses to login requests, for clients that connect after the response was pushed. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use uuid::Uuid;

use crate::delivery::Delivery;
use crate::signalr::Tick;

/// The most responses that one reactor keeps.
const MAX_RESPONSES: usize = 10_000;

/// The latest response to each request, until it expires.
pub(crate) struct LoginResponses {
    entries: HashMap<Uuid, (Tick, Arc<Delivery>)>,
    order: VecDeque<(Tick, Uuid)>,
    ttl: u32,
}

impl LoginResponses {
    /// Creates a cache whose entries expire after `ttl` ticks.
    pub(crate) fn new(ttl: u32) -> LoginResponses {
        LoginResponses { entries: HashMap::default(), order: VecDeque::new(), ttl }
    }

    /// Inserts a response. Evicts the oldest if there is no room.
    pub(crate) fn insert(&mut self, request: Uuid, delivery: Arc<Delivery>, now: Tick) {
        self.evict_expired(now);
        if self.order.len() >= MAX_RESPONSES {
            self.evict_oldest();
        }
        self.entries.insert(request, (now, delivery));
        self.order.push_back((now, request));
    }

    /// Returns the response to a request, or `None` if there is none or it has expired.
    pub(crate) fn get(&mut self, request: Uuid, now: Tick) -> Option<Arc<Delivery>> {
        self.evict_expired(now);
        self.entries.get(&request).map(|(_, delivery)| delivery.clone())
    }

    /// Returns whether a response is the latest one to its request.
    pub(crate) fn is_current(&self, request: Uuid, response: &Arc<Delivery>) -> bool {
        self.entries.get(&request).is_some_and(|(_, latest)| Arc::ptr_eq(latest, response))
    }

    fn evict_expired(&mut self, now: Tick) {
        while self.order.front().is_some_and(|(stored, _)| stored.after(self.ttl) <= now) {
            self.evict_oldest();
        }
    }

    fn evict_oldest(&mut self) {
        if let Some((stored, request)) = self.order.pop_front()
            && self.entries.get(&request).is_some_and(|(current, _)| *current == stored)
        {
            self.entries.remove(&request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use crate::delivery::Audience;
    use crate::websocket::Frame;

    fn delivery(kind: u8) -> Arc<Delivery> {
        Arc::new(Delivery::new(Audience::None, kind, Instant::now(), |protocol| Frame::new(protocol, b"x")))
    }

    #[test]
    fn find_returns_the_latest_response_until_its_ttl() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut responses = LoginResponses::new(20);
        responses.insert(one, delivery(1), Tick(0));
        responses.insert(one, delivery(2), Tick(10));
        responses.insert(other, delivery(3), Tick(15));
        let kind = |found: Option<Arc<Delivery>>| found.map(|delivery| delivery.kind);
        assert_eq!(kind(responses.get(one, Tick(29))), Some(Some(2)));
        assert_eq!(kind(responses.get(one, Tick(30))), None);
        assert_eq!(kind(responses.get(other, Tick(30))), Some(Some(3)));
    }

    #[test]
    fn keep_above_the_maximum_drops_the_oldest_response() {
        let mut responses = LoginResponses::new(20);
        for number in 0..=MAX_RESPONSES as u128 {
            responses.insert(Uuid::from_u128(number), delivery(0), Tick(0));
        }
        assert!(responses.get(Uuid::from_u128(0), Tick(0)).is_none());
        assert!(responses.get(Uuid::from_u128(MAX_RESPONSES as u128), Tick(0)).is_some());
    }
}
