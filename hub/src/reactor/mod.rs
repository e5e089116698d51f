//! The connections: one thread per core, each with its own poll loop, slab of sockets, registry and timing wheel. No lock,
//! task, channel, timer or buffer belongs to a connection.
//!
//! The first reactor owns the public port and reads the heads of requests (`ingress`); after its token is verified a client
//! moves to the reactor that its user hashes to, and stays there: a push to a user visits one reactor, a push to an
//! organization visits each once. Commands come in through a queue (`command`), bytes go out to the sockets directly.

mod budgets;
mod catch_up;
mod client_admission;
mod command;
mod connection_limits;
mod connection_report;
mod connections;
mod drain_schedule;
mod event_loop;
mod fan_out;
mod ingress;
mod registry;
mod scheduled_frames;
mod shard;
mod sockets;
mod status;
mod timers;

pub use catch_up::presence::{
    MissedQuery, PresenceEvent, PresenceReceiver, PresenceSender, Recipient, SubscribeGuard, WatermarkSender,
    presence_channel,
};

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::auth::Authenticator;
use crate::catch_up::Timestamp;
use crate::config::Config;
use crate::delivery::{Audience, Delivery};
use crate::http::connection_token_registry::ConnectionTokenRegistry;
use crate::http::cors::Cors;
use crate::http::plain_http::{HttpHandoff, ReturnedConnection};
use crate::http::relay::ConnectRequest;
use crate::observability::Metrics;
use command::{AcceptReply, CommandSender, PendingConnection, ReactorCommand};
use connection_limits::ConnectionLimits;
use event_loop::Reactor;
use ingress::Ingress;
use ingress::acceptor::Acceptor;
use ingress::capacity::Capacity;
use ingress::token_verifier::Verification;
use shard::shard_for;
use sockets::socket::Socket;
use status::Statuses;

/// A reactor whose last turn is longer ago than this counts as stalled.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the reactors use of the rest of the hub.
pub struct ReactorDeps {
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Issues and redeems connection tokens.
    pub connection_tokens: Arc<ConnectionTokenRegistry>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where connects and disconnects are reported; `None` without a backplane.
    pub presence: Option<PresenceSender>,
}

/// What all reactors share.
struct Shared {
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    admission: Arc<ConnectionLimits>,
    connection_tokens: Arc<ConnectionTokenRegistry>,
    cors: Cors,
    presence: Option<PresenceSender>,
    start: Instant,
    config: Config,
}

/// The running reactors.
pub struct Reactors {
    shared: Arc<Shared>,
    senders: Vec<CommandSender>,
    statuses: Statuses,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Counts the connections that a delivery reaches. Sends the sum to the publisher when the last reactor drops it.
struct DeliveryAck {
    reached: AtomicUsize,
    done: Option<oneshot::Sender<usize>>,
}

impl Drop for DeliveryAck {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // The publisher may have dropped the receiver.
            let _ = done.send(self.reached.load(Ordering::Relaxed));
        }
    }
}

impl Reactors {
    /// Starts the reactors, from inside a tokio runtime. The first one accepts from `listener`, so that all of them hold
    /// `max_sockets` at the most; requests that are no WebSocket upgrade go to `http`.
    ///
    /// # Errors
    /// If the system gives no poll or no thread.
    pub fn start(
        config: &Config,
        listener: TcpListener,
        deps: ReactorDeps,
        http: HttpHandoff,
        max_sockets: usize,
    ) -> io::Result<Reactors> {
        let ReactorDeps { authenticator, connection_tokens, metrics, presence } = deps;
        let shared = Arc::new(Shared {
            authenticator,
            metrics,
            admission: Arc::default(),
            connection_tokens,
            cors: Cors::new(&config.cors),
            presence,
            start: Instant::now(),
            config: config.clone(),
        });
        let prepared = (0..config.reactors).map(|_| command::channel()).collect::<io::Result<Vec<_>>>()?;
        let senders: Vec<CommandSender> = prepared.iter().map(|(sender, ..)| sender.clone()).collect();
        let statuses = Statuses::new(senders.len());
        let mut inbound = Some((listener, http));
        let mut threads = Vec::new();
        for (number, (sender, commands, poll)) in prepared.into_iter().enumerate() {
            let status = statuses.of(number);
            let ingress = match inbound.take() {
                None => None,
                Some((listener, http)) => {
                    let acceptor = Acceptor::new(listener, poll.registry())?;
                    let capacity = Arc::new(Capacity::new(max_sockets));
                    let verification = Verification::start(shared.authenticator.clone(), sender, Handle::current())?;
                    Some(Ingress::new(shared.clone(), status.clone(), acceptor, capacity, http, verification))
                }
            };
            let reactor = Reactor::new(shared.clone(), status, senders.clone(), commands, poll, ingress)?;
            let thread = std::thread::Builder::new().name(format!("reactor-{number}"));
            threads.push(thread.spawn(move || reactor.run())?);
        }
        Ok(Reactors { shared, senders, statuses, threads: threads.into() })
    }

