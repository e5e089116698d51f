//! Pushes that go on while something happens to the hubs, posted as Bitwarden's API does: to whichever replica takes them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::json;
use uuid::Uuid;

use crate::http;
use crate::ledger::Push;

/// Types that a `SyncVault` makes up for, and such that nothing makes up for.
const KINDS: [(u8, bool); 4] = [(7, true), (1, true), (11, false), (12, true)];

/// How often one is for all, by their organisation.
const TO_ALL: usize = 50;

/// How long there is between two.
const PAUSE: Duration = Duration::from_millis(5);

/// Who sends, to whom, and where.
pub struct Sender {
    /// The token of a sender.
    pub token: String,
    /// The users, numbered as the clients are.
    pub users: Vec<String>,
    /// The organisation of all of them.
    pub organization: String,
    /// The replicas that take pushes.
    pub replicas: Arc<Mutex<Vec<SocketAddr>>>,
}

/// Pushes under way.
pub struct Traffic {
    over: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Push>>,
}

impl Traffic {
    /// Begins to push.
    pub fn start(sender: Sender) -> Self {
        let (over, paused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_over, is_paused) = (over.clone(), paused.clone());
        let thread = std::thread::spawn(move || {
            let mut taken = Vec::new();
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                if !is_paused.load(Ordering::Relaxed) {
                    taken.extend(sender.push(number, &is_over));
                }
                std::thread::sleep(PAUSE);
            }
            taken
        });
        Self { over, paused, thread }
    }

    /// Lets nothing be pushed, or something again.
    pub fn pause(&self, whether: bool) {
        self.paused.store(whether, Ordering::Relaxed);
    }

    /// Stops, and gives every push that was taken, once for each client that it is for.
    pub fn stop(self) -> Result<Vec<Push>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sender panicked"))
    }
}

impl Sender {
    /// Posts one push until a replica takes it.
    fn push(&self, number: usize, over: &AtomicBool) -> Vec<Push> {
        let id = Uuid::new_v4().to_string();
        let client = number % self.users.len();
        let (kind, covered) = KINDS[(number / self.users.len()) % KINDS.len()];
        let (kind, covered, to, clients) = match number % TO_ALL {
            0 => (18, true, json!({ "organizationId": self.organization, "enabled": true }), 0..self.users.len()),
            _ => {
                let to = json!({ "id": id, "userId": self.users[client], "revisionDate": "2026-01-02T03:04:05Z" });
                (kind, covered, to, client..client + 1)
            }
        };
        let body = json!({ "type": kind, "payload": to, "contextId": id }).to_string();
        let authorization = format!("Bearer {}", self.token);
        let headers = [("Authorization", authorization.as_str())];
        for turn in number.. {
            let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let put = Instant::now();
            if let Some(replica) = replicas.get(turn % replicas.len().max(1))
                && http::request(*replica, "POST", "/send", &headers, body.as_bytes()).is_ok_and(|it| it.status == 200)
            {
                return clients.map(|client| Push { id: id.clone(), client, covered, put }).collect();
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Vec::new()
    }
}
