//! The publishing connection: runs operations in pipelines, and detects whether this Redis takes records of pushes. Used by a task on
//! `timely`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};
use super::lookup::{self, Lookup, LookupOutcome};
use super::operation_queue::{Publish, RedisOperation, StoreMode};
use super::records::{
    self, LOGIN_RESPONSE_TTL, PUSH_SCRIPT, RECEIVED_SCRIPT, RecordKeys, RecordsStart, RunKeys, milliseconds,
};
use crate::catch_up::LookupResult;
use crate::observability::{LogLimiter, Metrics};
use crate::reactor::{MissedQuery, Recipient};

/// The time for which no records are written after Redis has rejected one.
const RECORD_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The publishing connection, with the state of the records in its Redis.
pub(super) struct PublishConnection<'a> {
    connection: MultiplexedConnection,
    records: &'a RecordKeys,
    metrics: &'a Metrics,
    record_mode: RecordMode,
    /// `true` if the settings of Redis permit it to evict keys.
    may_evict: bool,
    /// The number of keys that Redis has evicted, as last read.
    evicted: u64,
    log_limiter: LogLimiter,
}

/// The mode of recording pushes in Redis.
enum RecordMode {
    /// Pushes are recorded under the keys of the current run.
    On(RunKeys),
    /// Redis rejected a record at this time. The keys are those of the run, if it is known.
    Rejected(Option<RunKeys>, Instant),
    /// Catch-up is disabled.
    Off,
}

