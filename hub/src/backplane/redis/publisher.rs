//! Publishes, in order: what Redis has not acknowledged is kept and published again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::backoff::{after_losses, others_are_back};
use super::dialer::{Dialed, Dialer, SILENCE};
use super::link::{Link, Side};
use super::lost::{Lost, PATIENCE};
use super::records::{self, PUSHED, RESPONSES_KEPT, Records, Run, milliseconds};
use crate::backoff::{Backoff, random};
use crate::delivery::Audience;
use crate::notification::Device;
use crate::telemetry::Metrics;

/// How many are published at once.
const BATCH: usize = 256;

/// How long nothing is noted after Redis has refused to.
const REFUSED: Duration = Duration::from_secs(60);

/// Something to publish.
pub(super) struct Publish {
    /// Where.
    pub(super) channel: String,
    /// What.
    pub(super) bytes: Vec<u8>,
    /// What of it is kept.
    pub(super) keep: Keep,
    /// When it was given.
    pub(super) since: Instant,
    /// Told once Redis has acknowledged it.
    pub(super) done: oneshot::Sender<()>,
    /// What it takes of the room for those that wait.
    pub(super) _place: OwnedSemaphorePermit,
}

/// What of a publish is kept in Redis, for those who are not here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    /// Nothing.
    Nothing,
    /// That it was, and who caused it.
    Note(Audience, Option<Device>),
    /// All of it, as the answer to a login request.
    Response(Uuid),
}

/// Publishes what comes through a queue.
pub(super) struct Publisher {
    /// What waits; bounded by the places that are given out.
    pub(super) queue: UnboundedReceiver<Publish>,
    pub(super) dialer: Dialer,
    pub(super) link: Arc<Link>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) records: Records,
}

impl Publisher {
    /// Publishes until nobody can give anything any more.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut unacknowledged, mut away) = (after_losses(), VecDeque::new(), None::<Instant>);
        loop {
            let lost = match self.dialer.multiplexed().await {
                Ok(Dialed { connection, server }) => {
                    // What was kept is for replicas that have to listen again first: nobody else would publish it to them.
                    if let Some(away) = away {
                        sleep(others_are_back(away.elapsed())).await;
                    }
                    let dialer = self.dialer.clone();
                    let serve = self.serve(connection, &mut unacknowledged, &mut backoff, &mut away);
                    match dialer.led(&server, serve).await {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            away.get_or_insert_with(Instant::now);
            self.link.fails(Side::Publishing, &lost.to_string());
            sleep(backoff.pause(random())).await;
        }
    }

    async fn serve(
        &mut self,
        connection: MultiplexedConnection,
        unacknowledged: &mut VecDeque<Publish>,
        backoff: &mut Backoff,
        away: &mut Option<Instant>,
    ) -> Result<(), Lost> {
        let mut outlet = Outlet::new(connection, &self.records, &self.metrics);
        outlet.begin_to_note().await?;
        if unacknowledged.is_empty() {
            outlet.ping().await?;
        }
        loop {
            outlet.publish(unacknowledged).await?;
            self.link.works(Side::Publishing);
            backoff.reset();
            *away = None;
            let mut fresh = Vec::new();
            match timeout(SILENCE, self.queue.recv_many(&mut fresh, BATCH)).await {
                Ok(0) => return Ok(()),
                Ok(_) => unacknowledged.extend(fresh),
                Err(_) => outlet.ping().await?,
            }
        }
    }
}

/// A connection on which is published, and on which it is noted what was.
struct Outlet<'a> {
    connection: MultiplexedConnection,
    records: &'a Records,
    metrics: &'a Metrics,
    notes: Notes,
}

/// Whether Redis keeps notes of pushes.
enum Notes {
    /// It does, in this run's records.
    Kept(Run),
    /// It did not when it was asked last.
    Refused(Option<Run>, Instant),
    /// They are not wanted.
    Unwanted,
}

impl Outlet<'_> {
    fn new<'a>(connection: MultiplexedConnection, records: &'a Records, metrics: &'a Metrics) -> Outlet<'a> {
        Outlet { connection, records, metrics, notes: Notes::Unwanted }
    }

