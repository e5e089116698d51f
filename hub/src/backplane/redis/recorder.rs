//! Asks Redis what newcomers missed, and notes up to when devices that have gone had heard everything.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::backoff::after_losses;
use super::channel::Channel;
use super::dialer::{Dialed, Dialer};
use super::incoming::Incoming;
use super::lost::{Lost, PATIENCE};
use super::records::{self, LEFT, Records, Run, milliseconds};
use crate::backoff::random;
use crate::catch_up::{Moment, Pushes, Reason};
use crate::delivery::{Audience, Delivery, Hub};
use crate::reactor::{Farewell, Member, Question};
use crate::telemetry::Metrics;

/// How many may wait for Redis. Beyond, what a newcomer missed is unknown, and farewells are not noted.
const MOST: usize = 65_536;

/// How many are seen to at once.
const BATCH: usize = 256;

/// Something to ask or to note.
enum Entry {
    /// What a client missed.
    Came(Member, Question),
    /// Up to when the device of a user has heard everything.
    Went(Uuid, Farewell),
}

/// Where questions are asked and farewells are told.
pub(super) struct Desk {
    entries: Sender<Entry>,
    metrics: Arc<Metrics>,
}

/// Keeps a connection that asks and notes.
pub(super) struct Recorder {
    entries: Receiver<Entry>,
    dialer: Dialer,
    records: Records,
    /// Whether it was said that Redis tells nothing.
    told: bool,
}

/// A desk, and the recorder behind it.
pub(super) fn open(dialer: Dialer, records: Records, metrics: Arc<Metrics>) -> (Desk, Recorder) {
    let (sender, entries) = mpsc::channel(MOST);
    let recorder = Recorder { entries, dialer, records, told: false };
    (Desk { entries: sender, metrics }, recorder)
}

impl Desk {
    /// Asks what a client missed. If there is no room the question is dropped, which answers it.
    pub(super) fn came(&self, member: Member, question: Question) {
        self.add(Entry::Came(member, question));
    }

    /// Notes up to when a device of a user has heard everything.
    pub(super) fn went(&self, user: Uuid, farewell: Farewell) {
        self.add(Entry::Went(user, farewell));
    }

    fn add(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            self.metrics.catch_up_dropped.inc();
        }
    }
}

impl Recorder {
    /// Asks and notes until nobody comes to the desk any more.
    pub(super) async fn run(mut self) {
        let mut backoff = after_losses();
        loop {
            let lost = match self.dialer.multiplexed().await {
                Ok(Dialed { mut connection, server }) => {
                    let dialer = self.dialer.clone();
                    match dialer.led(&server, self.serve(&mut connection)).await {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(reason = %lost, "nobody knows who missed what: clients that come back are told to sync");
            }
            let pause = sleep(backoff.pause(random()));
            tokio::pin!(pause);
            // Nobody knows what these missed: dropped, they are told so.
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    entry = self.entries.recv() => if entry.is_none() { return },
                }
            }
        }
    }

    async fn serve(&mut self, connection: &mut MultiplexedConnection) -> Result<(), Lost> {
        let info: String = timeout(PATIENCE, redis::cmd("INFO").arg("server").query_async(connection)).await??;
        let run = self.records.run(&info).ok_or(Lost::Nameless)?;
        begin(&run, connection).await?;
        let mut entries = Vec::new();
        while self.entries.recv_many(&mut entries, BATCH).await > 0 {
            self.see_to(std::mem::take(&mut entries), &run, connection).await?;
            self.told = false;
        }
        Ok(())
    }

