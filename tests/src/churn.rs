//! Devices that come and go in every way while pushes go on, and an account of what each of them has read.
//!
//! A covered push is lost if a device that it is for, and that did not cause it, has neither read it nor been told to sync since.
//! Every choice comes from a seed.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use socket2::SockRef;
use uuid::Uuid;

use crate::frames::{frame, opcode};
use crate::http::{self, Connection};
use crate::local_hub::LocalHub;
use crate::raw_client::HANDSHAKE;
use crate::token::{self, Signer};
use crate::wait;

/// The keep-alive interval of the hubs. Long beside how late threads of a busy machine run: what a client says proves only what
/// it has read.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Settings of the hubs.
pub const SETTINGS: &str = "signalr.keep_alive = '2s'\ncatch_up.spread = '1s'\n";

/// How long devices come and go.
const LASTS: Duration = Duration::from_secs(12);

/// How long it may take at the end until every device has read all that it is sent.
const SETTLES: Duration = Duration::from_secs(60);

/// Between two pushes.
const PAUSE: Duration = Duration::from_millis(15);

/// How many users there are, and devices of each.
const USERS: usize = 8;
const DEVICES: usize = 3;

/// A type that a sync makes up for, and one that nothing makes up for.
const COVERED: u8 = 1;
const UNCOVERED: u8 = 11;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// SignalR's Close, and nothing more is read.
    Close,
    /// The WebSocket's Close.
    WebSocketClose,
    /// FIN.
    End,
    /// RST.
    Reset,
    /// A ping, and RST at once.
    PingAndReset,
    /// Another connection of the device comes first.
    Overlap,
}

const LEAVES: [Leave; 6] =
    [Leave::Close, Leave::WebSocketClose, Leave::End, Leave::Reset, Leave::PingAndReset, Leave::Overlap];

/// One device.
#[derive(Debug, Default)]
struct Device {
    /// The pushes that it has read, by their numbers.
    read: HashSet<usize>,
    /// How many of them it has read twice on one connection: one that moves to another replica may get a push at both.
    duplicates: usize,
    /// When it read that it should sync.
    synced: Option<Instant>,
    syncs: usize,
    disconnects: usize,
}

/// A push that was accepted.
struct Push {
    put: Instant,
    covered: bool,
    /// The user that it is for, or all of the organization.
    user: Option<usize>,
    /// The device of that user that caused it.
    by: Option<usize>,
}

/// What all threads share.
struct World {
    seed: u64,
    hubs: Vec<Ports>,
    signer: Signer,
    organization: String,
    users: Vec<String>,
    devices: Vec<Mutex<Device>>,
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
    /// Of those that nothing makes up for: not read.
    pub uncovered: usize,
    /// Read twice on one connection.
    pub duplicates: usize,
    /// How often a connection ended.
    pub disconnects: usize,
    /// How often a device was told to sync.
    pub syncs: usize,
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { pushes, read, covered, lost, uncovered, duplicates, disconnects, syncs } = self;
        let per_thousand = syncs * 1000 / (*disconnects).max(1);
        write!(
            formatter,
            "{pushes} pushes: {read} read ({duplicates} twice), {covered} made up for, {lost} lost, {uncovered} of uncovered types \
             to devices that were away; {disconnects} disconnects, {syncs} syncs, {per_thousand} per thousand disconnects"
        )
    }
}