    async fn ping(&mut self) -> Result<(), Lost> {
        let _: Value = timeout(PATIENCE, redis::cmd("PING").query_async(&mut self.connection)).await??;
        Ok(())
    }

    /// Finds out where notes are kept.
    async fn begin_to_note(&mut self) -> Result<(), Lost> {
        if self.records.enabled {
            let mut info = redis::cmd("INFO");
            let info: RedisResult<String> =
                timeout(PATIENCE, info.arg("server").query_async(&mut self.connection)).await?;
            self.notes = match info {
                Ok(info) => self.records.run(&info).map_or_else(|| Notes::Refused(None, Instant::now()), Notes::Kept),
                Err(error) if is_of_the_command(&error) => Notes::Refused(None, Instant::now()),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }

    /// Publishes all that waits, and keeps what Redis refuses.
    async fn publish(&mut self, waiting: &mut VecDeque<Publish>) -> Result<(), Lost> {
        while !waiting.is_empty() {
            if matches!(self.notes, Notes::Refused(_, since) if since.elapsed() > REFUSED) {
                self.begin_to_note().await?;
            }
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            let counts: Vec<usize> = waiting.iter().map(|publish| self.ask(publish, &mut pipe)).collect();
            let results: Vec<RedisResult<Value>> = timeout(PATIENCE, pipe.query_async(&mut self.connection)).await??;
            // Should there be fewer answers than questions, what lacks one is published again.
            let mut results = results.into_iter();
            let (mut refused, mut kept) = (None, VecDeque::new());
            for (publish, count) in waiting.drain(..).zip(counts) {
                // The last command is the one that publishes.
                match results.by_ref().take(count).last() {
                    Some(Ok(_)) => {
                        self.metrics.backplane_seconds.observe(publish.since.elapsed().as_secs_f64());
                        self.metrics.backplane_messages.inc("published");
                        // Who does not wait any more need not know.
                        let _ = publish.done.send(());
                    }
                    other => {
                        refused = other.and_then(Result::err).or(refused);
                        kept.push_back(publish);
                    }
                }
            }
            *waiting = kept;
            match refused {
                Some(error) if is_of_the_command(&error) => match std::mem::replace(&mut self.notes, Notes::Unwanted) {
                    Notes::Kept(run) => {
                        tracing::warn!(reason = %error, "Redis keeps no notes of pushes: clients that come back are told to sync");
                        self.notes = Notes::Refused(Some(run), Instant::now());
                    }
                    notes => {
                        self.notes = notes;
                        return Err(error.into());
                    }
                },
                Some(error) => return Err(error.into()),
                None if waiting.is_empty() => {}
                None => return Err(Lost::Ended),
            }
        }
        Ok(())
    }

    /// Adds what publishes something to what is asked of Redis; how many commands that takes.
    fn ask(&self, publish: &Publish, pipe: &mut Pipeline) -> usize {
        let Publish { channel, bytes, .. } = publish;
        let mut count = 1;
        match (publish.keep, &self.notes) {
            (Keep::Note(audience, device), Notes::Kept(run)) => {
                if let Some(key) = run.pushes(audience) {
                    let pushed = pipe.cmd("EVAL").arg(PUSHED).arg(1).arg(key).arg(channel).arg(&bytes[..]);
                    pushed.arg(records::by(device)).arg(milliseconds(self.records.window));
                    return count;
                }
            }
            (Keep::Note(..), Notes::Refused(Some(run), _)) => {
                // Nobody may think that what is not noted has not been.
                pipe.cmd("DEL").arg(run.began());
                self.metrics.catch_up_dropped.inc();
                count += 1;
            }
            (Keep::Response(request), _) => {
                // First of all: who joins between the two gets it twice rather than never.
                let kept = pipe.cmd("SET").arg(self.records.response(request)).arg(&bytes[..]);
                kept.arg("PX").arg(milliseconds(RESPONSES_KEPT));
                count += 1;
            }
            _ => {}
        }
        pipe.cmd("PUBLISH").arg(channel).arg(&bytes[..]);
        count
    }
}

/// Whether an error is about what was asked for, and not about who was asked: that one can't serve now.
fn is_of_the_command(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    let cannot =
        matches!(error.kind(), ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain));
    error.code().is_some() && !cannot
}
