//! Accounts for every push to every client (`decisions.md` 8): delivered, covered by a sync, or lost. No I/O.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

/// A push to one client.
#[derive(Debug, Clone)]
pub struct LedgerPush {
    /// A unique id.
    pub id: String,
    /// The number of its client.
    pub client: usize,
    /// Whether a `SyncVault` makes up for it.
    pub covered: bool,
    /// When it was handed to the hub.
    pub sent_at: Instant,
}

/// An event at a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its handshake was answered.
    Opened,
    /// It received the push with this id.
    Received(String),
    /// It received a `SyncVault`.
    Synced,
    /// Its connection ended, or a connect failed.
    Closed,
}

/// The events of all clients.
#[derive(Debug, Default)]
pub struct Ledger {
    events: BTreeMap<usize, Vec<(Instant, Event)>>,
}

/// The totals of some pushes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Pushes that were received.
    pub delivered: usize,
    /// Deliveries of a push after its first.
    pub duplicates: usize,
    /// Pushes that were not received, but are covered by a later `SyncVault`.
    pub covered: usize,
    /// Pushes of covered types that were neither received nor followed by a `SyncVault`. Never tolerated.
    pub lost_covered: usize,
    /// Pushes of uncovered types to clients that were not connected all the time of the delivery.
    pub lost_disconnected: usize,
    /// Pushes of uncovered types to clients that were connected all the time of the delivery.
    pub lost_connected: usize,
}

/// The losses that a test tolerates for connected clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossTolerance {
    /// None.
    None,
    /// Pushes of uncovered types that were on their way when a process was killed or Redis failed.
    Fault,
}

impl LedgerTotals {
    /// Returns whether all losses are tolerated.
    pub fn is_tolerable(&self, tolerance: LossTolerance) -> bool {
        self.lost_covered == 0 && (self.lost_connected == 0 || tolerance == LossTolerance::Fault)
    }
}

impl Ledger {
    /// Records an event of a client.
    pub fn record(&mut self, client: usize, at: Instant, event: Event) {
        self.events.entry(client).or_default().push((at, event));
    }

    /// Returns whether a client is connected now.
    pub fn is_connected(&self, client: usize) -> bool {
        let mut last = self.events_of(client).iter().rev().map(|(_, event)| event);
        last.find(|event| matches!(event, Event::Opened | Event::Closed)) == Some(&Event::Opened)
    }

    /// Returns when a client last received a `SyncVault`, or `None` if it never did.
    pub fn last_sync(&self, client: usize) -> Option<Instant> {
        self.events_of(client).iter().rev().find(|(_, event)| *event == Event::Synced).map(|(at, _)| *at)
    }

    /// Returns the number of pushes that all clients received.
    pub fn received(&self) -> usize {
        self.events.values().flatten().filter(|(_, event)| matches!(event, Event::Received(_))).count()
    }

    /// Accounts for pushes. The delivery of a push may take `max_delay`.
    pub fn totals(&self, pushes: &[LedgerPush], max_delay: Duration) -> LedgerTotals {
        let mut received: HashMap<(usize, &str), usize> = HashMap::new();
        for (client, events) in &self.events {
            for (_, event) in events {
                if let Event::Received(id) = event {
                    *received.entry((*client, id)).or_default() += 1;
                }
            }
        }
        let mut totals = LedgerTotals::default();
        for push in pushes {
            match received.get(&(push.client, push.id.as_str())).copied().unwrap_or(0) {
                0 if push.covered && self.last_sync(push.client).is_some_and(|sync| sync > push.sent_at) => {
                    totals.covered += 1;
                }
                0 if push.covered => totals.lost_covered += 1,
                0 if self.was_disconnected(push.client, push.sent_at, push.sent_at + max_delay) => {
                    totals.lost_disconnected += 1;
                }
                0 => totals.lost_connected += 1,
                times => {
                    totals.delivered += 1;
                    totals.duplicates += times - 1;
                }
            }
        }
        totals
    }

    /// Returns how many opened connections ended.
    pub fn disconnects(&self) -> usize {
        let ends = |events: &Vec<(Instant, Event)>| {
            let changes =
                events.iter().map(|(_, event)| event).filter(|it| matches!(it, Event::Opened | Event::Closed));
            let changes: Vec<_> = changes.collect();
            changes.windows(2).filter(|pair| *pair == [&Event::Opened, &Event::Closed]).count()
        };
        self.events.values().map(ends).sum()
    }

    /// Describes the events of a client except the pushes that it received.
    pub fn describe_client(&self, client: usize) -> String {
        let events = self.events_of(client).iter().filter(|(_, event)| !matches!(event, Event::Received(_)));
        format!("{:?}", events.collect::<Vec<_>>())
    }

    /// Returns whether a client was not connected at some time from `from` to `to`.
    fn was_disconnected(&self, client: usize, from: Instant, to: Instant) -> bool {
        let changes = self.events_of(client).iter().filter(|(_, event)| matches!(event, Event::Opened | Event::Closed));
        let mut is_connected = false;
        for (at, event) in changes {
            if *at > to {
                break;
            }
            if *at > from && !is_connected {
                return true;
            }
            is_connected = *event == Event::Opened;
            if *at > from && !is_connected {
                return true;
            }
        }
        !is_connected
    }

    fn events_of(&self, client: usize) -> &[(Instant, Event)] {
        self.events.get(&client).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for LedgerTotals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.delivered + self.covered + self.lost_covered + self.lost_disconnected + self.lost_connected;
        write!(
            formatter,
            "{all} pushes: {} delivered, {} duplicates, {} covered, lost: {} of covered types, {} of uncovered types while \
             disconnected, {} while connected",
            self.delivered,
            self.duplicates,
            self.covered,
            self.lost_covered,
            self.lost_disconnected,
            self.lost_connected
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_totals_classify_every_push() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::default();
        for (second, event) in [
            (0, Event::Opened),
            (1, Event::Received("a".into())),
            (2, Event::Received("a".into())),
            (10, Event::Closed),
            (20, Event::Opened),
            (21, Event::Synced),
            (40, Event::Closed),
        ] {
            ledger.record(7, at(second), event);
        }
        let totals = |id: &str, covered, second| {
            let push = LedgerPush { id: id.to_owned(), client: 7, covered, sent_at: at(second) };
            ledger.totals(&[push], Duration::from_secs(2))
        };
        let expected = LedgerTotals { delivered: 1, duplicates: 1, ..LedgerTotals::default() };
        assert_eq!(totals("a", true, 1), expected);
        assert_eq!(totals("b", true, 15), LedgerTotals { covered: 1, ..LedgerTotals::default() });
        assert_eq!(totals("b", true, 22), LedgerTotals { lost_covered: 1, ..LedgerTotals::default() });
        for second in [9, 15, 19, 39, 50] {
            let expected = LedgerTotals { lost_disconnected: 1, ..LedgerTotals::default() };
            assert_eq!(totals("b", false, second), expected, "{second}");
        }
        for second in [3, 7, 21, 30] {
            let expected = LedgerTotals { lost_connected: 1, ..LedgerTotals::default() };
            assert_eq!(totals("b", false, second), expected, "{second}");
        }
        ledger.record(7, at(60), Event::Closed);
        assert!(!ledger.is_connected(7) && ledger.received() == 2 && ledger.disconnects() == 2);
    }
}