/// Lets devices come and go at these hubs while pushes go on, with an organization of so many more members, and accounts for every
/// push in the end.
pub fn run(hubs: &[&LocalHub], members: usize, seed: u64) -> Result<Account> {
    let first = hubs.first().context("there is no hub")?;
    let ports = hubs.iter().map(|hub| Ports { public: hub.public, internal: hub.internal }).collect();
    let world = Arc::new(World {
        seed,
        hubs: ports,
        signer: first.signer(),
        organization: Uuid::new_v4().to_string(),
        users: (0..USERS).map(|_| Uuid::new_v4().to_string()).collect(),
        devices: (0..USERS * DEVICES).map(|_| Mutex::default()).collect(),
        over: AtomicBool::new(false),
        settling: AtomicBool::new(false),
    });
    let bystanders = world.bystanders(members)?;
    let devices: Vec<JoinHandle<()>> = (0..USERS * DEVICES)
        .map(|number| {
            let world = world.clone();
            std::thread::spawn(move || world.follow(number))
        })
        .collect();
    let pushes = world.push_for(LASTS)?;
    world.settling.store(true, Ordering::SeqCst);
    let account = wait::until("every device has all that it is sent", SETTLES, || {
        let account = world.account(&pushes);
        ensure!(account.lost == 0, "seed {seed}: {account}\n{}", world.losses(&pushes));
        Ok(account)
    });
    world.over.store(true, Ordering::SeqCst);
    for thread in devices.into_iter().chain(bystanders) {
        thread.join().map_err(|_| anyhow!("a client panicked"))?;
    }
    account
}

impl World {
    fn device(&self, number: usize) -> MutexGuard<'_, Device> {
        self.devices[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn token(&self, user: &str, device: &str) -> Result<String> {
        self.signer.sign(&token::user(user, std::slice::from_ref(&self.organization), "ChromeBrowser", device))
    }

    /// Members of the organization that stay, and read what comes.
    fn bystanders(self: &Arc<Self>, count: usize) -> Result<Option<JoinHandle<()>>> {
        let connect = |number: usize| -> Result<TcpStream> {
            let token = self.token(&Uuid::new_v4().to_string(), "bystander")?;
            let client = Client::by_websocket(self.hubs[number % self.hubs.len()].public, &token)?;
            client.stream.set_nonblocking(true)?;
            Ok(client.stream)
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
        };
        Ok((count > 0).then(|| std::thread::spawn(read)))
    }

    /// Pushes to users and to the organization, in turn through every hub.
    fn push_for(&self, lasts: Duration) -> Result<Vec<Push>> {
        let authorization = format!("Bearer {}", self.signer.sign(&token::internal())?);
        let mut random = Random(self.seed ^ 0xabcd);
        let mut pushes = Vec::new();
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            let user = random.below(USERS);
            let by = Some(random.below(DEVICES * 2)).filter(|device| *device < DEVICES);
            let context = by.map(|device| name(user, device));
            let number = pushes.len();
            let (kind, user, payload) = match random.below(10) {
                0 => {
                    let payload = json!({ "id": id(number), "organizationId": self.organization, "revisionDate": "2026-01-02T03:04:05Z" });
                    (COVERED, None, payload)
                }
                1 => (UNCOVERED, Some(user), json!({ "userId": self.users[user], "date": "2026-01-02T03:04:05Z" })),
                _ => {
                    let payload =
                        json!({ "id": id(number), "userId": self.users[user], "revisionDate": "2026-01-02T03:04:05Z" });
                    (COVERED, Some(user), payload)
                }
            };
            let covered = kind == COVERED;
            // Every device of the organization may have been named: a push to all is of none.
            let by = by.filter(|_| user.is_some());
            let context = context.filter(|_| user.is_some());
            let body = json!({ "type": kind, "payload": payload, "contextId": context }).to_string();
            let put = Instant::now();
            let hub = self.hubs[random.below(self.hubs.len())].internal;
            let response = http::request(hub, "POST", "/send", &[("Authorization", &authorization)], body.as_bytes())?;
            ensure!(response.status == 200, "{response:?}");
            pushes.push(Push { put, covered, user, by });
            std::thread::sleep(PAUSE);
        }
        Ok(pushes)
    }

