//! Listens for whoever is here: subscribes and unsubscribes as clients come and go, and hands on what is heard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, Value};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::backlog::{Backlog, Room};
use super::backoff::Backoff;
use super::channel::{Channels, audiences};
use super::dialer::{Dialed, Dialer, SILENCE};
use super::entry::EntryQueue;
use super::incoming::Incoming;
use super::link::{Link, Side};
use super::lost::{Lost, PATIENCE};
use super::subscriptions::Subscriptions;
use crate::catch_up::Moment;
use crate::delivery::Audience;
use crate::reactor::{Hearing, Member, Presence, Presences, Question, Reactors, Ticket};
use crate::telemetry::{Metrics, Seldom};

/// How many channels one command names at the most.
const CHANNELS: usize = 512;

/// How many clients are looked at at once.
const BATCH: usize = 1024;

/// Newcomers wait for so long at the most: a first connection that takes longer is a gap.
const NO_GAP: Duration = Duration::from_secs(1);

/// Keeps a connection that listens.
pub(super) struct Subscriber {
    pub(super) dialer: Dialer,
    pub(super) link: Arc<Link>,
    pub(super) here: Here,
    pub(super) ear: Ear,
    /// Over how long all clients are told to sync after a gap (`decisions.md` 5).
    pub(super) spread: Duration,
}

/// Who is here, and what is therefore listened to.
pub(super) struct Here {
    presences: Presences,
    installation: Option<Uuid>,
    subscriptions: Subscriptions,
    /// Of those who wait to be listened for.
    tickets: Vec<Ticket>,
    /// Those of whom will be asked what they missed, once they are listened for.
    newcomers: Vec<(Member, Question)>,
    entries: EntryQueue,
}

/// Hands on what is heard.
pub(super) struct Ear {
    pub(super) channels: Channels,
    /// Under which this process publishes.
    pub(super) own: Uuid,
    pub(super) reactors: Arc<Reactors>,
    pub(super) seldom: Seldom,
    pub(super) hearing: Hearing,
    pub(super) metrics: Arc<Metrics>,
}

impl Subscriber {
    /// Listens until the reactors are gone.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut missed, begun) = (Backoff::default(), false, Instant::now());
        loop {
            let opened = tokio::select! {
                opened = self.dialer.pubsub() => opened,
                () = self.here.note() => return,
            };
            let ended = match opened {
                Ok(dialed) => self.listen(dialed, missed || begun.elapsed() > NO_GAP, &mut backoff).await,
                Err(lost) => Err(lost),
            };
            let Err(lost) = ended else { return };
            missed = true;
            self.here.lose();
            self.ear.hearing.until(Moment::default());
            self.link.fails(Side::Hearing, &lost.to_string());
            tokio::select! {
                () = sleep(backoff.pause()) => {}
                () = self.here.note() => return,
            }
            self.here.tickets.clear();
            self.here.newcomers.clear();
        }
    }

    /// Listens on a connection as long as it lasts. `missed`: something may have been published that nobody here heard.
    async fn listen(&mut self, dialed: Dialed<PubSub>, missed: bool, backoff: &mut Backoff) -> Result<(), Lost> {
        let Subscriber { dialer, link, here, ear, spread } = self;
        let Dialed { connection, server } = dialed;
        let (mut sink, stream) = connection.split();
        here.subscriptions.begin_anew();
        subscribe(&mut sink, &ear.channels.standing()).await?;
        here.ask(&mut sink, &ear.channels).await?;
        link.works(Side::Hearing);
        here.presences.let_wait(true);
        backoff.reset();
        let make_up = || {
            let after = dialer.others_have_moved();
            ear.reactors.sync_everybody(after, spread.saturating_sub(after));
        };
        if missed {
            make_up();
        }
        tokio::select! {
            () = ear.hear(stream, make_up) => Err(Lost::Ended),
            ended = dialer.led(&server, here.follow(&mut sink, &ear.channels)) => ended,
        }
    }
}

impl Here {
    /// Nobody yet, at a hub that serves this installation.
    pub(super) fn new(presences: Presences, installation: Option<Uuid>, entries: EntryQueue) -> Here {
        let (subscriptions, tickets, newcomers) = (Subscriptions::default(), Vec::new(), Vec::new());
        Here { presences, installation, subscriptions, tickets, newcomers, entries }
    }

