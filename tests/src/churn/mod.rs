//! A churn run: devices connect and disconnect in every way while pushes are sent. Each push is accounted for.
//!
//! A covered push is lost if a device of its audience, other than the one that caused it, read neither the push nor a later
//! `SyncVault`. Each device has a thread. Every choice depends on a seed.

mod client;
mod device;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use uuid::Uuid;

use self::client::{ChurnClient, Disconnect};
use self::device::{DeliveryOutcome, Device, SentPush, push_id};
use crate::http;
use crate::local_hub::LocalHub;
use crate::token::{self, Signer};
use crate::wait;

/// The keep-alive interval of the hubs. It must exceed the delay of a thread on a busy machine, because a hub takes a ping as
/// proof that the client read everything that was written one interval before.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// The settings that the hubs need.
pub const SETTINGS: &str = "signalr.keep_alive_interval = '2s'\ncatch_up.spread = '1s'\n";

/// The number of parts of a run, between which faults are injected.
const PARTS: u32 = 8;

/// The duration of a part.
const PART_DURATION: Duration = Duration::from_millis(1500);

/// The maximum time at the end until every device has read all pushes and syncs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two pushes. It is long, so that the sync for one push rarely hides the loss of another.
const PUSH_INTERVAL: Duration = Duration::from_millis(60);

/// The number of users.
const USER_COUNT: usize = 8;

/// The number of devices of each user.
const DEVICES_PER_USER: usize = 3;

/// A push type that a sync makes up for.
const COVERED_TYPE: u8 = 1;

/// A push type that nothing makes up for.
const UNCOVERED_TYPE: u8 = 15;

/// The state that all threads of a run share.
struct ChurnRun {
    seed: u64,
    hubs: Vec<Ports>,
    signer: Signer,
    /// The `Authorization` header of senders.
    authorization: String,
    organization: String,
    users: Vec<String>,
    devices: Vec<Mutex<Device>>,
    /// The pushes that were sent, by their numbers.
    pushes: Mutex<Vec<SentPush>>,
    /// Whether the threads must end.
    over: AtomicBool,
    /// Whether devices stay connected after their next connect.
    settling: AtomicBool,
}

#[derive(Clone, Copy)]
struct Ports {
    public: SocketAddr,
    internal: SocketAddr,
}

/// The totals of a run. A push counts once for each device of its audience.
#[derive(Debug, Default)]
pub struct ChurnTotals {
    /// All pushes.
    pub pushes: usize,
    /// Pushes that were read.
    pub read: usize,
    /// Pushes that were not read, but are covered by a later sync.
    pub covered: usize,
    /// Pushes of covered types that are lost.
    pub lost: usize,
    /// Pushes of uncovered types that devices did not read because they were not connected all the time.
    pub away: usize,
    /// Pushes of uncovered types that devices did not read although they were connected all the time.
    pub missed: usize,
    /// Pushes that were read twice on one connection.
    pub duplicates: usize,
    /// Connections that ended.
    pub disconnects: usize,
    /// Syncs that devices read.
    pub syncs: usize,
    /// Syncs that covered no push.
    pub needless_syncs: usize,
}

impl fmt::Display for ChurnTotals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChurnTotals { pushes, read, covered, lost, away, missed, duplicates, disconnects, syncs, needless_syncs } =
            self;
        let per_thousand = |count: &usize| count * 1000 / (*disconnects).max(1);
        let (of_thousand, needless) = (per_thousand(syncs), per_thousand(needless_syncs));
        write!(
            formatter,
            "{pushes} pushes: {read} read ({duplicates} twice), {covered} made up for, {lost} lost; of uncovered types {away} \
             to devices that were away, {missed} to others; {disconnects} disconnects; syncs per thousand disconnects: \
             {of_thousand}, {needless} of them for nothing"
        )
    }
}

