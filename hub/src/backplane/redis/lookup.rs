//! What a client missed, as Redis' records tell it: which commands ask, and what their results mean. No I/O.

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

/// The records to look up in.
pub(super) struct Lookup<'a> {
    pub(super) records: &'a RecordKeys,
    /// Those of the current run of Redis, or `None` if it keeps none: then what clients of the main hub missed is unknown.
    pub(super) run: Option<&'a RunKeys>,
    /// How many keys Redis has evicted, or `None` if its settings do not let it evict any.
    pub(super) evicted: Option<u64>,
}

/// What a lookup found.
pub(super) enum Found {
    /// On the main hub: what the client missed.
    Missed(LookupResult),
    /// The same, and that the records have to begin anew: keys are missing in them.
    Incomplete(LookupResult),
    /// On the anonymous hub: the answer to the client's login request, `None` if it has not come.
    LoginResponse(Option<Delivery>),
}

impl Lookup<'_> {
    /// Adds the commands that ask what a client missed. Returns how many they are.
    pub(super) fn append_commands(&self, recipient: &Recipient, query: &MissedQuery, pipe: &mut Pipeline) -> usize {
        let id = recipient.id.unwrap_or_default();
        if recipient.hub == Hub::Anonymous {
            pipe.cmd("GET").arg(self.records.response_key(id));
            return 1;
        }
        let Some(run) = self.run else { return 0 };
        // Before anything is read: what is published from then on, the client hears.
        pipe.cmd("TIME");
        let device = query.device.map(|device| run.device_key(id, device));
        pipe.cmd("MGET").arg(run.start_key()).arg(device.unwrap_or_default()).arg(run.user_key(id));
        recipient.organizations.iter().for_each(|id| _ = pipe.arg(run.organization_key(*id)));
        2
    }

    /// Reads the results of [`Lookup::append_commands`].
    pub(super) fn parse_results(
        &self,
        recipient: &Recipient,
        query: &MissedQuery,
        results: Vec<RedisResult<Value>>,
    ) -> RedisResult<Found> {
        let mut results = results.into_iter();
        let mut next = || results.next().unwrap_or(Ok(Value::Nil));
        if recipient.hub == Hub::Anonymous {
            return Ok(Found::LoginResponse(login_response(recipient, read(next()?)?)));
        }
        if self.run.is_none() {
            return Ok(Found::Missed(LookupResult::UNKNOWN));
        }
        let now = time(next()?)?;
        let values: Vec<Option<String>> = read(next()?)?;
        let value = |number: usize| values.get(number).and_then(Option::as_deref);
        let began = value(0).and_then(RecordsStart::read);
        let is_complete = began.is_some_and(|began| self.evicted.is_none_or(|evicted| evicted == began.evicted));
        let since = began.filter(|_| is_complete).map(|began| began.at.after(self.records.failover_grace));
        // What a device had received before the records begin proves nothing: pushes after it may not be in them.
        let recorded = value(1).and_then(records::parse_timestamp).filter(|_| query.device.is_some());
        let recorded = recorded.filter(|received| since.is_some_and(|since| *received >= since));
        let pushes: Vec<LastPushes> =
            values.iter().skip(2).flatten().filter_map(|value| records::parse_pushes(value)).collect();
        let is_young = since.is_none_or(|since| now < since.after(self.records.window));
        let received = recorded.max(query.received);
        let reason = catch_up::missed(query.device, received, pushes.iter(), is_young);
        let answer = LookupResult { reason, until: now };
        Ok(if is_complete { Found::Missed(answer) } else { Found::Incomplete(answer) })
    }
}

/// Returns the answer to a login request, as it was published.
fn login_response(recipient: &Recipient, published: Option<Vec<u8>>) -> Option<Delivery> {
    let channel = Channel::To(Audience::LoginRequest(recipient.id?));
    // Whichever process published it: no client here has had it.
    match BackplaneMessage::read(channel, &published?, Uuid::nil(), Instant::now()) {
        Ok(BackplaneMessage::Push(delivery, _)) => Some(delivery),
        _ => None,
    }
}

/// Returns the moment that `TIME` tells.
pub(super) fn time(answer: Value) -> RedisResult<Timestamp> {
    let (seconds, micros): (u64, u64) = read(answer)?;
    Ok(Timestamp(seconds.saturating_mul(1_000_000).saturating_add(micros)))
}

fn read<T: FromRedisValue>(answer: Value) -> RedisResult<T> {
    T::from_redis_value(answer).map_err(RedisError::from)
}
