//! What the first reactor does with requests on the public port, up to the client's adoption (`front-door.md`).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::arrival::{Arrival, Progress};
use super::event_loop::Reactor;
use super::mailbox::{Mail, Newcomer, Verdict, Welcome};
use super::outbox::Outbox;
use super::owner;
use super::slot::{Slot, State};
use super::socket::Socket;
use super::verification::Verification;
use crate::auth::{Claims, Guest, Policy, Rejection};
use crate::connection::{Tick, Transport};
use crate::limits::Full;
use crate::telemetry::Seldom;
use crate::transport::front_door::{self, Head, Upgrade};
use crate::transport::headers::{self, KEEP_ALIVE_TIMEOUT, REFUSAL_LINGERS, REQUEST_HEAD_TIMEOUT};
use crate::transport::negotiations::Standing;
use crate::transport::plain::{Entrance, Handover, Returned};
use crate::transport::refusal::Refusal;
use crate::transport::request_head::PlainRequest;

/// The public port and what goes with it.
pub(super) struct Front {
    pub(super) acceptor: Acceptor,
    plain: Entrance,
    verification: Verification,
    /// How many tokens are being verified; requests above the limit wait.
    verifying: usize,
    waiting: VecDeque<(u32, u64)>,
    /// Bytes of heads that are not whole, at the most.
    pub(super) partial: usize,
    tickets: u64,
    /// For PROXY headers that are refused.
    proxies: Seldom,
}

impl Reactor {
    /// Makes this the reactor that accepts.
    pub(super) fn open_front_door(
        &mut self,
        listener: std::net::TcpListener,
        plain: Entrance,
        verification: Verification,
        most: usize,
    ) -> io::Result<()> {
        let acceptor = Acceptor::new(listener, self.poll.registry(), most)?;
        self.front = Some(Front {
            acceptor,
            plain,
            verification,
            verifying: 0,
            waiting: VecDeque::new(),
            partial: 0,
            tickets: 0,
            proxies: Seldom::default(),
        });
        Ok(())
    }

    /// Nobody comes in any more; requests that are half read are let go of.
    pub(super) fn close_front_door(&mut self) {
        self.front = None;
        self.slots.retain(|_, slot| !matches!(slot.state, State::Arriving(_)));
    }

    /// Takes in who waits at the door.
    pub(super) fn accept(&mut self) {
        let Some(mut front) = self.front.take_if(|front| front.acceptor.ready) else { return };
        let mut open = self.slots.len() + self.peers_open();
        if open >= front.acceptor.most() {
            front.acceptor.complain();
            open -= self.make_room();
        }
        front.acceptor.accept(open, |socket, peer| {
            let mut socket = Socket::from(socket);
            if let Some(slot) = self.reserve(&mut socket) {
                let deadline = self.now.after(Tick::count(REQUEST_HEAD_TIMEOUT));
                let config = &self.shared.config;
                let is_proxied = config.listen.proxy_protocol && config.limits.is_trusted(peer);
                self.slots[slot as usize].state = State::Arriving(Arrival::new(socket, peer, deadline, is_proxied));
                self.arm(slot, deadline);
            }
        });
        self.front = Some(front);
    }

    /// Takes back a connection whose request was answered: it is kept for the next one, or closed so that the answer is not lost.
    pub(super) fn take_back(&mut self, returned: Returned) {
        let Returned { socket, read, peer, is_ending } = returned;
        let Some(front) = self.front.as_ref().filter(|_| !is_ending) else {
            let mut socket = Socket::from(socket);
            if let Some(slot) = self.reserve(&mut socket) {
                self.depart(slot, socket, Outbox::new(self.now), REFUSAL_LINGERS);
            }
            return;
        };
        if self.slots.len() + self.peers_open() >= front.acceptor.most() {
            return;
        }
        let mut socket = Socket::from(socket);
        if let Some(slot) = self.reserve(&mut socket) {
            let deadline = self.now.after(Tick::count(KEEP_ALIVE_TIMEOUT));
            let mut arrival = Arrival::kept(socket, peer, deadline);
            let head = arrival.take(&read);
            self.slots[slot as usize].state = State::Arriving(arrival);
            self.arm(slot, deadline);
            self.is_begun(slot);
            head.into_iter().for_each(|head| self.follow(slot, head));
        }
    }

    /// Reads on in a request.
    pub(super) fn read_head(&mut self, slot: u32) {
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get_mut(slot as usize) else { return };
        let before = arrival.head.len();
        match arrival.read(&mut self.buffer) {
            Progress::Waits => {
                let more = arrival.head.len() - before;
                if before == 0 {
                    self.is_begun(slot);
                }
                self.note_partial(more);
            }
            Progress::Gone => _ = self.slots.remove(slot as usize),
            Progress::Head(head) => self.follow(slot, head),
        }
    }