    /// A device that comes and goes, until it is to stay.
    fn follow(&self, number: usize) {
        let (user, device) = (number / DEVICES, number % DEVICES);
        let mut random = Random(self.seed.wrapping_mul(31).wrapping_add(number as u64));
        let mut client: Option<Client> = None;
        while !self.is_over() {
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => self.connect(user, device, &mut random),
            };
            let Ok(mut current) = connected else { continue };
            let longest = if random.below(4) == 0 { 7000 } else { 1200 };
            let lives = Duration::from_millis(random.below(longest) as u64);
            let until = Instant::now() + lives;
            let mut pinged = Instant::now();
            let mut is_open = true;
            while is_open && !self.is_over() && (Instant::now() < until || self.settling.load(Ordering::SeqCst)) {
                is_open = current.read(&mut self.device(number));
                if pinged.elapsed() > KEEP_ALIVE / 4 {
                    pinged = Instant::now();
                    is_open &= current.ping().is_ok();
                }
            }
            let how = LEAVES[random.below(LEAVES.len())];
            if how == Leave::Overlap {
                client = self.connect(user, device, &mut random).ok();
            }
            // It has read nothing for a moment, in which something may have come.
            std::thread::sleep(Duration::from_millis(random.below(60) as u64));
            current.leave(how);
            self.device(number).disconnects += 1;
            if random.below(3) == 0 {
                std::thread::sleep(Duration::from_millis(random.below(1500) as u64));
            }
        }
    }

    fn connect(&self, user: usize, device: usize, random: &mut Random) -> Result<Client> {
        let token = self.token(&self.users[user], &name(user, device))?;
        let hub = self.hubs[random.below(self.hubs.len())].public;
        if random.below(4) == 0 { Client::by_events(hub, &token) } else { Client::by_websocket(hub, &token) }
    }

    /// The pushes that each device had to get, and what became of them.
    fn fates(&self, pushes: &[Push]) -> Vec<(usize, usize, Fate)> {
        let mut fates = Vec::new();
        for number in 0..self.devices.len() {
            let (user, name) = (number / DEVICES, number % DEVICES);
            let device = self.device(number);
            for (push, Push { put, covered, user: to, by }) in pushes.iter().enumerate() {
                let is_own = *to == Some(user) && *by == Some(name);
                if is_own || to.is_some_and(|to| to != user) {
                    continue;
                }
                let fate = match (covered, device.synced) {
                    (true, _) if device.read.contains(&push) => Fate::Read,
                    (true, Some(synced)) if synced > *put => Fate::Covered,
                    (true, _) => Fate::Lost,
                    (false, _) => Fate::Uncovered,
                };
                fates.push((number, push, fate));
            }
        }
        fates
    }

    fn account(&self, pushes: &[Push]) -> Account {
        let mut account = Account::default();
        for (.., fate) in self.fates(pushes) {
            account.pushes += 1;
            match fate {
                Fate::Read => account.read += 1,
                Fate::Covered => account.covered += 1,
                Fate::Lost => account.lost += 1,
                Fate::Uncovered => account.uncovered += 1,
            }
        }
        for number in 0..self.devices.len() {
            let device = self.device(number);
            account.duplicates += device.duplicates;
            account.disconnects += device.disconnects;
            account.syncs += device.syncs;
        }
        account
    }

    fn losses(&self, pushes: &[Push]) -> String {
        let lost = self.fates(pushes).into_iter().filter(|(.., fate)| *fate == Fate::Lost);
        let mut by_device: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        lost.for_each(|(device, push, _)| by_device.entry(device).or_default().push(push));
        format!("lost, by device: {by_device:?}")
    }
}

/// What became of a push to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Read,
    Covered,
    Lost,
    Uncovered,
}

fn name(user: usize, device: usize) -> String {
    format!("device {device} of user {user}")
}

/// The id by which a push is told from others.
fn id(number: usize) -> String {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | number as u128).to_string()
}

/// A connection that has shaken hands.
struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// The pushes that it has read.
    read: HashSet<usize>,
    /// By Server-Sent Events: what is said is posted there.
    posts: Option<(SocketAddr, String, String)>,
}