/// Runs the devices at these hubs while pushes are sent, and returns the totals. `members` further clients of the organization
/// stay connected. `fault` is called after each part, with the number of the part, from 1.
pub fn run(hubs: &[&LocalHub], members: usize, seed: u64, fault: impl FnMut(u32) -> Result<()>) -> Result<ChurnTotals> {
    let first = hubs.first().context("no hub")?;
    let ports = hubs.iter().map(|hub| Ports { public: hub.public, internal: hub.internal }).collect();
    let signer = first.signer();
    let run = Arc::new(ChurnRun {
        seed,
        hubs: ports,
        authorization: format!("Bearer {}", signer.sign(&token::internal())?),
        signer,
        organization: Uuid::new_v4().to_string(),
        users: (0..USER_COUNT).map(|_| Uuid::new_v4().to_string()).collect(),
        devices: (0..USER_COUNT * DEVICES_PER_USER).map(|_| Mutex::default()).collect(),
        pushes: Mutex::default(),
        over: AtomicBool::new(false),
        settling: AtomicBool::new(false),
    });
    let members = run.start_members(members)?;
    let devices: Vec<JoinHandle<Result<()>>> = (0..USER_COUNT * DEVICES_PER_USER)
        .map(|number| {
            let run = run.clone();
            std::thread::spawn(move || run.run_device(number))
        })
        .collect();
    run.push_in_parts(fault)?;
    run.settling.store(true, Ordering::SeqCst);
    let totals = wait::until("every device has read all pushes and syncs", SETTLE_TIMEOUT, || {
        let pushes = run.pushes();
        let totals = run.totals(&pushes);
        ensure!(totals.lost == 0, "seed {seed}: {totals}\n{}", run.describe_losses(&pushes));
        Ok(totals)
    });
    run.over.store(true, Ordering::SeqCst);
    for thread in devices.into_iter().chain(members) {
        thread.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    totals
}

impl ChurnRun {
    fn device(&self, number: usize) -> MutexGuard<'_, Device> {
        self.devices[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pushes(&self) -> MutexGuard<'_, Vec<SentPush>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn token(&self, user: &str, device: &str) -> Result<String> {
        self.signer.sign(&token::user(user, std::slice::from_ref(&self.organization), "ChromeBrowser", device))
    }

    /// Connects further members of the organization. One thread reads and discards what they receive until the run is over.
    fn start_members(self: &Arc<Self>, count: usize) -> Result<Option<JoinHandle<Result<()>>>> {
        let connect = |number: usize| -> Result<TcpStream> {
            let token = self.token(&Uuid::new_v4().to_string(), "member")?;
            let client = ChurnClient::connect_websocket(self.hubs[number % self.hubs.len()].public, &token)?;
            let stream = client.into_stream();
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let streams = (0..count).map(connect).collect::<Result<Vec<_>>>()?;
        let run = self.clone();
        let read = move || {
            let mut buffer = [0; 16 * 1024];
            while !run.is_over() {
                for mut stream in &streams {
                    while matches!(stream.read(&mut buffer), Ok(1..)) {}
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        };
        Ok((count > 0).then(|| std::thread::spawn(read)))
    }

    /// Sends pushes to users and to the organization, and injects a fault after each part.
    fn push_in_parts(&self, mut fault: impl FnMut(u32) -> Result<()>) -> Result<()> {
        let mut random = Random(self.seed ^ 0xabcd);
        let began = Instant::now();
        let mut passed = 0;
        while passed < PARTS {
            if began.elapsed() > PART_DURATION * (passed + 1) {
                passed += 1;
                fault(passed)?;
            }
            let user = random.below(USER_COUNT);
            match random.below(10) {
                // Every device is in the audience, so none may be named as the origin.
                0 => self.push(None, None, true, &mut random)?,
                kind => {
                    let by = Some(random.below(DEVICES_PER_USER * 2)).filter(|device| *device < DEVICES_PER_USER);
                    self.push(Some(user), by, kind > 2, &mut random)?;
                }
            }
            std::thread::sleep(PUSH_INTERVAL);
        }
        Ok(())
    }

    /// Sends a push to a user, or to the organization if `user` is `None`, through a random hub.
    fn push(&self, user: Option<usize>, by: Option<usize>, covered: bool, random: &mut Random) -> Result<()> {
        let number = {
            let mut pushes = self.pushes();
            pushes.push(SentPush { sent_at: Instant::now(), covered, user, by });
            pushes.len() - 1
        };
        let mut payload = json!({ "id": push_id(number), "revisionDate": "2026-01-02T03:04:05Z" });
        match user {
            Some(user) => payload["userId"] = json!(self.users[user]),
            None => payload["organizationId"] = json!(self.organization),
        }
        let context = user.zip(by).map(|(user, device)| device_name(user, device));
        let kind = if covered { COVERED_TYPE } else { UNCOVERED_TYPE };
        let body = json!({ "type": kind, "payload": payload, "contextId": context }).to_string();
        let hub = random.one_of(&self.hubs).internal;
        let headers = [("Authorization", self.authorization.as_str())];
        let response = http::request(hub, "POST", "/send", &headers, body.as_bytes())?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Connects and disconnects a device until the run settles, then keeps it connected until the run is over.
    fn run_device(self: &Arc<Self>, number: usize) -> Result<()> {
        let (user, device) = (number / DEVICES_PER_USER, number % DEVICES_PER_USER);
        let mut random = Random(self.seed.wrapping_mul(31).wrapping_add(number as u64));
        let mut client: Option<ChurnClient> = None;
        let mut senders = Vec::new();
        while !self.is_over() {
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => self.connect(user, device, &mut random),
            };
            let Ok(mut current) = connected else { continue };
            let longest = if random.below(4) == 0 { 7000 } else { 1200 };
            let from = Instant::now();
            let until = from + random.milliseconds(longest);
            let mut pinged = from;
            let mut is_open = true;
            while is_open && !self.is_over() && (Instant::now() < until || self.settling.load(Ordering::SeqCst)) {
                is_open = current.read(&mut self.device(number));
                if pinged.elapsed() > KEEP_ALIVE_INTERVAL / 4 {
                    pinged = Instant::now();
                    is_open &= current.ping().is_ok();
                }
            }
            self.device(number).connections.push((from, Instant::now()));
            let mut how = random.one_of(&Disconnect::ALL);
            if how == Disconnect::Overlap {
                client = self.connect(user, device, &mut random).ok();
            }
            // A push while the connection ends.
            if random.below(2) == 0 && !self.settling.load(Ordering::SeqCst) {
                let (run, mut random) = (self.clone(), Random(random.0));
                let to = Some(user).filter(|_| random.below(4) > 0);
                senders.push(std::thread::spawn(move || run.push(to, None, true, &mut random)));
            }
            // The client reads nothing for a short or a long time before it disconnects.
            let mut pause = random.milliseconds(60);
            if random.below(8) == 0 {
                pause += random.milliseconds(4000);
                how = random.one_of(&Disconnect::SILENT);
            }
            std::thread::sleep(pause);
            current.disconnect(how);
            if random.below(3) == 0 {
                std::thread::sleep(random.milliseconds(1500));
            }
        }
        senders.into_iter().try_for_each(|push| push.join().map_err(|_| anyhow!("a sender panicked"))?)
    }

    fn connect(&self, user: usize, device: usize, random: &mut Random) -> Result<ChurnClient> {
        let token = self.token(&self.users[user], &device_name(user, device))?;
        let hub = random.one_of(&self.hubs).public;
        match random.below(6) {
            0 => ChurnClient::connect_events(hub, &self.users[user], &token),
            1 => ChurnClient::connect_polling(hub, &self.users[user], &token),
            _ => ChurnClient::connect_websocket(hub, &token),
        }
    }

    /// Returns the pushes for a device, with their numbers.
    fn pushes_for<'a>(&self, number: usize, pushes: &'a [SentPush]) -> Vec<(usize, &'a SentPush)> {
        let (user, name) = (number / DEVICES_PER_USER, number % DEVICES_PER_USER);
        let is_own = |push: &SentPush| push.user == Some(user) && push.by == Some(name);
        let is_for = |push: &SentPush| push.user.is_none_or(|to| to == user) && !is_own(push);
        pushes.iter().enumerate().filter(|(_, push)| is_for(push)).collect()
    }

    fn totals(&self, pushes: &[SentPush]) -> ChurnTotals {
        let mut totals = ChurnTotals::default();
        for number in 0..self.devices.len() {
            let (device, pushes) = (self.device(number), self.pushes_for(number, pushes));
            for (push, sent) in &pushes {
                *match device.outcome(*push, sent) {
                    DeliveryOutcome::Read => &mut totals.read,
                    DeliveryOutcome::Covered => &mut totals.covered,
                    DeliveryOutcome::Lost => &mut totals.lost,
                    DeliveryOutcome::Away => &mut totals.away,
                    DeliveryOutcome::Missed => &mut totals.missed,
                } += 1;
            }
            totals.pushes += pushes.len();
            totals.duplicates += device.duplicates;
            totals.disconnects += device.connections.len();
            totals.syncs += device.syncs.len();
            totals.needless_syncs += device.needless_syncs(&pushes);
        }
        totals
    }

    /// Returns the numbers of the lost pushes of each device, as text.
    fn describe_losses(&self, pushes: &[SentPush]) -> String {
        let mut by_device: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in 0..self.devices.len() {
            let device = self.device(number);
            let lost = self
                .pushes_for(number, pushes)
                .into_iter()
                .filter(|(push, sent)| device.outcome(*push, sent) == DeliveryOutcome::Lost);
            by_device.entry(number).or_default().extend(lost.map(|(push, _)| push));
        }
        by_device.retain(|_, pushes| !pushes.is_empty());
        format!("lost, by device: {by_device:?}")
    }
}

fn device_name(user: usize, device: usize) -> String {
    format!("device {device} of user {user}")
}

/// A pseudorandom number generator that is the same for a seed (a linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }

    fn milliseconds(&mut self, bound: usize) -> Duration {
        Duration::from_millis(self.below(bound) as u64)
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}
