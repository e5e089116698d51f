//! The subscribing connection: subscribes and unsubscribes as clients connect and disconnect, and passes messages to the
//! reactors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, Value};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::connector::{Connected, Connector, PING_INTERVAL};
use super::inflight::{Admission, InflightDeliveries};
use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};
use super::link_health::{Half, LinkHealth};
use super::operation_queue::OperationQueue;
use super::reconnect_backoff::ReconnectBackoff;
use super::subscriptions::Subscriptions;
use super::wire::channel::{Channels, audiences};
use super::wire::message::BackplaneMessage;
use crate::catch_up::Timestamp;
use crate::delivery::Audience;
use crate::observability::{LogLimiter, Metrics};
use crate::reactor::{
    MissedQuery, PresenceEvent, PresenceReceiver, Reactors, Recipient, SubscribeGuard, WatermarkSender,
};

/// The most channels in one command.
const MAX_CHANNELS_PER_COMMAND: usize = 512;

/// The most presence events that are applied at once.
const MAX_EVENTS_PER_BATCH: usize = 1024;

/// The longest time that handshake responses wait. If the first connection takes longer, it counts as a gap.
const STARTUP_GAP_TOLERANCE: Duration = Duration::from_secs(1);

/// Keeps the subscribing connection open.
pub(super) struct Subscriber {
    pub(super) connector: Connector,
    pub(super) link: Arc<LinkHealth>,
    pub(super) presence: PresenceState,
    pub(super) handler: MessageHandler,
    /// The time over which the syncs of all clients are spread after a gap (`decisions.md` 5).
    pub(super) spread: Duration,
}

/// The connected clients, and the subscriptions for them.
pub(super) struct PresenceState {
    presence_events: PresenceReceiver,
    installation: Option<Uuid>,
    subscriptions: Subscriptions,
    /// Hold back handshake responses until the next SUBSCRIBE is acknowledged.
    subscribe_guards: Vec<SubscribeGuard>,
    /// Lookups to start after the next SUBSCRIBE is acknowledged.
    pending_lookups: Vec<(Recipient, MissedQuery)>,
    operations: OperationQueue,
}

/// Passes messages of the backplane to the reactors.
pub(super) struct MessageHandler {
    pub(super) channels: Channels,
    /// The id under which this process publishes.
    pub(super) own_id: Uuid,
    pub(super) reactors: Arc<Reactors>,
    pub(super) log_limiter: LogLimiter,
    pub(super) watermark: WatermarkSender,
    pub(super) metrics: Arc<Metrics>,
}

impl Subscriber {
    /// Runs until the reactors have ended.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut may_have_gap, started) = (ReconnectBackoff::default(), false, Instant::now());
        loop {
            let opened = tokio::select! {
                opened = self.connector.pubsub() => opened,
                () = self.presence.apply_until_closed() => return,
            };
            let ended = match opened {
                Ok(connected) => {
                    self.listen(connected, may_have_gap || started.elapsed() > STARTUP_GAP_TOLERANCE, &mut backoff)
                        .await
                }
                Err(error) => Err(error),
            };
            let Err(error) = ended else { return };
            may_have_gap = true;
            self.presence.on_disconnected();
            self.handler.watermark.set(Timestamp::default());
            self.link.mark_down(Half::Subscribe, &error.to_string());
            tokio::select! {
                () = sleep(backoff.next_delay()) => {}
                () = self.presence.apply_until_closed() => return,
            }
            self.presence.subscribe_guards.clear();
            self.presence.pending_lookups.clear();
        }
    }

    /// Serves one connection until it fails. `may_have_gap` is `true` if messages may have been missed before.
    async fn listen(
        &mut self,
        connected: Connected<PubSub>,
        may_have_gap: bool,
        backoff: &mut ReconnectBackoff,
    ) -> Result<(), RedisLinkError> {
        let Subscriber { connector, link, presence, handler, spread } = self;
        let Connected { connection, server } = connected;
        let (mut sink, stream) = connection.split();
        presence.subscriptions.reset_active();
        subscribe(&mut sink, &handler.channels.always_subscribed()).await?;
        presence.update_subscriptions(&mut sink, &handler.channels).await?;
        link.mark_up(Half::Subscribe);
        presence.presence_events.set_awaits_subscription(true);
        backoff.on_connected();
        let sync_all = || {
            let after = connector.peer_failover_grace(&server);
            handler.reactors.sync_all(after, spread.saturating_sub(after));
        };
        if may_have_gap {
            sync_all();
        }
        tokio::select! {
            () = handler.run(stream, sync_all) => Err(RedisLinkError::Closed),
            ended = connector.run_while_master(&server, presence.run(&mut sink, &handler.channels)) => ended,
        }
    }
}

impl PresenceState {
    /// Creates the state without clients. `installation` is the installation that the hub serves.
    pub(super) fn new(
        presence_events: PresenceReceiver,
        installation: Option<Uuid>,
        operations: OperationQueue,
    ) -> PresenceState {
        let (subscriptions, subscribe_guards, pending_lookups) = (Subscriptions::default(), Vec::new(), Vec::new());
        PresenceState { presence_events, installation, subscriptions, subscribe_guards, pending_lookups, operations }
    }

