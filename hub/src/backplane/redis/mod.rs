//! A backplane over Redis: what ASP.NET Core SignalR's servers say to each other there, so that they and this hub can serve
//! one fleet (`signalr.md` 9).
//!
//! ```text
//! publish -> reactors                     (at once, whatever Redis does)
//!         -> entries -> publisher -> Redis -> subscriber of every replica -> reactors
//! reactors -> subscriber -> entries          (what clients missed is looked up, what devices received is noted)
//! ```
//!
//! Names and bytes perform no I/O (`channel`, `invocation`, `incoming`, `group_command`, `subscriptions`, `records`, `lookup`).
//! `publisher` and `subscriber` have a connection each, which `dialer` opens, and `link` knows whether they are there. `entry` is
//! the queue between them.

mod backlog;
mod backoff;
pub mod channel;
mod dialer;
mod entry;
pub mod group_command;
pub mod incoming;
pub mod invocation;
mod link;
mod lookup;
mod lost;
mod publisher;
mod push;
pub mod records;
mod role;
mod room;
mod sentinel;
mod subscriber;
pub mod subscriptions;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use self::channel::Channels;
use self::dialer::Dialer;
use self::entry::{EntryQueue, Keep, Publish};
use self::invocation::Invocation;
use self::link::{Link, Side};
use self::publisher::Publisher;
use self::records::Records;
use self::room::Room;
use self::subscriber::{Ear, Here, Subscriber};
use super::{Full, Until};
use crate::config;
use crate::delivery::{Audience, Delivery};
use crate::reactor::{Presences, Reactors};
use crate::telemetry::{Metrics, Seldom};

/// What is wrong with something that came from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// Hands deliveries to the reactors of this process, and to those of others through Redis.
#[derive(Clone)]
pub struct Redis {
    reactors: Arc<Reactors>,
    channels: Channels,
    own: Uuid,
    entries: EntryQueue,
    /// For what Redis has not acknowledged.
    room: Arc<Room>,
    link: Arc<Link>,
}

impl Redis {
    /// Begins to connect to a Redis, from inside a tokio runtime; `presences` tells who is here.
    pub fn start(
        redis: &config::Redis,
        settings: &config::Backplane,
        catch_up: &config::CatchUp,
        installation: Option<Uuid>,
        reactors: Arc<Reactors>,
        presences: Presences,
        metrics: Arc<Metrics>,
    ) -> Redis {
        let (own, dialer) = (Uuid::new_v4(), Dialer(redis.clone()));
        let channels = Channels::new(&settings.channel_prefix);
        let records =
            Records::new(&settings.channel_prefix, catch_up.window, catch_up.enabled, dialer.others_have_moved());
        let link = Arc::new(Link::new(metrics.clone()));
        let (entries, queue) = entry::queue(metrics.clone());
        let (seldom, hearing) = (Seldom::default(), presences.hearing());
        let ear = Ear {
            channels: channels.clone(),
            own,
            reactors: reactors.clone(),
            seldom,
            hearing,
            metrics: metrics.clone(),
        };
        let here = Here::new(presences, installation, entries.clone());
        tokio::spawn(
            Subscriber { dialer: dialer.clone(), link: link.clone(), here, ear, spread: catch_up.spread }.run(),
        );
        tokio::spawn(Publisher { queue, dialer, link: link.clone(), metrics, records }.run());
        let room = Arc::new(Room::new(settings.hold, settings.hold_bytes));
        Redis { reactors, channels, own, entries, room, link }
    }

    /// Delivers here, and publishes. Gives the number of connections of this process that were reached.
    ///
    /// # Errors
    /// If too much waits for Redis; then nothing was delivered.
    pub(super) async fn publish(&self, delivery: Delivery, until: Until) -> Result<usize, Full> {
        let Some(channel) = self.channels.of(delivery.audience) else {
            return Ok(self.reactors.deliver(delivery, None).await.unwrap_or(0));
        };
        let bytes = Invocation::of(&delivery, self.own).write();
        let Some(place) = self.room.try_take(bytes.len()) else { return Err(Full(Box::new(delivery))) };
        let keep = match delivery.audience {
            Audience::LoginRequest(request) => Keep::Response(request),
            audience if delivery.covered => Keep::Note(audience, delivery.device),
            _ => Keep::Nothing,
        };
        let (done, acknowledged) = oneshot::channel();
        let publish = Publish { channel, bytes, keep, since: Instant::now(), done, _place: place };
        let reached = self.entries.publish(|| self.reactors.deliver(delivery, None), publish);
        // A reactor that is gone reaches nobody.
        let reached = reached.await.unwrap_or(0);
        match until {
            Until::Acknowledged => _ = acknowledged.await,
            Until::Held => tokio::select! {
                _ = acknowledged => {}
                () = self.link.broken(Side::Publishing) => {}
            },
        }
        Ok(reached)
    }

    /// Waits until Redis is there, for both ways.
    pub(super) async fn there(&self) {
        self.link.whole().await;
    }

    /// Waits until this replica hears the others.
    pub(super) async fn heard(&self) {
        self.link.working(Side::Hearing).await;
    }

    /// How much waits for Redis.
    pub(super) fn waiting(&self) -> usize {
        self.room.taken()
    }
}
