//! What a client missed, as Redis' records tell it: which commands ask, and what their results mean. No I/O.

use std::time::Instant;

use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use uuid::Uuid;

use super::channel::Channel;
use super::incoming::Incoming;
use super::records::{self, Began, Records, Run};
use crate::catch_up::{self, Answer, LastPushes, Moment};
use crate::delivery::{Audience, Delivery, Hub};
use crate::reactor::{Member, Question};

/// The records to look up in.
pub(super) struct Lookup<'a> {
    pub(super) records: &'a Records,
    /// Those of the current run of Redis, or `None` if it keeps none: then what clients of the main hub missed is unknown.
    pub(super) run: Option<&'a Run>,
    /// How many keys Redis has evicted, or `None` if its settings do not let it evict any.
    pub(super) evicted: Option<u64>,
}

/// What a lookup found.
pub(super) enum Found {
    /// On the main hub: what the client missed.
    Missed(Answer),
    /// The same, and that the records have to begin anew: keys are missing in them.
    Incomplete(Answer),
    /// On the anonymous hub: the answer to the client's login request, `None` if it has not come.
    LoginResponse(Option<Delivery>),
}

impl Lookup<'_> {
    /// Adds the commands that ask what a client missed. Returns how many they are.
    pub(super) fn ask(&self, member: &Member, question: &Question, pipe: &mut Pipeline) -> usize {
        let id = member.id.unwrap_or_default();
        if member.hub == Hub::Anonymous {
            pipe.cmd("GET").arg(self.records.response(id));
            return 1;
        }
        let Some(run) = self.run else { return 0 };
        // Before anything is read: what is published from then on, the client hears.
        pipe.cmd("TIME");
        let device = question.device.map(|device| run.device(id, device));
        pipe.cmd("MGET").arg(run.began()).arg(device.unwrap_or_default()).arg(run.user(id));
        member.organizations.iter().for_each(|id| _ = pipe.arg(run.organization(*id)));
        2
    }

    /// Reads the results of [`Lookup::ask`].
    pub(super) fn found(
        &self,
        member: &Member,
        question: &Question,
        results: Vec<RedisResult<Value>>,
    ) -> RedisResult<Found> {
        let mut results = results.into_iter();
        let mut next = || results.next().unwrap_or(Ok(Value::Nil));
        if member.hub == Hub::Anonymous {
            return Ok(Found::LoginResponse(login_response(member, read(next()?)?)));
        }
        if self.run.is_none() {
            return Ok(Found::Missed(Answer::UNKNOWN));
        }
        let now = time(next()?)?;
        let values: Vec<Option<String>> = read(next()?)?;
        let value = |number: usize| values.get(number).and_then(Option::as_deref);
        let began = value(0).and_then(Began::read);
        let is_complete = began.is_some_and(|began| self.evicted.is_none_or(|evicted| evicted == began.evicted));
        let since = began.filter(|_| is_complete).map(|began| began.at.after(self.records.settled));
        // What a device had received before the records begin proves nothing: pushes after it may not be in them.
        let recorded = value(1).and_then(records::moment).filter(|_| question.device.is_some());
        let recorded = recorded.filter(|received| since.is_some_and(|since| *received >= since));
        let pushes: Vec<LastPushes> =
            values.iter().skip(2).flatten().filter_map(|value| records::pushes(value)).collect();
        let is_young = since.is_none_or(|since| now < since.after(self.records.window));
        let received = recorded.max(question.received);
        let reason = catch_up::missed(question.device, received, pushes.iter(), is_young);
        let answer = Answer { reason, until: now };
        Ok(if is_complete { Found::Missed(answer) } else { Found::Incomplete(answer) })
    }
}

/// Returns the answer to a login request, as it was published.
fn login_response(member: &Member, published: Option<Vec<u8>>) -> Option<Delivery> {
    let channel = Channel::To(Audience::LoginRequest(member.id?));
    // Whichever process published it: no client here has had it.
    match Incoming::read(channel, &published?, Uuid::nil(), Instant::now()) {
        Ok(Incoming::Push(delivery, _)) => Some(delivery),
        _ => None,
    }
}

/// Returns the moment that `TIME` tells.
pub(super) fn time(answer: Value) -> RedisResult<Moment> {
    let (seconds, micros): (u64, u64) = read(answer)?;
    Ok(Moment(seconds.saturating_mul(1_000_000).saturating_add(micros)))
}

fn read<T: FromRedisValue>(answer: Value) -> RedisResult<T> {
    T::from_redis_value(answer).map_err(RedisError::from)
}
