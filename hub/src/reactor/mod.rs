//! The connections: one thread per core, each with its own poll loop, slab of sockets, registry and timing wheel. No lock,
//! task, channel, timer or buffer belongs to a connection.
//!
//! The first reactor owns the public port and reads the heads of requests (`arrival`); after its token is verified a client
//! moves to the reactor that its user hashes to, and stays there: a push to a user visits one reactor, a push to an
//! organisation visits each once. Mail comes in through a mailbox, bytes go out to the sockets directly.

mod acceptor;
mod arrival;
mod budgets;
mod catch_up;
mod clients;
mod connection;
mod delayed_sends;
mod delivering;
mod departure;
mod drain;
mod event_loop;
mod fan_out;
mod front;
mod mailbox;
mod outbox;
mod presence;
mod registry;
mod responses;
mod slot;
mod socket;
mod subscribe_barrier;
mod subscribing;
mod verification;
mod wheel;

pub use presence::{Hearing, Member, Presence, Presences, Question, Roll, Ticket, roll};

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::auth::Authenticator;
use crate::catch_up::Moment;
use crate::config::Config;
use crate::delivery::{Audience, Delivery};
use crate::limits::Census;
use crate::telemetry::Metrics;
use crate::transport::cors::Cors;
use crate::transport::negotiations::Negotiations;
use crate::transport::plain::{Entrance, Returned};
use crate::transport::refusal::Refusal;
use crate::transport::relay::Knock;
use event_loop::Reactor;
use mailbox::{Mail, Mailbox, Newcomer, Welcome};
use socket::Socket;
use verification::Verification;

/// A reactor whose last turn is longer ago than this is stuck.
const STUCK: Duration = Duration::from_secs(5);

/// What reactors use of the rest of the hub.
pub struct Means {
    /// Says whose token is good.
    pub authenticator: Arc<Authenticator>,
    /// Knows who has negotiated.
    pub negotiations: Arc<Negotiations>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where it is told who comes and goes; nothing without a backplane.
    pub roll: Option<Roll>,
}

/// What all reactors share.
struct Shared {
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    census: Arc<Census>,
    negotiations: Arc<Negotiations>,
    cors: Cors,
    roll: Option<Roll>,
    start: Instant,
    config: Config,
}

/// What a reactor tells of itself.
#[derive(Default)]
struct Status {
    /// Milliseconds from the start to the last turn of its loop.
    beat: AtomicU64,
    /// How many sockets it holds, in whatever state.
    sockets: AtomicUsize,
    /// How many of them are clients.
    clients: AtomicUsize,
    /// It has let go of its clients.
    drained: AtomicBool,
}

/// The running reactors.
pub struct Reactors {
    shared: Arc<Shared>,
    mailboxes: Vec<Mailbox>,
    statuses: Vec<Arc<Status>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Counts the connections that a delivery reaches; when the last reactor is done with it, the sum goes to who waits.
struct Receipt {
    reached: AtomicUsize,
    done: Option<oneshot::Sender<usize>>,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // Who does not wait any more need not know.
            let _ = done.send(self.reached.load(Ordering::Relaxed));
        }
    }
}

impl Reactors {
    /// Starts the reactors, from inside a tokio runtime. The first one accepts from `listener`, so that all of them hold
    /// `most_sockets` at the most; what is no WebSocket goes to `plain`.
    ///
    /// # Errors
    /// If the system gives no poll or no thread.
    pub fn start(
        config: &Config,
        listener: TcpListener,
        means: Means,
        plain: Entrance,
        most_sockets: usize,
    ) -> io::Result<Reactors> {
        let Means { authenticator, negotiations, metrics, roll } = means;
        let shared = Arc::new(Shared {
            authenticator,
            metrics,
            census: Arc::default(),
            negotiations,
            cors: Cors::new(&config.cors),
            roll,
            start: Instant::now(),
            config: config.clone(),
        });
        let prepared = (0..config.reactors).map(|_| mailbox::open()).collect::<io::Result<Vec<_>>>()?;
        let mailboxes: Vec<Mailbox> = prepared.iter().map(|(mailbox, ..)| mailbox.clone()).collect();
        let statuses: Vec<Arc<Status>> = mailboxes.iter().map(|_| Arc::default()).collect();
        let mut front = Some((listener, plain));
        let mut threads = Vec::new();
        for (number, (mailbox, letters, poll)) in prepared.into_iter().enumerate() {
            let mut reactor = Reactor::new(number, shared.clone(), statuses.clone(), mailboxes.clone(), letters, poll);
            if let Some((listener, plain)) = front.take() {
                let verification = Verification::start(shared.authenticator.clone(), mailbox, Handle::current())?;
                reactor.open_front_door(listener, plain, verification, most_sockets)?;
            }
            let thread = std::thread::Builder::new().name(format!("reactor-{number}"));
            threads.push(thread.spawn(move || reactor.run())?);
        }
        Ok(Reactors { shared, mailboxes, statuses, threads: threads.into() })
    }

