//! Missed-push lookups in Redis: builds the commands and interprets their results. No I/O.

use std::time::Instant;

use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use uuid::Uuid;

use super::records::{self, RecordKeys, RecordsStart, RunKeys};
use super::wire::channel::Channel;
use super::wire::message::BackplaneMessage;
use crate::catch_up::{self, LastPushes, LookupResult, Timestamp};
use crate::delivery::{Audience, Delivery};
use crate::reactor::{MissedQuery, Recipient};
use crate::signalr::Hub;

/// The records that lookups read.
pub(super) struct Lookup<'a> {
    pub(super) records: &'a RecordKeys,
    /// The keys of the current run of Redis. `None` if pushes are not recorded: lookups on the main hub result in "unknown"
    /// then.
    pub(super) run: Option<&'a RunKeys>,
    /// The number of keys that Redis has evicted. `None` if its settings permit no eviction.
    pub(super) evicted: Option<u64>,
}

/// The outcome of a lookup.
pub(super) enum LookupOutcome {
    /// On the main hub: what the client missed.
    Missed(LookupResult),
    /// On the main hub: what the client missed, according to incomplete records. The records have to be restarted.
    Incomplete(LookupResult),
    /// On the anonymous hub: the response to the client's login request, or `None` if there is none yet.
    LoginResponse(Option<Delivery>),
}

impl Lookup<'_> {
    /// Appends the commands that look up what a client missed. Returns their number.
    pub(super) fn append_commands(&self, recipient: &Recipient, query: &MissedQuery, pipe: &mut Pipeline) -> usize {
        let id = recipient.id.unwrap_or_default();
        if recipient.hub == Hub::Anonymous {
            pipe.cmd("GET").arg(self.records.response_key(id));
            return 1;
        }
        let Some(run) = self.run else { return 0 };
        // First, because the client receives every push that is published after this time.
        pipe.cmd("TIME");
        let device = query.device.map(|device| run.device_key(id, device));
        pipe.cmd("MGET").arg(run.start_key()).arg(device.unwrap_or_default()).arg(run.user_key(id));
        recipient.organizations.iter().for_each(|id| _ = pipe.arg(run.organization_key(*id)));
        2
    }

    /// Interprets the results of the commands of [`Lookup::append_commands`].
    ///
    /// # Errors
    /// Returns the error of a command, or an error if a result has an unexpected type.
    pub(super) fn parse_results(
        &self,
        recipient: &Recipient,
        query: &MissedQuery,
        results: Vec<RedisResult<Value>>,
    ) -> RedisResult<LookupOutcome> {
        let mut results = results.into_iter();
        let mut next = || results.next().unwrap_or(Ok(Value::Nil));
        if recipient.hub == Hub::Anonymous {
            return Ok(LookupOutcome::LoginResponse(login_response(recipient, parse_value(next()?)?)));
        }
        if self.run.is_none() {
            return Ok(LookupOutcome::Missed(LookupResult::UNKNOWN));
        }
        let now = parse_time(next()?)?;
        let values: Vec<Option<String>> = parse_value(next()?)?;
        let value = |index: usize| values.get(index).and_then(Option::as_deref);
        let start = value(0).and_then(RecordsStart::read);
        let is_complete = start.is_some_and(|start| self.evicted.is_none_or(|evicted| evicted == start.evicted));
        let since = start.filter(|_| is_complete).map(|start| start.at.after(self.records.failover_grace));
        // The progress of a device before the start of the records is ignored: later pushes may not be recorded.
        let recorded = value(1).and_then(records::parse_timestamp).filter(|_| query.device.is_some());
        let recorded = recorded.filter(|received| since.is_some_and(|since| *received >= since));
        let pushes: Vec<LastPushes> =
            values.iter().skip(2).flatten().filter_map(|value| records::parse_pushes(value)).collect();
        let is_young = since.is_none_or(|since| now < since.after(self.records.window));
        let received = recorded.max(query.received);
        let reason = catch_up::missed(query.device, received, pushes.iter(), is_young);
        let result = LookupResult { reason, until: now };
        Ok(if is_complete { LookupOutcome::Missed(result) } else { LookupOutcome::Incomplete(result) })
    }
}

/// Returns the response to a login request as it was published, or `None` if there is none.
fn login_response(recipient: &Recipient, published: Option<Vec<u8>>) -> Option<Delivery> {
    let channel = Channel::To(Audience::LoginRequest(recipient.id?));
    // No process has the nil id, so the message is a push even if this process published it.
    match BackplaneMessage::read(channel, &published?, Uuid::nil(), Instant::now()) {
        Ok(BackplaneMessage::Push(delivery, _)) => Some(delivery),
        _ => None,
    }
}

/// Parses the result of `TIME`.
pub(super) fn parse_time(result: Value) -> RedisResult<Timestamp> {
    let (seconds, micros): (u64, u64) = parse_value(result)?;
    Ok(Timestamp(seconds.saturating_mul(1_000_000).saturating_add(micros)))
}

fn parse_value<T: FromRedisValue>(result: Value) -> RedisResult<T> {
    T::from_redis_value(result).map_err(RedisError::from)
}