    fn take(&mut self, presence: Presence) {
        match presence {
            Presence::Came(member, ticket, question) => {
                audiences(&member, self.installation).for_each(|audience| self.subscriptions.join(audience));
                self.tickets.extend(ticket);
                self.newcomers.extend(question.map(|question| (member, question)));
            }
            Presence::Went(member) => {
                audiences(&member, self.installation).for_each(|audience| self.subscriptions.leave(audience));
            }
            Presence::Received(user, device, received) => self.entries.note_received(user, device, received),
        }
    }

    /// Notes who comes and goes, until the reactors are gone.
    async fn note(&mut self) {
        while let Some(presence) = self.presences.next().await {
            self.take(presence);
        }
    }

    /// Nobody is listened for: nobody need wait, and nobody knows who missed what.
    fn lose(&mut self) {
        self.presences.let_wait(false);
        self.tickets.clear();
        self.newcomers.clear();
    }

    /// Subscribes to what is wanted, lets those go on who waited for that, and unsubscribes from the rest.
    async fn ask(&mut self, sink: &mut PubSubSink, channels: &Channels) -> Result<(), Lost> {
        let change = self.subscriptions.change();
        let names = |audiences: Vec<Audience>| -> Vec<String> {
            audiences.into_iter().filter_map(|audience| channels.of(audience)).collect()
        };
        subscribe(sink, &names(change.subscribe)).await?;
        self.tickets.clear();
        // What is published from now on they hear: what was published before, Redis knows.
        self.newcomers.drain(..).for_each(|(member, question)| self.entries.look_up(member, question));
        for names in names(change.unsubscribe).chunks(CHANNELS) {
            timeout(PATIENCE, sink.unsubscribe(names)).await??;
        }
        Ok(())
    }

    /// Follows who comes and goes, until the reactors are gone.
    async fn follow(&mut self, sink: &mut PubSubSink, channels: &Channels) -> Result<(), Lost> {
        let mut pinged = Instant::now();
        let mut news = Vec::new();
        loop {
            match timeout(SILENCE, self.presences.take(&mut news, BATCH)).await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => news.drain(..).for_each(|presence| self.take(presence)),
                Err(_) => {}
            }
            self.ask(sink, channels).await?;
            if pinged.elapsed() >= SILENCE {
                let _: Value = timeout(PATIENCE, sink.ping()).await??;
                pinged = Instant::now();
            }
        }
    }
}

async fn subscribe(sink: &mut PubSubSink, names: &[String]) -> Result<(), Lost> {
    for names in names.chunks(CHANNELS) {
        timeout(PATIENCE, sink.subscribe(names)).await??;
    }
    Ok(())
}

impl Ear {
    /// Hands on what is heard, in its order, until nothing more comes. What reactors have no time for is dropped, which is a
    /// gap: the library keeps what is not taken from it without a bound.
    async fn hear(&self, mut stream: PubSubStream, make_up: impl Fn()) {
        let mut backlog = Backlog::default();
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = backlog.relieved() => {
                    tracing::info!("reactors keep up with Redis again: everybody is told to sync");
                    make_up();
                    continue;
                }
            };
            let Some(message) = message else { return };
            self.metrics.backplane_messages.inc("heard");
            match backlog.room() {
                Room::Is => {}
                Room::IsNoMore => {
                    tracing::warn!("reactors do not keep up with Redis: its messages are dropped");
                    continue;
                }
                Room::IsNot => continue,
            }
            if let Some(published) = self.take(&message, &mut backlog) {
                self.hearing.until(published);
            }
        }
    }

    /// Hands on a message. Gives when it was published, if it tells: all that was before it has been handed on, too.
    fn take(&self, message: &Msg, backlog: &mut Backlog) -> Option<Moment> {
        let channel = self.channels.read(message.get_channel_name())?;
        match Incoming::read(channel, message.get_payload_bytes(), self.own, Instant::now()) {
            Ok(Incoming::Push(delivery, published)) => {
                backlog.add(message.get_payload_bytes().len(), self.reactors.deliver(delivery, published));
                published
            }
            Ok(Incoming::Foreign(delivery)) => {
                self.metrics.backplane_foreign_pushes.inc();
                backlog.add(message.get_payload_bytes().len(), self.reactors.deliver(delivery, None));
                None
            }
            Ok(Incoming::Own(published)) => published,
            Ok(Incoming::Heartbeat | Incoming::GroupCommand(_)) => None,
            Err(malformed) => {
                if let Some(unsaid) = self.seldom.say() {
                    tracing::warn!(%malformed, unsaid, "a message of another server was ignored");
                }
                None
            }
        }
    }
}