    /// The first bytes of a head have come, if it has any: the rest has its time.
    fn is_begun(&mut self, slot: u32) {
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get_mut(slot as usize) else { return };
        let deadline = self.now.after(Tick::count(REQUEST_HEAD_TIMEOUT));
        if !arrival.head.is_empty() && deadline < arrival.deadline {
            arrival.deadline = deadline;
            self.arm(slot, deadline);
        }
    }

    /// Does what a head asks for.
    fn follow(&mut self, slot: u32, head: Head) {
        match head {
            Head::Partial => {}
            Head::Plain(request) => self.hand_over(slot, request),
            Head::Refuse(refusal) => self.refuse(slot, "bad_request", refusal),
            Head::Upgrade(upgrade) => self.authenticate(slot, upgrade),
            Head::ProxyHeader => self.refuse_proxy(slot),
        }
    }

    /// Refuses a connection with a PROXY header that is not read from there, and says what to set.
    fn refuse_proxy(&mut self, slot: u32) {
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get(slot as usize) else { return };
        if let Some(front) = &self.front
            && let Some(unsaid) = front.proxies.say()
        {
            let peer = arrival.peer;
            tracing::warn!(
                %peer,
                unsaid,
                "PROXY protocol header refused: set listen.proxy_protocol, and name the proxy in limits.trusted_proxies"
            );
        }
        let message = "The connection begins with a header of the PROXY protocol, which is not read from this address or is wrong.";
        self.refuse(slot, "bad_request", Refusal::explained(400, message));
    }

