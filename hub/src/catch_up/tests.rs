use super::*;
use crate::notification::ClientType;

const USER: Uuid = Uuid::from_u128(1);
const WINDOW: Duration = Duration::from_secs(600);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Behind the first window, in which it is not known what was before.
const START: Tick = Tick(10_000);

/// One user's device at a hub without a backplane. Time is in seconds.
struct Client {
    catch_up: CatchUp,
    generation: u32,
}

fn at(seconds: u32) -> Tick {
    START.after(seconds * 10)
}

impl Client {
    fn new() -> Client {
        let records = LocalRecords::new(WINDOW, 100);
        let catch_up = CatchUp::new(Some(Box::new(records)), KEEP_ALIVE, Duration::from_secs(30));
        Client { catch_up, generation: 0 }
    }

    fn id(&self) -> ConnectionId {
        ConnectionId { slot: 0, generation: self.generation }
    }

    /// Connects; whether it is owed a sync.
    fn connect(&mut self, seconds: u32) -> Option<SyncReason> {
        self.generation += 1;
        let client =
            LookupRequest { user: USER, organizations: &[], device: Some(Device::from_id("a")), received: None };
        let now = at(seconds);
        self.catch_up.on_join(self.id(), &client, now, Timestamp::from_tick(now));
        self.catch_up.tracker.pending(self.id()).map(|(reason, _)| reason)
    }

    fn push(&mut self, seconds: u32) {
        let now = Timestamp::from_tick(at(seconds));
        self.catch_up.on_push(Audience::User(USER, ClientType::All), None, now);
        self.catch_up.on_written(now.after(Tick::LENGTH), now.after(Tick::LENGTH));
    }

    fn sync(&mut self, seconds: u32) {
        assert_eq!(self.catch_up.take_due_sync(at(seconds)).map(|(id, _)| id), Some(self.id()));
    }

    fn leave(&mut self, last_heard: u32, seconds: u32) {
        let device = Some((USER, Device::from_id("a")));
        let now = Timestamp::from_tick(at(seconds));
        self.catch_up.on_written(now, now);
        self.catch_up.on_leave(self.id(), device, at(last_heard), || now);
    }
}

#[test]
fn push_shortly_before_a_clean_close_is_missed() {
    let mut client = Client::new();
    client.connect(0);
    client.push(20);
    client.leave(30, 30);
    assert_eq!(client.connect(31), Some(SyncReason::Missed));
}

#[test]
fn push_followed_by_activity_an_interval_later_is_received() {
    let mut client = Client::new();
    client.connect(0);
    client.push(20);
    client.leave(40, 40);
    assert_eq!(client.connect(41), None);
}

#[test]
fn push_followed_by_an_immediate_ping_only_is_missed() {
    let mut client = Client::new();
    client.connect(0);
    client.push(20);
    client.leave(21, 60);
    assert_eq!(client.connect(61), Some(SyncReason::Missed));
}

#[test]
fn clean_close_without_a_push_needs_no_sync() {
    let mut client = Client::new();
    client.connect(0);
    client.leave(5, 5);
    assert_eq!(client.connect(6), None);
}

#[test]
fn sync_not_received_is_sent_again() {
    let mut client = Client::new();
    client.connect(0);
    client.leave(20, 20);
    client.push(30);
    assert_eq!(client.connect(40), Some(SyncReason::Missed));
    client.sync(41);
    client.leave(42, 42);
    assert_eq!(client.connect(43), Some(SyncReason::Missed));
    client.sync(44);
    client.leave(60, 60);
    assert_eq!(client.connect(61), None);
}

#[test]
fn sync_received_is_recorded_before_the_connection_closes() {
    let mut client = Client::new();
    client.push(1);
    assert_eq!(client.connect(10), Some(SyncReason::UnknownDevice));
    client.sync(11);
    let (device, id) = (Some((USER, Device::from_id("a"))), client.id());
    client.catch_up.run_checks(at(30), Timestamp::from_tick(at(30)), |_| Some((device, at(30))));
    assert_eq!(
        client.catch_up.tracker.sync_state(id, None),
        SyncState::Received { written_by: None, synced_until: None }
    );
    // The process that holds the connection is not asked any more.
    assert_eq!(client.connect(31), None);
}

#[test]
fn push_unwritten_when_the_connection_ends_is_missed() {
    let mut client = Client::new();
    client.connect(0);
    let (device, now) = (Some((USER, Device::from_id("a"))), Timestamp::from_tick(at(60)));
    client.catch_up.on_written(Timestamp::from_tick(at(1)), Timestamp::from_tick(at(1)));
    // Noted, and never written: the watermark stays where it was.
    client.catch_up.on_push(Audience::User(USER, ClientType::All), None, Timestamp::from_tick(at(10)));
    client.catch_up.on_leave(client.id(), device, at(60), || now);
    assert_eq!(client.connect(61), Some(SyncReason::Missed));
}

#[test]
fn lookup_answer_for_a_closed_connection_is_ignored() {
    let mut client = Client::new();
    client.connect(0);
    let gone = client.id();
    client.leave(1, 1);
    client.connect(2);
    client.catch_up.on_lookup_result(gone, USER, LookupResult::UNKNOWN, at(3));
    assert_eq!(client.catch_up.next_sync(), None);
}

#[test]
fn syncs_after_a_restart_are_spread_over_an_interval() {
    let mut catch_up = Client::new().catch_up;
    let mut due = |user: u128, now: Tick| {
        let id = ConnectionId { slot: user as u32, generation: 0 };
        let client = LookupRequest { user: Uuid::from_u128(user), organizations: &[], device: None, received: None };
        catch_up.on_join(id, &client, now, Timestamp::from_tick(now));
        catch_up.tracker.pending(id).expect("nothing is known after a start").1.0
    };
    let mut early: Vec<u32> = (0..300).map(|user| due(user * 7, Tick(10))).collect();
    early.sort_unstable();
    assert_eq!((early[0], early[299]), (300, 599));
    early.dedup();
    assert_eq!(early.len(), 300, "no two in the same tick");
    assert_eq!(due(5000, Tick(310)), 320);
}

#[test]
fn disabled_catch_up_sends_no_sync() {
    let mut catch_up = CatchUp::new(None, KEEP_ALIVE, KEEP_ALIVE);
    let id = ConnectionId { slot: 0, generation: 0 };
    let client = LookupRequest { user: USER, organizations: &[], device: None, received: None };
    catch_up.on_join(id, &client, Tick(1), Timestamp(1));
    catch_up.schedule_sync(id, SyncReason::BackplaneGap, Timestamp(0), Tick(1), Tick(1));
    assert!(!catch_up.is_enabled() && catch_up.next_sync().is_none());
}