impl Client {
    fn by_websocket(hub: SocketAddr, token: &str) -> Result<Client> {
        let mut connection = Connection::open(hub)?;
        connection.write(http::upgrade(&format!("/hub?access_token={token}"), "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 101, "refused");
        let (mut stream, bytes) = connection.into_parts();
        stream.write_all(&frame(opcode::TEXT, HANDSHAKE))?;
        Client { stream, bytes, read: HashSet::new(), posts: None }.shaken()
    }

    fn by_events(hub: SocketAddr, token: &str) -> Result<Client> {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let offer = http::request(hub, "POST", "/hub/negotiate?negotiateVersion=1", &headers, b"")?.json()?;
        let target = format!("/hub?id={}", offer["connectionToken"].as_str().context("no token")?);
        let mut connection = Connection::open(hub)?;
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\nAccept: text/event-stream\r\n\r\n"
        );
        connection.write(head.as_bytes())?;
        ensure!(connection.head()?.status == 200, "refused");
        let (stream, bytes) = connection.into_parts();
        let response = http::request(hub, "POST", &target, &headers, HANDSHAKE)?;
        ensure!(response.status == 200, "{response:?}");
        let posts = Some((hub, target, authorization));
        Client { stream, bytes, read: HashSet::new(), posts }.shaken()
    }

    /// Reads up to the answer of the handshake.
    fn shaken(mut self) -> Result<Client> {
        let mut buffer = [0; 4096];
        while !self.bytes.contains(&0x1e) {
            match self.stream.read(&mut buffer)? {
                0 => return Err(anyhow!("the connection ended in its handshake")),
                count => self.bytes.extend_from_slice(&buffer[..count]),
            }
        }
        self.stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(self)
    }

    /// Reads what has come, or waits a little for it; `false` once the connection has ended.
    fn read(&mut self, device: &mut Device) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        while let Some(end) = self.bytes.iter().position(|byte| *byte == 0x1e) {
            let message: Vec<u8> = self.bytes.drain(..=end).collect();
            if let Some(push) = device.take(&String::from_utf8_lossy(&message[..end])) {
                device.duplicates += usize::from(!self.read.insert(push));
            }
        }
        true
    }

    fn say(&mut self, message: &[u8]) -> Result<()> {
        match &self.posts {
            None => Ok(self.stream.write_all(&frame(opcode::TEXT, message))?),
            Some((hub, target, authorization)) => {
                let response = http::request(*hub, "POST", target, &[("Authorization", authorization)], message)?;
                ensure!(response.status == 200, "{response:?}");
                Ok(())
            }
        }
    }

    fn ping(&mut self) -> Result<()> {
        self.say(b"{\"type\":6}\x1e")
    }

    /// Hangs up; what the hub says to that is not read.
    fn leave(mut self, how: Leave) {
        // A hub that has hung up first is left as well.
        let _ = match how {
            Leave::Close => self.say(b"{\"type\":7}\x1e"),
            Leave::WebSocketClose if self.posts.is_none() => {
                self.stream.write_all(&frame(opcode::CLOSE, &1000u16.to_be_bytes())).map_err(Into::into)
            }
            Leave::WebSocketClose | Leave::End | Leave::Overlap => {
                self.stream.shutdown(Shutdown::Write).map_err(Into::into)
            }
            Leave::PingAndReset => self.ping(),
            Leave::Reset => Ok(()),
        };
        if matches!(how, Leave::Reset | Leave::PingAndReset) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Device {
    /// Notes a message. Returns the number of the push that it is, if it tells.
    fn take(&mut self, text: &str) -> Option<usize> {
        let message: Value = serde_json::from_str(&text[text.find("{\"type\":1,")?..]).ok()?;
        let push = &message["arguments"][0];
        if push["type"] == 5 {
            self.synced = Some(Instant::now());
            self.syncs += 1;
        }
        let id = Uuid::parse_str(push["payload"]["id"].as_str()?).ok()?;
        let number = (id.as_u128() & 0xffff_ffff) as usize;
        self.read.insert(number);
        Some(number)
    }
}

/// Numbers that look random and are the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}
