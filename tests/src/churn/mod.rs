//! Devices that come and go in every way while pushes go on, and an account of what each of them has read.
//!
//! A covered push is lost if a device that it is for, and that did not cause it, has neither read it nor been told to sync since.
//! Every choice comes from a seed.

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

use self::client::{Client, Leave};
use self::device::{Device, Fate, Push, push_id};
use crate::http;
use crate::local_hub::LocalHub;
use crate::token::{self, Signer};
use crate::wait;

/// The keep-alive interval of the hubs. Long beside how late threads of a busy machine run: what a client says proves only what
/// it has read.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Settings of the hubs.
pub const SETTINGS: &str = "signalr.keep_alive = '2s'\ncatch_up.spread = '1s'\n";

/// How long devices come and go: so many parts, between which faults are.
const PARTS: u32 = 8;
const PART: Duration = Duration::from_millis(1500);

/// How long it may take at the end until every device has read all that it is sent.
const SETTLES: Duration = Duration::from_secs(60);

/// Between two pushes. Long, so that a loss is seldom made up for by the sync for another push.
const PAUSE: Duration = Duration::from_millis(60);

/// How many users there are, and devices of each.
const USERS: usize = 8;
const DEVICES: usize = 3;

/// A type that a sync makes up for, and one that nothing makes up for.
const COVERED: u8 = 1;
const UNCOVERED: u8 = 15;

/// What all threads share.
struct World {
    seed: u64,
    hubs: Vec<Ports>,
    signer: Signer,
    /// The header of that name of those who push.
    authorization: String,
    organization: String,
    users: Vec<String>,
    devices: Vec<Mutex<Device>>,
    /// Those that were accepted, or are on their way to a hub.
    pushes: Mutex<Vec<Push>>,
    over: AtomicBool,
    /// Devices stay once they have come back.
    settling: AtomicBool,
}

#[derive(Clone, Copy)]
struct Ports {
    public: SocketAddr,
    internal: SocketAddr,
}

