//! Accounts for every push and client (`decisions.md` 8): delivered, covered, or lost. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

/// A push to one client.
#[derive(Debug, Clone)]
pub struct Push {
    /// What it is told from others by.
    pub id: String,
    /// The client that it is for.
    pub client: usize,
    /// Whether a `SyncVault` makes up for it.
    pub covered: bool,
    /// When it was handed to the hub.
    pub put: Instant,
}

/// What a client noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its handshake was answered.
    Opened,
    /// A push arrived.
    Heard(String),
    /// It was told to sync.
    Synced,
    /// Its connection has ended, or did not come to be.
    Closed,
}

/// What all clients noticed.
#[derive(Debug, Default)]
pub struct Log {
    events: BTreeMap<usize, Vec<(Instant, Event)>>,
}

/// The sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Pushes that arrived.
    pub delivered: usize,
    /// Arrivals beyond the first.
    pub duplicates: usize,
    /// Pushes that a later `SyncVault` makes up for.
    pub covered: usize,
    /// Pushes that it would make up for, and none came: there must not be any.
    pub lost_covered: usize,
    /// Pushes that nothing makes up for, to clients that were away about then.
    pub lost_away: usize,
    /// Pushes that nothing makes up for, to clients that were there: there must not be any.
    pub lost_there: usize,
}

/// What may be lost to clients that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// Nothing.
    None,
    /// What nothing makes up for, and was under way when a process was killed or Redis failed.
    Fault,
}

impl Sums {
    /// Whether nothing is lost that must not be.
    pub fn closes(&self, excuse: Excuse) -> bool {
        self.lost_covered == 0 && (self.lost_there == 0 || excuse == Excuse::Fault)
    }
}

impl Log {
    /// Notes an event.
    pub fn note(&mut self, client: usize, at: Instant, event: Event) {
        self.events.entry(client).or_default().push((at, event));
    }

    /// Whether a client is connected by now.
    pub fn is_open(&self, client: usize) -> bool {
        let mut last = self.of(client).iter().rev().map(|(_, event)| event);
        last.find(|event| matches!(event, Event::Opened | Event::Closed)) == Some(&Event::Opened)
    }

    /// When a client was last told to sync.
    pub fn last_sync(&self, client: usize) -> Option<Instant> {
        self.of(client).iter().rev().find(|(_, event)| *event == Event::Synced).map(|(at, _)| *at)
    }

    /// How many pushes have arrived.
    pub fn heard(&self) -> usize {
        self.events.values().flatten().filter(|(_, event)| matches!(event, Event::Heard(_))).count()
    }

    /// Accounts for pushes. A push may be handed on up to `lag` after it was put.
    pub fn close(&self, pushes: &[Push], lag: Duration) -> Sums {
        let mut heard: HashMap<(usize, &str), usize> = HashMap::new();
        for (client, events) in &self.events {
            for (_, event) in events {
                if let Event::Heard(id) = event {
                    *heard.entry((*client, id)).or_default() += 1;
                }
            }
        }
        let mut sums = Sums::default();
        for push in pushes {
            match heard.get(&(push.client, push.id.as_str())).copied().unwrap_or(0) {
                0 if push.covered && self.last_sync(push.client).is_some_and(|sync| sync > push.put) => {
                    sums.covered += 1;
                }
                0 if push.covered => sums.lost_covered += 1,
                0 if self.was_away(push.client, push.put, push.put + lag) => sums.lost_away += 1,
                0 => sums.lost_there += 1,
                times => {
                    sums.delivered += 1;
                    sums.duplicates += times - 1;
                }
            }
        }
        sums
    }

    /// How often a connection ended that had been opened.
    pub fn disconnects(&self) -> usize {
        let ends = |events: &Vec<(Instant, Event)>| {
            let changes =
                events.iter().map(|(_, event)| event).filter(|it| matches!(it, Event::Opened | Event::Closed));
            let changes: Vec<_> = changes.collect();
            changes.windows(2).filter(|pair| *pair == [&Event::Opened, &Event::Closed]).count()
        };
        self.events.values().map(ends).sum()
    }

    /// What a client noticed, but for what it heard.
    pub fn of_client(&self, client: usize) -> String {
        let told = self.of(client).iter().filter(|(_, event)| !matches!(event, Event::Heard(_)));
        format!("{:?}", told.collect::<Vec<_>>())
    }

    /// Whether a client was not connected at some time between two moments.
    fn was_away(&self, client: usize, from: Instant, to: Instant) -> bool {
        let changes = self.of(client).iter().filter(|(_, event)| matches!(event, Event::Opened | Event::Closed));
        let mut there = false;
        for (at, event) in changes {
            if *at > to {
                break;
            }
            if *at > from && !there {
                return true;
            }
            there = *event == Event::Opened;
            if *at > from && !there {
                return true;
            }
        }
        !there
    }

    fn of(&self, client: usize) -> &[(Instant, Event)] {
        self.events.get(&client).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.delivered + self.covered + self.lost_covered + self.lost_away + self.lost_there;
        write!(
            formatter,
            "{all} pushes: {} delivered ({} twice or more), {} covered, lost: {} that should be covered, {} while away, {} \
             while there",
            self.delivered, self.duplicates, self.covered, self.lost_covered, self.lost_away, self.lost_there
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_close_classifies_every_push() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut log = Log::default();
        for (second, event) in [
            (0, Event::Opened),
            (1, Event::Heard("a".into())),
            (2, Event::Heard("a".into())),
            (10, Event::Closed),
            (20, Event::Opened),
            (21, Event::Synced),
            (40, Event::Closed),
        ] {
            log.note(7, at(second), event);
        }
        let close = |id: &str, covered, second| {
            let push = Push { id: id.to_owned(), client: 7, covered, put: at(second) };
            log.close(&[push], Duration::from_secs(2))
        };
        assert_eq!(close("a", true, 1), Sums { delivered: 1, duplicates: 1, ..Sums::default() });
        assert_eq!(close("b", true, 15), Sums { covered: 1, ..Sums::default() });
        assert_eq!(close("b", true, 22), Sums { lost_covered: 1, ..Sums::default() });
        for second in [9, 15, 19, 39, 50] {
            assert_eq!(close("b", false, second), Sums { lost_away: 1, ..Sums::default() }, "{second}");
        }
        for second in [3, 7, 21, 30] {
            assert_eq!(close("b", false, second), Sums { lost_there: 1, ..Sums::default() }, "{second}");
        }
        log.note(7, at(60), Event::Closed);
        assert!(!log.is_open(7) && log.heard() == 2 && log.disconnects() == 2);
    }
}
