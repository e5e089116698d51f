//! Works through the queue of entries, in order, on one connection: what Redis has not acknowledged is kept and done again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::backoff::{Backoff, others_are_back};
use super::dialer::{Dialed, Dialer, SILENCE};
use super::entry::{Entry, Keep, Publish};
use super::link::{Link, Side};
use super::lookup::{self, Found, Lookup};
use super::lost::{Lost, PATIENCE};
use super::records::{self, Began, PUSHED, RECEIVED, RESPONSES_KEPT, Records, Run, milliseconds};
use crate::catch_up::Answer;
use crate::reactor::{Member, Question};
use crate::telemetry::{Metrics, Seldom};

/// How many entries are worked on at once.
const BATCH: usize = 256;

/// How long nothing is noted after Redis has refused to.
const REFUSED: Duration = Duration::from_secs(60);

/// Publishes, looks up and notes what comes through a queue.
pub(super) struct Publisher {
    /// What waits; bounded by the permits that the entries hold.
    pub(super) queue: UnboundedReceiver<Entry>,
    pub(super) dialer: Dialer,
    pub(super) link: Arc<Link>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) records: Records,
}

impl Publisher {
    /// Works until no entry can come any more.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut unacknowledged) = (Backoff::default(), VecDeque::new());
        loop {
            let lost = match self.dialer.multiplexed().await {
                Ok(Dialed { connection, server }) => {
                    // What was kept is for replicas that have to listen again first: nobody else would publish it to them.
                    if let Some(away) = backoff.away() {
                        sleep(others_are_back(away)).await;
                    }
                    let dialer = self.dialer.clone();
                    let serve = self.serve(connection, &mut unacknowledged, &mut backoff);
                    match dialer.led(&server, serve).await {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            self.link.fails(Side::Publishing, &lost.to_string());
            // Clients do not wait for Redis to come back: dropped, what they missed is unknown.
            while let Ok(entry) = self.queue.try_recv() {
                unacknowledged.push_back(entry);
            }
            unacknowledged.retain(|entry| !matches!(entry, Entry::Lookup { .. }));
            sleep(backoff.pause()).await;
        }
    }

    async fn serve(
        &mut self,
        connection: MultiplexedConnection,
        unacknowledged: &mut VecDeque<Entry>,
        backoff: &mut Backoff,
    ) -> Result<(), Lost> {
        let mut outlet = Outlet::new(connection, &self.records, &self.metrics);
        outlet.begin_to_note().await?;
        if unacknowledged.is_empty() {
            outlet.ping().await?;
        }
        let mut pinged = Instant::now();
        loop {
            outlet.work_off(unacknowledged).await?;
            self.link.works(Side::Publishing);
            backoff.reset();
            let mut fresh = Vec::new();
            match timeout(SILENCE, self.queue.recv_many(&mut fresh, BATCH)).await {
                Ok(0) => return Ok(()),
                Ok(_) => unacknowledged.extend(fresh),
                Err(_) => {}
            }
            if pinged.elapsed() >= SILENCE {
                outlet.ping().await?;
                pinged = Instant::now();
            }
        }
    }
}

/// A connection on which is published, looked up and noted.
struct Outlet<'a> {
    connection: MultiplexedConnection,
    records: &'a Records,
    metrics: &'a Metrics,
    notes: Notes,
    /// Whether Redis may evict keys.
    may_evict: bool,
    /// How many it had evicted when it was asked last.
    evicted: u64,
    seldom: Seldom,
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
        let (notes, seldom) = (Notes::Unwanted, Seldom::default());
        Outlet { connection, records, metrics, notes, may_evict: false, evicted: 0, seldom }
    }

    async fn ping(&mut self) -> Result<(), Lost> {
        if let Notes::Kept(_) = self.notes {
            // Its settings may change while it runs.
            let mut info = redis::cmd("INFO");
            let info: String = timeout(PATIENCE, info.arg("memory").query_async(&mut self.connection)).await??;
            self.may_evict = records::may_evict(&info);
            return Ok(());
        }
        let _: Value = timeout(PATIENCE, redis::cmd("PING").query_async(&mut self.connection)).await??;
        Ok(())
    }

    /// Finds out where notes are kept.
    async fn begin_to_note(&mut self) -> Result<(), Lost> {
        if self.records.enabled {
            let info: RedisResult<String> =
                timeout(PATIENCE, redis::cmd("INFO").query_async(&mut self.connection)).await?;
            self.notes = match info {
                Ok(info) => {
                    self.may_evict = records::may_evict(&info);
                    self.evicted = records::evicted(&info).unwrap_or_default();
                    self.records.run(&info).map_or_else(|| Notes::Refused(None, Instant::now()), Notes::Kept)
                }
                Err(error) if is_of_the_command(&error) => Notes::Refused(None, Instant::now()),
                Err(error) => return Err(error.into()),
            };
            if let Notes::Kept(run) = &self.notes {
                let run = run.clone();
                self.begin_records(&run, false).await?;
            }
        }
        Ok(())
    }