    /// The time of a request, or of last words, is over. A request whose token is being verified is whole.
    pub(super) fn is_late(&mut self, slot: u32) {
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Arriving(arrival)) if arrival.verifying.is_some() => {
                arrival.deadline = self.now.after(Tick::count(REQUEST_HEAD_TIMEOUT));
                let deadline = arrival.deadline;
                return self.arm(slot, deadline);
            }
            Some(State::Arriving(arrival)) if !arrival.head.is_empty() => {
                self.shared.metrics.connects.inc("bad_request");
            }
            _ => {}
        }
        self.slots.remove(slot as usize);
    }

    /// Gives a connection to axum, with what was read of it.
    fn hand_over(&mut self, slot: u32, request: PlainRequest) {
        let Some(front) = &self.front else { return };
        let plain = front.plain.clone();
        let Some(place) = plain.place(request.purpose) else {
            return self.refuse(slot, "limited", Refusal::busy("Too many requests at once."));
        };
        let Some(mut arrival) = self.take_arrival(slot) else { return };
        self.slots.remove(slot as usize);
        // Fails only for a socket that is not registered.
        let _ = self.poll.registry().deregister(&mut arrival.socket);
        let Arrival { socket, head, peer, .. } = arrival;
        plain.take(Handover { socket: socket.into(), read: head, peer, request, place });
    }

    /// Finds out whether a client's token is good: from memory, or on the verifying thread.
    fn authenticate(&mut self, slot: u32, mut upgrade: Upgrade) {
        if let Some(guest) = upgrade.guest.take() {
            return self.admit(slot, upgrade, guest);
        }
        let Some(token) = upgrade.token.take() else { return self.reject(slot, Rejection::Missing) };
        if let Some(known) = self.shared.authenticator.verifier.recall(&token, Policy::Application) {
            return self.judge(slot, upgrade, known);
        }
        let limit = self.shared.config.limits.handshakes_in_flight;
        let Some(front) = &mut self.front else { return };
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get_mut(slot as usize) else { return };
        front.tickets += 1;
        if front.verifying < limit {
            front.verifying += 1;
            front.verification.ask(slot, front.tickets, token);
        } else {
            upgrade.token = Some(token);
            front.waiting.push_back((slot, front.tickets));
        }
        arrival.verifying = Some(Box::new((front.tickets, upgrade)));
    }

    /// Hears what became of a token, and has the next one verified.
    pub(super) fn verified(&mut self, verdict: Verdict) {
        if !verdict.late {
            self.verify_next();
        }
        if awaited(self.slots.get_mut(verdict.slot as usize), verdict.ticket).is_none() {
            return;
        }
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get_mut(verdict.slot as usize) else {
            return;
        };
        if let Some(verified) = arrival.verifying.take() {
            let (_, upgrade) = *verified;
            self.judge(verdict.slot, upgrade, verdict.claims);
        }
    }

    /// A token waits for newer keys: others need not wait for it.
    pub(super) fn keys_awaited(&mut self) {
        self.verify_next();
    }

    /// The verifying thread is done with one token: it gets the next.
    fn verify_next(&mut self) {
        let Some(front) = &mut self.front else { return };
        front.verifying -= 1;
        while let Some((slot, ticket)) = front.waiting.pop_front() {
            let upgrade = awaited(self.slots.get_mut(slot as usize), ticket);
            if let Some(token) = upgrade.and_then(|upgrade| upgrade.token.take()) {
                front.verifying += 1;
                front.verification.ask(slot, ticket, token);
                break;
            }
        }
    }

    fn judge(&mut self, slot: u32, upgrade: Upgrade, claims: Result<Arc<Claims>, Rejection>) {
        match claims {
            Err(rejection) => self.reject(slot, rejection),
            Ok(claims) => self.admit(slot, upgrade, Guest::User(claims)),
        }
    }

    /// Brings a client to its reactor.
    fn admit(&mut self, slot: u32, upgrade: Upgrade, guest: Guest) {
        let take = |id: &str| self.shared.negotiations.take(id, guest.hub(), Transport::WebSockets);
        let refusal = match upgrade.id.as_deref().map(take) {
            None | Some(Standing::Fresh) => None,
            Some(Standing::Used(Transport::WebSockets)) => Some(Refusal::text(409, "")),
            Some(Standing::Used(_)) => Some(Refusal::other_transport()),
            Some(Standing::Unknown) => {
                Some(Refusal { body: b"No Connection with that ID".to_vec(), ..Refusal::bare(404) })
            }
        };
        if let Some(refusal) = refusal {
            return self.refuse(slot, "bad_request", refusal);
        }
        let Some(Slot { state: State::Arriving(arrival), .. }) = self.slots.get(slot as usize) else { return };
        if let Some(front) = &self.front
            && self.clients + self.peers_clients() >= front.acceptor.most_clients()
        {
            front.acceptor.complain();
            return self.refuse(slot, "limited", Refusal::full(Full::Hub));
        }
        let limits = &self.shared.config.limits;
        let place = match self.shared.census.admit(limits, arrival.peer, &upgrade.forwarded) {
            Ok(place) => place,
            Err(full) => return self.refuse(slot, "limited", Refusal::full(full)),
        };
        let Some(arrival) = self.take_arrival(slot) else { return };
        let Arrival { mut socket, mut head, unread, .. } = arrival;
        let leftover = head.split_off(upgrade.length);
        let welcome =
            Welcome::Upgrade(headers::switching(&upgrade.accept, &self.shared.cors.headers(upgrade.origin.as_deref())));
        let owner = guest.id().map_or(self.number, |id| owner(id, self.peers.len()));
        let here = owner == self.number;
        if !here {
            self.slots.remove(slot as usize);
            // Fails only for a socket that is not registered.
            let _ = self.poll.registry().deregister(&mut socket);
        }
        let newcomer = Newcomer { socket, leftover, unread, guest, transport: Transport::WebSockets, place, welcome };
        if here { self.adopt(slot, newcomer) } else { self.peers[owner].send(Mail::Adopt(newcomer)) }
    }

    fn reject(&mut self, slot: u32, rejection: Rejection) {
        self.shared.metrics.auth_failures.inc(rejection.label());
        tracing::debug!(reason = rejection.label(), "a client was not authenticated");
        let outcome = match rejection {
            Rejection::Unavailable => "unavailable",
            Rejection::Scope => "forbidden",
            _ => "unauthorized",
        };
        self.refuse(slot, outcome, Refusal::rejected(rejection));
    }

    /// Answers a request and ends its connection.
    fn refuse(&mut self, slot: u32, outcome: &str, refusal: Refusal) {
        let Some(arrival) = self.take_arrival(slot) else { return };
        let origin = front_door::origin(&arrival.head);
        let refusal = self
            .shared
            .cors
            .headers(origin.as_deref())
            .into_iter()
            .fold(refusal, |refusal, (name, value)| refusal.with(name, value));
        self.shared.metrics.connects.inc(outcome);
        tracing::debug!(outcome, status = refusal.status, "a client was refused");
        self.depart(slot, arrival.socket, Outbox::of(&refusal.bytes(), self.now), REFUSAL_LINGERS);
    }

    /// Takes an arrival out of its slot, which is to be filled again or removed.
    fn take_arrival(&mut self, slot: u32) -> Option<Arrival> {
        match self.slots.get_mut(slot as usize)?.take() {
            State::Arriving(arrival) => Some(arrival),
            _ => None,
        }
    }
}

/// The upgrade that waits in a slot under this ticket.
fn awaited(slot: Option<&mut Slot>, ticket: u64) -> Option<&mut Upgrade> {
    match slot {
        Some(Slot { state: State::Arriving(arrival), .. }) => match arrival.verifying.as_deref_mut() {
            Some((number, upgrade)) if *number == ticket => Some(upgrade),
            _ => None,
        },
        _ => None,
    }
}