    fn apply(&mut self, event: PresenceEvent) {
        match event {
            PresenceEvent::Connected(recipient, guard, query) => {
                audiences(&recipient, self.installation).for_each(|audience| self.subscriptions.join(audience));
                self.subscribe_guards.extend(guard);
                self.pending_lookups.extend(query.map(|query| (recipient, query)));
            }
            PresenceEvent::Disconnected(recipient) => {
                audiences(&recipient, self.installation).for_each(|audience| self.subscriptions.leave(audience));
            }
            PresenceEvent::DeviceReceived(user, device, received) => {
                self.operations.record_received(user, device, received)
            }
        }
    }

    /// Applies presence events until the reactors have ended.
    async fn apply_until_closed(&mut self) {
        while let Some(event) = self.presence_events.recv().await {
            self.apply(event);
        }
    }

    /// Handles a disconnect: releases handshake responses, and drops lookups, which results in "unknown".
    fn on_disconnected(&mut self) {
        self.presence_events.set_awaits_subscription(false);
        self.subscribe_guards.clear();
        self.pending_lookups.clear();
    }

    /// Subscribes to new channels, releases the handshake responses that waited for them, and starts their lookups. Then
    /// unsubscribes from channels that are not needed any more.
    async fn update_subscriptions(&mut self, sink: &mut PubSubSink, channels: &Channels) -> Result<(), RedisLinkError> {
        let change = self.subscriptions.take_changes();
        let names = |audiences: Vec<Audience>| -> Vec<String> {
            audiences.into_iter().filter_map(|audience| channels.name_for(audience)).collect()
        };
        subscribe(sink, &names(change.subscribe)).await?;
        self.subscribe_guards.clear();
        // The clients receive every push that is published from now on. Earlier pushes are recorded in Redis.
        self.pending_lookups.drain(..).for_each(|(recipient, query)| self.operations.look_up(recipient, query));
        for names in names(change.unsubscribe).chunks(MAX_CHANNELS_PER_COMMAND) {
            timeout(REQUEST_TIMEOUT, sink.unsubscribe(names)).await??;
        }
        Ok(())
    }

    /// Applies presence events and updates the subscriptions until the reactors have ended.
    async fn run(&mut self, sink: &mut PubSubSink, channels: &Channels) -> Result<(), RedisLinkError> {
        let mut pinged = Instant::now();
        let mut events = Vec::new();
        loop {
            match timeout(PING_INTERVAL, self.presence_events.recv_many(&mut events, MAX_EVENTS_PER_BATCH)).await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => events.drain(..).for_each(|event| self.apply(event)),
                Err(_) => {}
            }
            self.update_subscriptions(sink, channels).await?;
            if pinged.elapsed() >= PING_INTERVAL {
                let _: Value = timeout(REQUEST_TIMEOUT, sink.ping()).await??;
                pinged = Instant::now();
            }
        }
    }
}

async fn subscribe(sink: &mut PubSubSink, names: &[String]) -> Result<(), RedisLinkError> {
    for names in names.chunks(MAX_CHANNELS_PER_COMMAND) {
        timeout(REQUEST_TIMEOUT, sink.subscribe(names)).await??;
    }
    Ok(())
}

impl MessageHandler {
    /// Passes messages to the reactors, in order, until the connection ends. The library buffers messages without a bound, so
    /// messages are read even if the reactors cannot keep up. They are dropped then, which counts as a gap.
    async fn run(&self, mut stream: PubSubStream, sync_all: impl Fn()) {
        let mut inflight = InflightDeliveries::default();
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = inflight.resumed() => {
                    tracing::info!("redis messages accepted again; all clients will sync");
                    sync_all();
                    continue;
                }
            };
            let Some(message) = message else { return };
            self.metrics.backplane_messages.inc("received");
            match inflight.admit() {
                Admission::Accept => {}
                Admission::Overflowed => {
                    tracing::warn!("redis messages dropped; reactors do not keep up");
                    continue;
                }
                Admission::Dropping => continue,
            }
            if let Some(published) = self.handle(&message, &mut inflight) {
                self.watermark.set(published);
            }
        }
    }

    /// Passes a message to the reactors. Returns the time at which it was published, or `None` if it has none. All earlier
    /// messages were passed on, too.
    fn handle(&self, message: &Msg, inflight: &mut InflightDeliveries) -> Option<Timestamp> {
        let channel = self.channels.read(message.get_channel_name())?;
        match BackplaneMessage::read(channel, message.get_payload_bytes(), self.own_id, Instant::now()) {
            Ok(BackplaneMessage::Push(delivery, published)) => {
                inflight.add(message.get_payload_bytes().len(), self.reactors.deliver(delivery, published));
                published
            }
            Ok(BackplaneMessage::Foreign(delivery)) => {
                self.metrics.backplane_foreign_pushes.inc();
                inflight.add(message.get_payload_bytes().len(), self.reactors.deliver(delivery, None));
                None
            }
            Ok(BackplaneMessage::Own(published)) => published,
            Ok(BackplaneMessage::Heartbeat | BackplaneMessage::GroupCommand(_)) => None,
            Err(malformed) => {
                if let Some(suppressed) = self.log_limiter.allow() {
                    tracing::warn!(%malformed, suppressed, "redis message of another server ignored");
                }
                None
            }
        }
    }
}