impl PublishConnection<'_> {
    pub(super) fn new<'a>(
        connection: MultiplexedConnection,
        records: &'a RecordKeys,
        metrics: &'a Metrics,
    ) -> PublishConnection<'a> {
        let (record_mode, log_limiter) = (RecordMode::Off, LogLimiter::default());
        PublishConnection { connection, records, metrics, record_mode, may_evict: false, evicted: 0, log_limiter }
    }

    /// Pings Redis. While pushes are recorded, reads the memory settings instead, because they may change.
    pub(super) async fn ping(&mut self) -> Result<(), RedisLinkError> {
        if let RecordMode::On(_) = self.record_mode {
            let mut info = redis::cmd("INFO");
            let info: String = timeout(REQUEST_TIMEOUT, info.arg("memory").query_async(&mut self.connection)).await??;
            self.may_evict = records::may_evict(&info);
            return Ok(());
        }
        let _: Value = timeout(REQUEST_TIMEOUT, redis::cmd("PING").query_async(&mut self.connection)).await??;
        Ok(())
    }

    /// Determines the record mode, and starts the records of a new run.
    pub(super) async fn detect_record_mode(&mut self) -> Result<(), RedisLinkError> {
        if self.records.enabled {
            let info: RedisResult<String> =
                timeout(REQUEST_TIMEOUT, redis::cmd("INFO").query_async(&mut self.connection)).await?;
            self.record_mode = match info {
                Ok(info) => {
                    self.may_evict = records::may_evict(&info);
                    self.evicted = records::parse_evicted_keys(&info).unwrap_or_default();
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

    /// Sets the start of the records to now. Keeps an earlier start unless `restart` is set.
    async fn start_records(&mut self, run: &RunKeys, restart: bool) -> Result<(), RedisLinkError> {
        let now: RedisResult<Value> =
            timeout(REQUEST_TIMEOUT, redis::cmd("TIME").query_async(&mut self.connection)).await?;
        let start = match now.and_then(lookup::parse_time) {
            Ok(at) => RecordsStart { at, evicted: self.evicted },
            // Without a start, lookups result in "unknown", which is safe.
            Err(error) if is_command_error(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut set = redis::cmd("SET");
        set.arg(run.start_key()).arg(start.write());
        if !restart {
            set.arg("NX");
        }
        let set: RedisResult<Value> = timeout(REQUEST_TIMEOUT, set.query_async(&mut self.connection)).await?;
        match set {
            Err(error) if !is_command_error(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Runs pending operations in one pipeline at a time, until none is left. Publishes that fail stay pending.
    pub(super) async fn run_operations(
        &mut self,
        pending: &mut VecDeque<RedisOperation>,
    ) -> Result<(), RedisLinkError> {
        while !pending.is_empty() {
            if matches!(self.record_mode, RecordMode::Rejected(_, since) if since.elapsed() > RECORD_RETRY_INTERVAL) {
                self.detect_record_mode().await?;
            }
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            let reads_evicted =
                self.may_evict && pending.iter().any(|operation| matches!(operation, RedisOperation::Lookup { .. }));
            let counts: Vec<usize> =
                pending.iter().map(|operation| self.append_commands(operation, &mut pipe)).collect();
            if reads_evicted {
                // Last, so that the count includes every key that was evicted before a lookup read it.
                pipe.cmd("INFO").arg("stats");
            }
            let mut results = Vec::new();
            if !pipe.is_empty() {
                results = timeout(REQUEST_TIMEOUT, pipe.query_async(&mut self.connection)).await??;
            }
            if reads_evicted && let Some(Ok(info)) = results.pop() {
                let info: RedisResult<String> = redis::from_redis_value(info).map_err(RedisError::from);
                self.evicted = records::parse_evicted_keys(&info?).unwrap_or(self.evicted);
            }
            let incomplete = self.apply_results(pending, counts, results)?;
            if let (true, RecordMode::On(run)) = (incomplete, &self.record_mode) {
                let run = run.clone();
                self.start_records(&run, true).await?;
            }
        }
        Ok(())
    }

    /// Applies the results of pending operations. Those that have to run again stay pending. Returns `true` if the records
    /// have to be restarted.
    fn apply_results(
        &mut self,
        pending: &mut VecDeque<RedisOperation>,
        counts: Vec<usize>,
        results: Vec<RedisResult<Value>>,
    ) -> Result<bool, RedisLinkError> {
        // A publish without a result runs again.
        let mut results = results.into_iter();
        let (mut failure, mut retained, mut incomplete) = (None, VecDeque::new(), false);
        for (operation, count) in pending.drain(..).zip(counts) {
            let mut results: Vec<RedisResult<Value>> = results.by_ref().take(count).collect();
            match operation {
                // The last command of a publish is the one that publishes.
                RedisOperation::Publish(publish) => match results.pop() {
                    Some(Ok(_)) => {
                        self.metrics.backplane_publish_duration_seconds.observe(publish.since.elapsed().as_secs_f64());
                        self.metrics.backplane_messages.inc("published");
                        // The receiver is dropped if the sender of the push does not wait any more.
                        let _ = publish.done.send(());
                    }
                    other => {
                        failure = other.and_then(Result::err).or(failure);
                        retained.push_back(RedisOperation::Publish(publish));
                    }
                },
                // Dropped, which results in "unknown": an earlier push is not recorded yet.
                RedisOperation::Lookup { .. } if !retained.is_empty() => {}
                RedisOperation::Lookup { recipient, query, .. } => incomplete |= self.answer(recipient, query, results),
                RedisOperation::Received { .. } => match results.pop() {
                    Some(Ok(_)) => {}
                    _ => self.metrics.catch_up_records_dropped.inc(),
                },
            }
        }
        *pending = retained;
        match failure {
            Some(error) if is_command_error(&error) => {
                match std::mem::replace(&mut self.record_mode, RecordMode::Off) {
                    RecordMode::On(run) => {
                        tracing::warn!(reason = %error, "redis rejects catch-up records; returning clients will sync");
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
            None if pending.is_empty() => Ok(incomplete),
            None => Err(RedisLinkError::Closed),
        }
    }

    /// Answers the query of a lookup. Returns `true` if the records have to be restarted.
    fn answer(&self, recipient: Recipient, query: MissedQuery, results: Vec<RedisResult<Value>>) -> bool {
        match self.lookup().parse_results(&recipient, &query, results) {
            Ok(LookupOutcome::Missed(result)) => query.answer(result),
            Ok(LookupOutcome::Incomplete(result)) => {
                query.answer(result);
                return true;
            }
            Ok(LookupOutcome::LoginResponse(response)) => query.answer_login_request(response),
            Err(error) => {
                if let Some(suppressed) = self.log_limiter.allow() {
                    tracing::warn!(reason = %error, suppressed, "redis lookup of missed pushes failed; the client will sync");
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

    /// Appends the commands of an operation to a pipeline. Returns their number.
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

    /// Appends the commands that publish and record a push. Returns their number.
    fn append_publish(&self, publish: &Publish, pipe: &mut Pipeline) -> usize {
        let Publish { channel, bytes, .. } = publish;
        let mut count = 1;
        match (publish.store_mode, &self.record_mode) {
            (StoreMode::PushTime(audience, device), RecordMode::On(run)) => {
                if let Some(key) = run.pushes_key(audience) {
                    let command = pipe.cmd("EVAL").arg(PUSH_SCRIPT).arg(1).arg(key).arg(channel).arg(&bytes[..]);
                    command.arg(records::device_field(device)).arg(milliseconds(self.records.window));
                    return count;
                }
            }
            (StoreMode::PushTime(..), RecordMode::Rejected(Some(run), _)) => {
                // This push is not recorded. Without their start, the records count as incomplete.
                pipe.cmd("DEL").arg(run.start_key());
                self.metrics.catch_up_records_dropped.inc();
                count += 1;
            }
            (StoreMode::LoginResponse(request), _) => {
                // Stored before the publish, so that a client that connects between the two gets it twice rather than never.
                let command = pipe.cmd("SET").arg(self.records.response_key(request)).arg(&bytes[..]);
                command.arg("PX").arg(milliseconds(LOGIN_RESPONSE_TTL));
                count += 1;
            }
            _ => {}
        }
        pipe.cmd("PUBLISH").arg(channel).arg(&bytes[..]);
        count
    }
}

/// Returns `true` if Redis rejected the command itself, `false` if it cannot serve at the moment or the connection failed.
fn is_command_error(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    let is_unavailable =
        matches!(error.kind(), ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain));
    error.code().is_some() && !is_unavailable
}