    /// Sends a delivery to every reactor that may have a recipient. The receiver gets the number of connections that were
    /// reached once all of these reactors have written or queued it. `published` is when Redis published it, `None` if it did
    /// not come from Redis.
    pub fn deliver(&self, delivery: Delivery, published: Option<Timestamp>) -> oneshot::Receiver<usize> {
        let (done, reached) = oneshot::channel();
        let ack = Arc::new(DeliveryAck { reached: AtomicUsize::new(0), done: Some(done) });
        let all = self.senders.as_slice();
        let addressed = match delivery.audience {
            Audience::None => &[],
            Audience::User(user, _) => {
                let shard = shard_for(user, all.len());
                &all[shard..=shard]
            }
            Audience::LoginRequest(request) => {
                let shard = shard_for(request, all.len());
                &all[shard..=shard]
            }
            Audience::Organization(..) | Audience::All(_) => all,
            Audience::Installation(installation, _) => match self.shared.config.installation {
                Some(own) if own == installation => all,
                _ => &[],
            },
        };
        let delivery = Arc::new(delivery);
        for sender in addressed {
            sender.send(ReactorCommand::Deliver { delivery: delivery.clone(), ack: ack.clone(), published });
        }
        reached
    }

    /// Sends every user a `SyncVault`, after a delay and evenly spread: which pushes the backplane lost is not known.
    pub fn sync_all(&self, after: Duration, over: Duration) {
        self.senders.iter().for_each(|sender| sender.send(ReactorCommand::SyncAll { after, over }));
    }

    /// Adds a client without a WebSocket, whose relay holds the other end of a socket pair.
    pub fn connect(&self, request: ConnectRequest) {
        let ConnectRequest { socket, transport, principal, peer, forwarded, reply } = request;
        let permit = match self.shared.admission.admit(&self.shared.config.limits, peer, &forwarded) {
            Ok(permit) => permit,
            Err(reached) => {
                self.shared.metrics.connection_attempts.inc("limited");
                // The relay may be gone.
                let _ = reply.send(Some(reached.error_response()));
                return;
            }
        };
        let shard = principal.id().map_or(0, |id| shard_for(id, self.senders.len()));
        let (socket, reply) = (Socket::from(socket), AcceptReply::Relay(reply));
        let pending = PendingConnection {
            socket,
            read_ahead: Vec::new(),
            maybe_readable: false,
            principal,
            transport,
            permit,
            reply,
        };
        self.senders[shard].send(ReactorCommand::AddConnection(pending));
    }

    /// Takes back a connection of the public port whose request has been answered.
    pub fn take_back(&self, returned: ReturnedConnection) {
        if let Some(acceptor_reactor) = self.senders.first() {
            acceptor_reactor.send(ReactorCommand::Returned(returned));
        }
    }

    /// Returns whether no reactor is stalled.
    pub fn alive(&self) -> bool {
        let now = self.shared.start.elapsed();
        self.statuses.last_turns().all(|last_turn| now.saturating_sub(last_turn) < STALL_TIMEOUT)
    }

    /// Closes the public port and all connections, evenly spread over `duration`.
    pub fn drain(&self, duration: Duration) {
        self.senders.iter().for_each(|sender| sender.send(ReactorCommand::Drain(duration)));
    }

    /// Returns whether all sockets are closed after [`Reactors::drain`].
    pub fn drained(&self) -> bool {
        self.statuses.are_drained()
    }

    /// Returns how many sockets are open, in any state.
    pub fn open_sockets(&self) -> usize {
        self.statuses.sockets()
    }

    /// Returns how many of the sockets are open connections.
    pub fn open_connections(&self) -> usize {
        self.statuses.connections()
    }

    /// Ends the reactors and resets what is still open.
    pub fn stop(&self) {
        self.senders.iter().for_each(|sender| sender.send(ReactorCommand::Stop));
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A reactor that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}