    /// Hands a delivery to every reactor that may have a recipient. The answer comes when all of them have written or
    /// queued it: how many connections it reached. `published` is when Redis has published it, if it came from there.
    pub fn deliver(&self, delivery: Delivery, published: Option<Moment>) -> oneshot::Receiver<usize> {
        let (done, reached) = oneshot::channel();
        let receipt = Arc::new(Receipt { reached: AtomicUsize::new(0), done: Some(done) });
        let all = self.mailboxes.as_slice();
        let addressed = match delivery.audience {
            Audience::Nobody => &[],
            Audience::User(user, _) => {
                let owner = owner(user, all.len());
                &all[owner..=owner]
            }
            Audience::LoginRequest(request) => {
                let owner = owner(request, all.len());
                &all[owner..=owner]
            }
            Audience::Organization(..) | Audience::Everyone(_) => all,
            Audience::Installation(installation, _) => match self.shared.config.installation {
                Some(own) if own == installation => all,
                _ => &[],
            },
        };
        let delivery = Arc::new(delivery);
        for mailbox in addressed {
            mailbox.send(Mail::Deliver { delivery: delivery.clone(), receipt: receipt.clone(), published });
        }
        reached
    }

    /// Tells all users to sync, after a while and spread over another: which pushes the backplane lost is not known.
    pub fn sync_everybody(&self, after: Duration, over: Duration) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(Mail::SyncEverybody { after, over }));
    }

    /// Takes in a client that is connected by other than a WebSocket.
    pub fn adopt(&self, knock: Knock) {
        let Knock { socket, transport, guest, peer, forwarded, told } = knock;
        let place = match self.shared.census.admit(&self.shared.config.limits, peer, &forwarded) {
            Ok(place) => place,
            Err(full) => {
                self.shared.metrics.connects.inc("limited");
                // Who does not wait any more need not know.
                let _ = told.send(Some(Refusal::full(full)));
                return;
            }
        };
        let owner = guest.id().map_or(0, |id| owner(id, self.mailboxes.len()));
        let (socket, welcome) = (Socket::from(socket), Welcome::Relay(told));
        let newcomer = Newcomer { socket, leftover: Vec::new(), unread: false, guest, transport, place, welcome };
        self.mailboxes[owner].send(Mail::Adopt(newcomer));
    }

    /// Takes back a connection of the public port whose request has been answered.
    pub fn take_back(&self, returned: Returned) {
        if let Some(front_door) = self.mailboxes.first() {
            front_door.send(Mail::Returned(returned));
        }
    }

    /// Whether every reactor has turned lately.
    pub fn alive(&self) -> bool {
        let now = self.shared.start.elapsed();
        let beats = self.statuses.iter().map(|status| status.beat.load(Ordering::Relaxed));
        beats.map(Duration::from_millis).all(|beat| now.saturating_sub(beat) < STUCK)
    }

    /// Closes the public port and lets go of all clients, spread over `duration`.
    pub fn drain(&self, duration: Duration) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(Mail::Drain(duration)));
    }

    /// Whether all clients are gone after [`Reactors::drain`].
    pub fn drained(&self) -> bool {
        self.statuses.iter().all(|status| status.drained.load(Ordering::Relaxed))
    }

    /// How many sockets are open, in whatever state.
    pub fn sockets(&self) -> usize {
        self.statuses.iter().map(|status| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// How many of them are clients.
    pub fn clients(&self) -> usize {
        self.statuses.iter().map(|status| status.clients.load(Ordering::Relaxed)).sum()
    }

    /// Ends the reactors and resets what is still open.
    pub fn stop(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(Mail::Stop));
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A reactor that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}

/// The reactor on which the connections of a user, or of a login request, live.
fn owner(id: Uuid, reactors: usize) -> usize {
    // Ids are random, but not in every bit: the multiplication brings all of them to the top.
    let (high, low) = id.as_u64_pair();
    let mixed = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed) * reactors as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_spreads_users_evenly_over_reactors() {
        let mut counts = [0; 4];
        for number in 0..4000u128 {
            counts[owner(Uuid::from_u128(number << 64 | 0x4000_8000_0000 | number << 3), 4)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(owner(Uuid::max(), 1), 0);
    }
}
