//! A thread that sends pushes while a test changes the hubs. As with Bitwarden's API, any replica may accept a push.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::json;
use uuid::Uuid;

use crate::http;
use crate::ledger::LedgerPush;

/// Push types, each with whether a `SyncVault` makes up for it.
const PUSH_TYPES: [(u8, bool); 4] = [(7, true), (1, true), (11, false), (12, true)];

/// One of this many pushes is for the organization.
const ORGANIZATION_PUSH_ONE_IN: usize = 50;

/// The pause between two pushes, and between two attempts.
const PUSH_INTERVAL: Duration = Duration::from_millis(5);

/// A sender with the users that it pushes to.
pub struct PushSender {
    /// The token of a sender.
    pub token: String,
    /// The users, numbered as the clients are.
    pub users: Vec<String>,
    /// The organization of all users.
    pub organization: String,
    /// The internal addresses of the replicas.
    pub replicas: Arc<Mutex<Vec<SocketAddr>>>,
}

/// A thread that sends pushes.
pub struct Traffic {
    over: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    thread: JoinHandle<Vec<LedgerPush>>,
}

impl Traffic {
    /// Starts the thread.
    pub fn start(sender: PushSender) -> Self {
        let (over, paused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_over, is_paused) = (over.clone(), paused.clone());
        let thread = std::thread::spawn(move || {
            let mut accepted = Vec::new();
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                if !is_paused.load(Ordering::Relaxed) {
                    accepted.extend(sender.push(number, &is_over));
                }
                std::thread::sleep(PUSH_INTERVAL);
            }
            accepted
        });
        Self { over, paused, thread }
    }

    /// Pauses or resumes the pushes.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Stops the thread. Returns every accepted push, once for each client of its audience.
    pub fn stop(self) -> Result<Vec<LedgerPush>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sender panicked"))
    }
}

impl PushSender {
    /// Posts a push until a replica accepts it. Returns it once for each client, or nothing if `over` was set before.
    fn push(&self, number: usize, over: &AtomicBool) -> Vec<LedgerPush> {
        let id = Uuid::new_v4().to_string();
        let client = number % self.users.len();
        let (kind, covered) = PUSH_TYPES[(number / self.users.len()) % PUSH_TYPES.len()];
        let (kind, covered, to, clients) = match number % ORGANIZATION_PUSH_ONE_IN {
            0 => (18, true, json!({ "organizationId": self.organization, "enabled": true }), 0..self.users.len()),
            _ => {
                let to = json!({ "id": id, "userId": self.users[client], "revisionDate": "2026-01-02T03:04:05Z" });
                (kind, covered, to, client..client + 1)
            }
        };
        let body = json!({ "type": kind, "payload": to, "contextId": id }).to_string();
        let authorization = format!("Bearer {}", self.token);
        let headers = [("Authorization", authorization.as_str())];
        for attempt in number.. {
            let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let sent_at = Instant::now();
            if let Some(replica) = replicas.get(attempt % replicas.len().max(1))
                && http::request(*replica, "POST", "/send", &headers, body.as_bytes()).is_ok_and(|it| it.status == 200)
            {
                return clients.map(|client| LedgerPush { id: id.clone(), client, covered, sent_at }).collect();
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(PUSH_INTERVAL);
        }
        Vec::new()
    }
}
