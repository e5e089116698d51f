//! The publishing connection: works through the queue of operations, in order. What Redis has not acknowledged is kept and retried.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::backoff::{ReconnectBackoff, peer_reconnect_grace};
use super::connector::{Connected, Connector, PING_INTERVAL};
use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};
use super::link_health::{Half, LinkHealth};
use super::lookup::{self, Found, Lookup};
use super::operation::{Publish, RedisOperation, StoreMode};
use super::records::{
    self, LOGIN_RESPONSE_TTL, PUSH_SCRIPT, RECEIVED_SCRIPT, RecordKeys, RecordsStart, RunKeys, milliseconds,
};
use crate::catch_up::LookupResult;
use crate::observability::{LogLimiter, Metrics};
use crate::reactor::{MissedQuery, Recipient};

/// The most operations in one pipeline.
const MAX_BATCH_OPERATIONS: usize = 256;

/// How long no records are written after Redis has rejected them.
const RECORD_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the publishing connection and runs queued operations on it.
pub(super) struct Publisher {
    /// Bounded by the permits that the operations hold.
    pub(super) queue: UnboundedReceiver<RedisOperation>,
    pub(super) connector: Connector,
    pub(super) link: Arc<LinkHealth>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) records: RecordKeys,
}

impl Publisher {
    /// Runs until no more operations can come.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut unacknowledged) = (ReconnectBackoff::default(), VecDeque::new());
        loop {
            let error = match self.connector.multiplexed().await {
                Ok(Connected { connection, server }) => {
                    // What was kept is for replicas that have to listen again first: nobody else would publish it to them.
                    if let Some(away) = backoff.away() {
                        sleep(peer_reconnect_grace(away)).await;
                    }
                    let connector = self.connector.clone();
                    let serve = self.serve(connection, &mut unacknowledged, &mut backoff);
                    match connector.run_while_master(&server, serve).await {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.link.mark_down(Half::Publish, &error.to_string());
            // Clients do not wait for Redis to come back: dropped, what they missed is unknown.
            while let Ok(operation) = self.queue.try_recv() {
                unacknowledged.push_back(operation);
            }
            unacknowledged.retain(|operation| !matches!(operation, RedisOperation::Lookup { .. }));
            sleep(backoff.pause()).await;
        }
    }

    async fn serve(
        &mut self,
        connection: MultiplexedConnection,
        unacknowledged: &mut VecDeque<RedisOperation>,
        backoff: &mut ReconnectBackoff,
    ) -> Result<(), RedisLinkError> {
        let mut publisher = PublishConnection::new(connection, &self.records, &self.metrics);
        publisher.detect_record_mode().await?;
        if unacknowledged.is_empty() {
            publisher.ping().await?;
        }
        let mut pinged = Instant::now();
        loop {
            publisher.run_operations(unacknowledged).await?;
            self.link.mark_up(Half::Publish);
            backoff.reset();
            let mut fresh = Vec::new();
            match timeout(PING_INTERVAL, self.queue.recv_many(&mut fresh, MAX_BATCH_OPERATIONS)).await {
                Ok(0) => return Ok(()),
                Ok(_) => unacknowledged.extend(fresh),
                Err(_) => {}
            }
            if pinged.elapsed() >= PING_INTERVAL {
                publisher.ping().await?;
                pinged = Instant::now();
            }
        }
    }
}

/// The connection, with the state of the records in its Redis.
struct PublishConnection<'a> {
    connection: MultiplexedConnection,
    records: &'a RecordKeys,
    metrics: &'a Metrics,
    record_mode: RecordMode,
    /// Whether Redis may evict keys.
    may_evict: bool,
    /// How many it had evicted when it was asked last.
    evicted: u64,
    log_limiter: LogLimiter,
}

/// Whether pushes are recorded in Redis.
enum RecordMode {
    /// They are, under the keys of this run.
    On(RunKeys),
    /// Redis rejected the records at this time.
    Rejected(Option<RunKeys>, Instant),
    /// Catch-up is disabled.
    Off,
}

impl PublishConnection<'_> {
    fn new<'a>(
        connection: MultiplexedConnection,
        records: &'a RecordKeys,
        metrics: &'a Metrics,
    ) -> PublishConnection<'a> {
        let (record_mode, log_limiter) = (RecordMode::Off, LogLimiter::default());
        PublishConnection { connection, records, metrics, record_mode, may_evict: false, evicted: 0, log_limiter }
    }

    async fn ping(&mut self) -> Result<(), RedisLinkError> {
        if let RecordMode::On(_) = self.record_mode {
            // Its settings may change while it runs.
            let mut info = redis::cmd("INFO");
            let info: String = timeout(REQUEST_TIMEOUT, info.arg("memory").query_async(&mut self.connection)).await??;
            self.may_evict = records::may_evict(&info);
            return Ok(());
        }
        let _: Value = timeout(REQUEST_TIMEOUT, redis::cmd("PING").query_async(&mut self.connection)).await??;
        Ok(())
    }

    /// Detects whether and where pushes are recorded.
    async fn detect_record_mode(&mut self) -> Result<(), RedisLinkError> {
        if self.records.enabled {
            let info: RedisResult<String> =
                timeout(REQUEST_TIMEOUT, redis::cmd("INFO").query_async(&mut self.connection)).await?;
            self.record_mode = match info {
                Ok(info) => {
                    self.may_evict = records::may_evict(&info);
                    self.evicted = records::evicted(&info).unwrap_or_default();
                    self.records.run(&info).map_or_else(|| RecordMode::Rejected(None, Instant::now()), RecordMode::On)
                }
                Err(error) if is_command_error(&error) => RecordMode::Rejected(None, Instant::now()),
                Err(error) => return Err(error.into()),
            };
            if let RecordMode::On(run) = &self.record_mode {
                let run = run.clone();
                self.start_records(&run, false).await?;
            }
        }
        Ok(())
    }

    /// Has the records begin now: unless they have begun, or `restart`.
    async fn start_records(&mut self, run: &RunKeys, restart: bool) -> Result<(), RedisLinkError> {
        let now: RedisResult<Value> =
            timeout(REQUEST_TIMEOUT, redis::cmd("TIME").query_async(&mut self.connection)).await?;
        let began = match now.and_then(lookup::time) {
            Ok(at) => RecordsStart { at, evicted: self.evicted },
            // Without them what clients missed is unknown, which is safe.
            Err(error) if is_command_error(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut set = redis::cmd("SET");
        set.arg(run.start_key()).arg(began.write());
        if !restart {
            set.arg("NX");
        }
        let set: RedisResult<Value> = timeout(REQUEST_TIMEOUT, set.query_async(&mut self.connection)).await?;
        match set {
            Err(error) if !is_command_error(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Does all that waits, and keeps the pushes that Redis refuses.
    async fn run_operations(&mut self, waiting: &mut VecDeque<RedisOperation>) -> Result<(), RedisLinkError> {
        while !waiting.is_empty() {
            if matches!(self.record_mode, RecordMode::Rejected(_, since) if since.elapsed() > RECORD_RETRY_INTERVAL) {
                self.detect_record_mode().await?;
            }
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            let asks_evicted =
                self.may_evict && waiting.iter().any(|operation| matches!(operation, RedisOperation::Lookup { .. }));
            let counts: Vec<usize> =
                waiting.iter().map(|operation| self.append_commands(operation, &mut pipe)).collect();
            if asks_evicted {
                // Last: what was evicted before a lookup read its keys is counted by then.
                pipe.cmd("INFO").arg("stats");
            }
            let mut results = Vec::new();
            if !pipe.is_empty() {
                results = timeout(REQUEST_TIMEOUT, pipe.query_async(&mut self.connection)).await??;
            }
            if asks_evicted && let Some(Ok(info)) = results.pop() {
                let info: RedisResult<String> = redis::from_redis_value(info).map_err(RedisError::from);
                self.evicted = records::evicted(&info?).unwrap_or(self.evicted);
            }
            let incomplete = self.apply_results(waiting, counts, results)?;
            if let (true, RecordMode::On(run)) = (incomplete, &self.record_mode) {
                let run = run.clone();
                self.start_records(&run, true).await?;
            }
        }
        Ok(())
    }

    /// Takes the results of what waited; what is left waiting is to be done again. Returns whether the records have to begin anew.
    fn apply_results(
        &mut self,
        waiting: &mut VecDeque<RedisOperation>,
        counts: Vec<usize>,
        results: Vec<RedisResult<Value>>,
    ) -> Result<bool, RedisLinkError> {
        // Should there be fewer answers than questions, what lacks one is done again.
        let mut results = results.into_iter();
        let (mut refused, mut kept, mut incomplete) = (None, VecDeque::new(), false);
        for (operation, count) in waiting.drain(..).zip(counts) {
            let mut results: Vec<RedisResult<Value>> = results.by_ref().take(count).collect();
            match operation {
                // The last command is the one that publishes.
                RedisOperation::Publish(publish) => match results.pop() {
                    Some(Ok(_)) => {
                        self.metrics.backplane_seconds.observe(publish.since.elapsed().as_secs_f64());
                        self.metrics.backplane_messages.inc("published");
                        // A sender that does not wait any more need not know.
                        let _ = publish.done.send(());
                    }
                    other => {
                        refused = other.and_then(Result::err).or(refused);
                        kept.push_back(RedisOperation::Publish(publish));
                    }
                },
                // Behind a push that is not noted yet nothing is known.
                RedisOperation::Lookup { .. } if !kept.is_empty() => {}
                RedisOperation::Lookup { recipient, query, .. } => incomplete |= self.answer(recipient, query, results),
                RedisOperation::Received { .. } => match results.pop() {
                    Some(Ok(_)) => {}
                    _ => self.metrics.catch_up_dropped.inc(),
                },
            }
        }
        *waiting = kept;
        match refused {
            Some(error) if is_command_error(&error) => {
                match std::mem::replace(&mut self.record_mode, RecordMode::Off) {
                    RecordMode::On(run) => {
                        tracing::warn!(reason = %error, "Redis keeps no notes of pushes: clients that come back are told to sync");
                        self.record_mode = RecordMode::Rejected(Some(run), Instant::now());
                        Ok(false)
                    }
                    record_mode => {
                        self.record_mode = record_mode;
                        Err(error.into())
                    }
                }
            }
            Some(error) => Err(error.into()),
            None if waiting.is_empty() => Ok(incomplete),
            None => Err(RedisLinkError::Closed),
        }
    }

    /// Answers what a client missed, by the results of a lookup. Returns whether the records have to begin anew.
    fn answer(&self, recipient: Recipient, query: MissedQuery, results: Vec<RedisResult<Value>>) -> bool {
        match self.lookup().parse_results(&recipient, &query, results) {
            Ok(Found::Missed(answer)) => query.answer(answer),
            Ok(Found::Incomplete(answer)) => {
                query.answer(answer);
                return true;
            }
            Ok(Found::LoginResponse(response)) => query.answer_login_request(response),
            Err(error) => {
                if let Some(unsaid) = self.log_limiter.allow() {
                    tracing::warn!(reason = %error, unsaid, "Redis does not tell what clients missed: they are told to sync");
                }
                query.answer(LookupResult::UNKNOWN);
            }
        }
        false
    }

    fn lookup(&self) -> Lookup<'_> {
        let run = match &self.record_mode {
            RecordMode::On(run) => Some(run),
            RecordMode::Rejected(..) | RecordMode::Off => None,
        };
        Lookup { records: self.records, run, evicted: self.may_evict.then_some(self.evicted) }
    }

    /// Adds the commands of an operation to a pipeline. Returns how many they are.
    fn append_commands(&self, operation: &RedisOperation, pipe: &mut Pipeline) -> usize {
        match (operation, &self.record_mode) {
            (RedisOperation::Publish(publish), _) => self.append_publish(publish, pipe),
            (RedisOperation::Lookup { recipient, query, .. }, _) => {
                self.lookup().append_commands(recipient, query, pipe)
            }
            (RedisOperation::Received { user, device, until, .. }, RecordMode::On(run)) => {
                let (key, window) = (run.device_key(*user, *device), milliseconds(self.records.window));
                pipe.cmd("EVAL").arg(RECEIVED_SCRIPT).arg(1).arg(key).arg(until.0).arg(window);
                1
            }
            (RedisOperation::Received { .. }, RecordMode::Rejected(..) | RecordMode::Off) => 0,
        }
    }

    /// Adds the commands that publish a push; returns how many they are.
    fn append_publish(&self, publish: &Publish, pipe: &mut Pipeline) -> usize {
        let Publish { channel, bytes, .. } = publish;
        let mut count = 1;
        match (publish.store_mode, &self.record_mode) {
            (StoreMode::PushTime(audience, device), RecordMode::On(run)) => {
                if let Some(key) = run.pushes_key(audience) {
                    let pushed = pipe.cmd("EVAL").arg(PUSH_SCRIPT).arg(1).arg(key).arg(channel).arg(&bytes[..]);
                    pushed.arg(records::device_field(device)).arg(milliseconds(self.records.window));
                    return count;
                }
            }
            (StoreMode::PushTime(..), RecordMode::Rejected(Some(run), _)) => {
                // This push is not recorded: without their start, the records count as incomplete.
                pipe.cmd("DEL").arg(run.start_key());
                self.metrics.catch_up_dropped.inc();
                count += 1;
            }
            (StoreMode::LoginResponse(request), _) => {
                // Before the publish: a client that connects between the two gets it twice rather than never.
                let kept = pipe.cmd("SET").arg(self.records.response_key(request)).arg(&bytes[..]);
                kept.arg("PX").arg(milliseconds(LOGIN_RESPONSE_TTL));
                count += 1;
            }
            _ => {}
        }
        pipe.cmd("PUBLISH").arg(channel).arg(&bytes[..]);
        count
    }
}

/// Returns `true` if a command was rejected, `false` if the server cannot serve now.
fn is_command_error(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    let cannot =
        matches!(error.kind(), ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain));
    error.code().is_some() && !cannot
}