/// The sums.
#[derive(Debug, Default)]
pub struct Account {
    /// Pushes, once for each device that they are for.
    pub pushes: usize,
    /// Those that were read.
    pub read: usize,
    /// Those that a sync makes up for.
    pub covered: usize,
    /// Covered pushes that were lost, with the device and the push of some of them.
    pub lost: usize,
    /// Of those that nothing makes up for: not read by devices that were away.
    pub away: usize,
    /// The same by devices that were connected all the time.
    pub missed: usize,
    /// Read twice on one connection.
    pub duplicates: usize,
    /// How often a connection ended.
    pub disconnects: usize,
    /// How often a device was told to sync.
    pub syncs: usize,
    /// How often it had missed nothing.
    pub needless_syncs: usize,
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { pushes, read, covered, lost, away, missed, duplicates, disconnects, syncs, needless_syncs } =
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

/// Lets devices come and go at these hubs while pushes go on, with an organization of so many more members, and accounts for every
/// push in the end. `fault` is called between the parts of the time, with the number of the part that has passed.
pub fn run(hubs: &[&LocalHub], members: usize, seed: u64, fault: impl FnMut(u32) -> Result<()>) -> Result<Account> {
    let first = hubs.first().context("there is no hub")?;
    let ports = hubs.iter().map(|hub| Ports { public: hub.public, internal: hub.internal }).collect();
    let signer = first.signer();
    let world = Arc::new(World {
        seed,
        hubs: ports,
        authorization: format!("Bearer {}", signer.sign(&token::internal())?),
        signer,
        organization: Uuid::new_v4().to_string(),
        users: (0..USERS).map(|_| Uuid::new_v4().to_string()).collect(),
        devices: (0..USERS * DEVICES).map(|_| Mutex::default()).collect(),
        pushes: Mutex::default(),
        over: AtomicBool::new(false),
        settling: AtomicBool::new(false),
    });
    let bystanders = world.bystanders(members)?;
    let devices: Vec<JoinHandle<Result<()>>> = (0..USERS * DEVICES)
        .map(|number| {
            let world = world.clone();
            std::thread::spawn(move || world.follow(number))
        })
        .collect();
    world.push_in_parts(fault)?;
    world.settling.store(true, Ordering::SeqCst);
    let account = wait::until("every device has all that it is sent", SETTLES, || {
        let pushes = world.pushes();
        let account = world.account(&pushes);
        ensure!(account.lost == 0, "seed {seed}: {account}\n{}", world.losses(&pushes));
        Ok(account)
    });
    world.over.store(true, Ordering::SeqCst);
    for thread in devices.into_iter().chain(bystanders) {
        thread.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    account
}

impl World {
    fn device(&self, number: usize) -> MutexGuard<'_, Device> {
        self.devices[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pushes(&self) -> MutexGuard<'_, Vec<Push>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn token(&self, user: &str, device: &str) -> Result<String> {
        self.signer.sign(&token::user(user, std::slice::from_ref(&self.organization), "ChromeBrowser", device))
    }

    /// Members of the organization that stay, and read what comes.
    fn bystanders(self: &Arc<Self>, count: usize) -> Result<Option<JoinHandle<Result<()>>>> {
        let connect = |number: usize| -> Result<TcpStream> {
            let token = self.token(&Uuid::new_v4().to_string(), "bystander")?;
            let client = Client::by_websocket(self.hubs[number % self.hubs.len()].public, &token)?;
            let stream = client.into_stream();
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let streams = (0..count).map(connect).collect::<Result<Vec<_>>>()?;
        let world = self.clone();
        let read = move || {
            let mut buffer = [0; 16 * 1024];
            while !world.is_over() {
                for mut stream in &streams {
                    while matches!(stream.read(&mut buffer), Ok(1..)) {}
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        };
        Ok((count > 0).then(|| std::thread::spawn(read)))
    }

    /// Pushes to users and to the organization, with faults between the parts of the time.
    fn push_in_parts(&self, mut fault: impl FnMut(u32) -> Result<()>) -> Result<()> {
        let mut random = Random(self.seed ^ 0xabcd);
        let began = Instant::now();
        let mut passed = 0;
        while passed < PARTS {
            if began.elapsed() > PART * (passed + 1) {
                passed += 1;
                fault(passed)?;
            }
            let user = random.below(USERS);
            match random.below(10) {
                // Every device of the organization may have been named: a push to all is of none.
                0 => self.push(None, None, true, &mut random)?,
                kind => {
                    let by = Some(random.below(DEVICES * 2)).filter(|device| *device < DEVICES);
                    self.push(Some(user), by, kind > 2, &mut random)?;
                }
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Pushes to a user or to the organization, through any hub.
    fn push(&self, user: Option<usize>, by: Option<usize>, covered: bool, random: &mut Random) -> Result<()> {
        let number = {
            let mut pushes = self.pushes();
            pushes.push(Push { put: Instant::now(), covered, user, by });
            pushes.len() - 1
        };
        let mut payload = json!({ "id": push_id(number), "revisionDate": "2026-01-02T03:04:05Z" });
        match user {
            Some(user) => payload["userId"] = json!(self.users[user]),
            None => payload["organizationId"] = json!(self.organization),
        }
        let context = user.zip(by).map(|(user, device)| name(user, device));
        let kind = if covered { COVERED } else { UNCOVERED };
        let body = json!({ "type": kind, "payload": payload, "contextId": context }).to_string();
        let hub = random.one_of(&self.hubs).internal;
        let headers = [("Authorization", self.authorization.as_str())];
        let response = http::request(hub, "POST", "/send", &headers, body.as_bytes())?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// A device that comes and goes, until it is to stay.
    fn follow(self: &Arc<Self>, number: usize) -> Result<()> {
        let (user, device) = (number / DEVICES, number % DEVICES);
        let mut random = Random(self.seed.wrapping_mul(31).wrapping_add(number as u64));
        let mut client: Option<Client> = None;
        let mut crossing = Vec::new();
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
                if pinged.elapsed() > KEEP_ALIVE / 4 {
                    pinged = Instant::now();
                    is_open &= current.ping().is_ok();
                }
            }
            self.device(number).lives.push((from, Instant::now()));
            let mut how = random.one_of(&Leave::ALL);
            if how == Leave::Overlap {
                client = self.connect(user, device, &mut random).ok();
            }
            // A push that crosses the end of the connection.
            if random.below(2) == 0 && !self.settling.load(Ordering::SeqCst) {
                let (world, mut random) = (self.clone(), Random(random.0));
                let to = Some(user).filter(|_| random.below(4) > 0);
                crossing.push(std::thread::spawn(move || world.push(to, None, true, &mut random)));
            }
            // It has read nothing for a moment, in which something may have come, or has stopped for long.
            let mut stops = random.milliseconds(60);
            if random.below(8) == 0 {
                stops += random.milliseconds(4000);
                how = random.one_of(&Leave::SILENT);
            }
            std::thread::sleep(stops);
            current.leave(how);
            if random.below(3) == 0 {
                std::thread::sleep(random.milliseconds(1500));
            }
        }
        crossing.into_iter().try_for_each(|push| push.join().map_err(|_| anyhow!("a sender panicked"))?)
    }

    fn connect(&self, user: usize, device: usize, random: &mut Random) -> Result<Client> {
        let token = self.token(&self.users[user], &name(user, device))?;
        let hub = random.one_of(&self.hubs).public;
        match random.below(6) {
            0 => Client::by_events(hub, &token),
            1 => Client::by_polling(hub, &token),
            _ => Client::by_websocket(hub, &token),
        }
    }

    /// The pushes that are for a device, with their numbers.
    fn pushes_for<'a>(&self, number: usize, pushes: &'a [Push]) -> Vec<(usize, &'a Push)> {
        let (user, name) = (number / DEVICES, number % DEVICES);
        let is_own = |push: &Push| push.user == Some(user) && push.by == Some(name);
        let is_for = |push: &Push| push.user.is_none_or(|to| to == user) && !is_own(push);
        pushes.iter().enumerate().filter(|(_, push)| is_for(push)).collect()
    }

    fn account(&self, pushes: &[Push]) -> Account {
        let mut account = Account::default();
        for number in 0..self.devices.len() {
            let (device, pushes) = (self.device(number), self.pushes_for(number, pushes));
            for (push, sent) in &pushes {
                *match device.fate(*push, sent) {
                    Fate::Read => &mut account.read,
                    Fate::Covered => &mut account.covered,
                    Fate::Lost => &mut account.lost,
                    Fate::Away => &mut account.away,
                    Fate::Missed => &mut account.missed,
                } += 1;
            }
            account.pushes += pushes.len();
            account.duplicates += device.duplicates;
            account.disconnects += device.lives.len();
            account.syncs += device.syncs.len();
            account.needless_syncs += device.needless_syncs(&pushes);
        }
        account
    }

    fn losses(&self, pushes: &[Push]) -> String {
        let mut by_device: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in 0..self.devices.len() {
            let device = self.device(number);
            let lost = self
                .pushes_for(number, pushes)
                .into_iter()
                .filter(|(push, sent)| device.fate(*push, sent) == Fate::Lost);
            by_device.entry(number).or_default().extend(lost.map(|(push, _)| push));
        }
        by_device.retain(|_, pushes| !pushes.is_empty());
        format!("lost, by device: {by_device:?}")
    }
}

fn name(user: usize, device: usize) -> String {
    format!("device {device} of user {user}")
}

/// Numbers that look random and are the same for a seed.
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