    /// Has the records begin now: unless they have begun, or `anew`.
    async fn begin_records(&mut self, run: &Run, anew: bool) -> Result<(), Lost> {
        let now: RedisResult<Value> = timeout(PATIENCE, redis::cmd("TIME").query_async(&mut self.connection)).await?;
        let began = match now.and_then(lookup::time) {
            Ok(at) => Began { at, evicted: self.evicted },
            // Without them what clients missed is unknown, which is safe.
            Err(error) if is_of_the_command(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut set = redis::cmd("SET");
        set.arg(run.began()).arg(began.write());
        if !anew {
            set.arg("NX");
        }
        let set: RedisResult<Value> = timeout(PATIENCE, set.query_async(&mut self.connection)).await?;
        match set {
            Err(error) if !is_of_the_command(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Does all that waits, and keeps the pushes that Redis refuses.
    async fn work_off(&mut self, waiting: &mut VecDeque<Entry>) -> Result<(), Lost> {
        while !waiting.is_empty() {
            if matches!(self.notes, Notes::Refused(_, since) if since.elapsed() > REFUSED) {
                self.begin_to_note().await?;
            }
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            let asks_evicted = self.may_evict && waiting.iter().any(|entry| matches!(entry, Entry::Lookup { .. }));
            let counts: Vec<usize> = waiting.iter().map(|entry| self.ask(entry, &mut pipe)).collect();
            if asks_evicted {
                // Last: what was evicted before a lookup read its keys is counted by then.
                pipe.cmd("INFO").arg("stats");
            }
            let mut results = Vec::new();
            if !pipe.is_empty() {
                results = timeout(PATIENCE, pipe.query_async(&mut self.connection)).await??;
            }
            if asks_evicted && let Some(Ok(info)) = results.pop() {
                let info: RedisResult<String> = redis::from_redis_value(info).map_err(RedisError::from);
                self.evicted = records::evicted(&info?).unwrap_or(self.evicted);
            }
            let incomplete = self.take(waiting, counts, results)?;
            if let (true, Notes::Kept(run)) = (incomplete, &self.notes) {
                let run = run.clone();
                self.begin_records(&run, true).await?;
            }
        }
        Ok(())
    }

    /// Takes the results of what waited; what is left waiting is to be done again. Returns whether the records have to begin anew.
    fn take(
        &mut self,
        waiting: &mut VecDeque<Entry>,
        counts: Vec<usize>,
        results: Vec<RedisResult<Value>>,
    ) -> Result<bool, Lost> {
        // Should there be fewer answers than questions, what lacks one is done again.
        let mut results = results.into_iter();
        let (mut refused, mut kept, mut incomplete) = (None, VecDeque::new(), false);
        for (entry, count) in waiting.drain(..).zip(counts) {
            let mut results: Vec<RedisResult<Value>> = results.by_ref().take(count).collect();
            match entry {
                // The last command is the one that publishes.
                Entry::Publish(publish) => match results.pop() {
                    Some(Ok(_)) => {
                        self.metrics.backplane_seconds.observe(publish.since.elapsed().as_secs_f64());
                        self.metrics.backplane_messages.inc("published");
                        // A sender that does not wait any more need not know.
                        let _ = publish.done.send(());
                    }
                    other => {
                        refused = other.and_then(Result::err).or(refused);
                        kept.push_back(Entry::Publish(publish));
                    }
                },
                // Behind a push that is not noted yet nothing is known.
                Entry::Lookup { .. } if !kept.is_empty() => {}
                Entry::Lookup { member, question, .. } => incomplete |= self.answer(member, question, results),
                Entry::Received { .. } => match results.pop() {
                    Some(Ok(_)) => {}
                    _ => self.metrics.catch_up_dropped.inc(),
                },
            }
        }
        *waiting = kept;
        match refused {
            Some(error) if is_of_the_command(&error) => match std::mem::replace(&mut self.notes, Notes::Unwanted) {
                Notes::Kept(run) => {
                    tracing::warn!(reason = %error, "Redis keeps no notes of pushes: clients that come back are told to sync");
                    self.notes = Notes::Refused(Some(run), Instant::now());
                    Ok(false)
                }
                notes => {
                    self.notes = notes;
                    Err(error.into())
                }
            },
            Some(error) => Err(error.into()),
            None if waiting.is_empty() => Ok(incomplete),
            None => Err(Lost::Ended),
        }
    }

    /// Answers what a client missed, by the results of a lookup. Returns whether the records have to begin anew.
    fn answer(&self, member: Member, question: Question, results: Vec<RedisResult<Value>>) -> bool {
        match self.lookup().found(&member, &question, results) {
            Ok(Found::Missed(answer)) => question.answer(answer),
            Ok(Found::Incomplete(answer)) => {
                question.answer(answer);
                return true;
            }
            Ok(Found::LoginResponse(response)) => question.respond(response),
            Err(error) => {
                if let Some(unsaid) = self.seldom.say() {
                    tracing::warn!(reason = %error, unsaid, "Redis does not tell what clients missed: they are told to sync");
                }
                question.answer(Answer::UNKNOWN);
            }
        }
        false
    }

    fn lookup(&self) -> Lookup<'_> {
        let run = match &self.notes {
            Notes::Kept(run) => Some(run),
            Notes::Refused(..) | Notes::Unwanted => None,
        };
        Lookup { records: self.records, run, evicted: self.may_evict.then_some(self.evicted) }
    }

    /// Adds the commands of an entry to what is asked of Redis; returns how many they are.
    fn ask(&self, entry: &Entry, pipe: &mut Pipeline) -> usize {
        match (entry, &self.notes) {
            (Entry::Publish(publish), _) => self.publish(publish, pipe),
            (Entry::Lookup { member, question, .. }, _) => self.lookup().ask(member, question, pipe),
            (Entry::Received { user, device, until, .. }, Notes::Kept(run)) => {
                let (key, window) = (run.device(*user, *device), milliseconds(self.records.window));
                pipe.cmd("EVAL").arg(RECEIVED).arg(1).arg(key).arg(until.0).arg(window);
                1
            }
            (Entry::Received { .. }, Notes::Refused(..) | Notes::Unwanted) => 0,
        }
    }

    /// Adds the commands that publish a push; returns how many they are.
    fn publish(&self, publish: &Publish, pipe: &mut Pipeline) -> usize {
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