    async fn see_to(&self, entries: Vec<Entry>, run: &Run, connection: &mut MultiplexedConnection) -> Result<(), Lost> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        // Before anything is read: what is published from now on, newcomers hear.
        pipe.cmd("TIME");
        entries.iter().for_each(|entry| self.ask(entry, run, &mut pipe));
        let results: Vec<RedisResult<Value>> = timeout(PATIENCE, pipe.query_async(connection)).await??;
        let mut results = results.into_iter();
        let mut next = || results.next().ok_or(Lost::Ended);
        let now = time(next()??)?;
        for entry in entries {
            let answer = next()??;
            match entry {
                Entry::Went(..) => {}
                Entry::Came(member, question) if member.hub == Hub::Anonymous => {
                    question.respond(self.response(&member, read(answer)?));
                }
                Entry::Came(_, question) => {
                    let values: Vec<Option<String>> = read(answer)?;
                    if values.first().is_none_or(Option::is_none) {
                        begin(run, connection).await?;
                    }
                    let missed = self.missed(&question, &values, now);
                    question.answer(missed, now);
                }
            }
        }
        Ok(())
    }

    fn ask(&self, entry: &Entry, run: &Run, pipe: &mut Pipeline) {
        match entry {
            Entry::Went(user, Farewell { device, heard }) => {
                let (key, window) = (run.device(*user, *device), milliseconds(self.records.window));
                pipe.cmd("EVAL").arg(LEFT).arg(1).arg(key).arg(heard.0).arg(window);
            }
            Entry::Came(member, _) if member.hub == Hub::Anonymous => {
                pipe.cmd("GET").arg(self.records.response(member.id.unwrap_or_default()));
            }
            Entry::Came(member, question) => {
                let user = member.id.unwrap_or_default();
                let device = question.device.map(|device| run.device(user, device));
                pipe.cmd("MGET").arg(run.began()).arg(device.unwrap_or_default()).arg(run.user(user));
                member.organizations.iter().for_each(|id| _ = pipe.arg(run.organization(*id)));
            }
        }
    }

    /// Why a client has to sync, by when the records begin, its device's and those of pushes.
    fn missed(&self, question: &Question, values: &[Option<String>], now: Moment) -> Option<Reason> {
        let value = |number: usize| values.get(number).and_then(Option::as_deref);
        let began = value(0).and_then(records::moment);
        let known = value(1).and_then(records::moment).filter(|_| question.device.is_some());
        // Of a run that has just begun nobody knows whether all notes are in it.
        let since = began.map_or(Moment::default(), |began| began.after(self.records.settled));
        let known = known.filter(|heard| self.records.settled.is_zero() || *heard > since);
        let pushes: Vec<Pushes> = values.iter().skip(2).flatten().filter_map(|value| records::pushes(value)).collect();
        let young = began.is_none_or(|began| now < began.after(self.records.window));
        Reason::of(question.device, known.max(question.heard), pushes.iter(), young)
    }

    /// The answer to a login request, as it was published.
    fn response(&self, member: &Member, published: Option<Vec<u8>>) -> Option<Delivery> {
        let channel = Channel::To(Audience::LoginRequest(member.id?));
        // Whoever published it: nobody here has had it.
        match Incoming::read(channel, &published?, Uuid::nil(), std::time::Instant::now()) {
            Ok(Incoming::Push(delivery, _)) => Some(delivery),
            _ => None,
        }
    }
}

/// The records begin now, unless they have begun.
async fn begin(run: &Run, connection: &mut MultiplexedConnection) -> Result<(), Lost> {
    let now = time(timeout(PATIENCE, redis::cmd("TIME").query_async(connection)).await??)?;
    let mut set = redis::cmd("SET");
    set.arg(run.began()).arg(now.0).arg("NX");
    let _: Value = timeout(PATIENCE, set.query_async(connection)).await??;
    Ok(())
}

/// A moment, as `TIME` tells it.
fn time(answer: Value) -> RedisResult<Moment> {
    let (seconds, micros): (u64, u64) = read(answer)?;
    Ok(Moment(seconds.saturating_mul(1_000_000).saturating_add(micros)))
}

fn read<T: FromRedisValue>(answer: Value) -> RedisResult<T> {
    T::from_redis_value(answer).map_err(RedisError::from)
}
