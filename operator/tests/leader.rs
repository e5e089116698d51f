//! The election: one process may write at a time, with every fault of the API server. The clock of tokio is paused.

use std::time::Duration;

use kube::Client;
use notification_hub_operator::leader::{Election, ElectionOutcome, ElectionTiming, Leadership, LeaseStore};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::store::Key;

fn lease() -> Key {
    Key::new("coordination.k8s.io/leases", "operator", "lease")
}

/// A process that takes part in the election.
pub struct Candidate {
    pub leadership: Leadership,
    stop: watch::Sender<bool>,
    task: JoinHandle<ElectionOutcome>,
}

impl Candidate {
    pub fn start(client: Client, name: &str) -> Candidate {
        let store = LeaseStore::new(client, "operator", "lease", name, ElectionTiming::default());
        let (election, leadership) = Election::new(store);
        let (stop, stopped) = watch::channel(false);
        Candidate { leadership, stop, task: tokio::spawn(election.run(stopped)) }
    }

    /// Returns whether it leads within a time.
    pub async fn leads_within(&self, time: Duration) -> bool {
        timeout(time, self.leadership.wait_until_leader()).await.is_ok()
    }

    pub async fn stop(self) -> ElectionOutcome {
        self.stop.send_replace(true);
        self.task.await.expect("no panic")
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn released_lease_is_acquired_at_once_by_next_candidate() {
    let api = FakeApi::new();
    let first = Candidate::start(api.client(), "first");
    assert!(first.leads_within(seconds(1)).await);
    let second = Candidate::start(api.client(), "second");
    assert!(!second.leads_within(seconds(120)).await, "the first candidate renews");
    assert!(first.leadership.is_leader());
    assert_eq!(first.stop().await, ElectionOutcome::Released);
    assert!(
        second.leads_within(ElectionTiming::default().retry_period + seconds(1)).await,
        "a released lease is acquired at once"
    );
    let spec = api.get(&lease()).expect("the lease")["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("second"), &json!(1)));
    assert_eq!(second.stop().await, ElectionOutcome::Released);
    assert!(api.get(&lease()).expect("the lease")["spec"].get("holderIdentity").is_none());
}

#[tokio::test(start_paused = true)]
async fn simultaneous_candidates_elect_one_leader() {
    let api = FakeApi::new();
    let both = [Candidate::start(api.client(), "first"), Candidate::start(api.client(), "second")];
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(both.iter().filter(|each| each.leadership.is_leader()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn partitioned_leader_stops_before_the_next_starts() {
    let api = FakeApi::new();
    let (cut, is_cut) = watch::channel(false);
    let first = Candidate::start(api.client_behind(is_cut), "first");
    assert!(first.leads_within(seconds(1)).await);
    let second = Candidate::start(api.client(), "second");
    assert!(!second.leads_within(seconds(60)).await);

    cut.send_replace(true);
    let since = Instant::now();
    let ended = timeout(ElectionTiming::default().renew_deadline, first.task).await;
    assert_eq!(ended.expect("within the renewal deadline").expect("no panic"), ElectionOutcome::Lost);
    assert!(!first.leadership.is_leader());
    let gap = ElectionTiming::default().lease_duration - ElectionTiming::default().renew_deadline;
    assert!(
        !second.leads_within(gap - ElectionTiming::default().retry_period).await,
        "not before the lease has expired"
    );
    assert!(second.leads_within(seconds(10)).await);
    assert!(
        since.elapsed() <= ElectionTiming::default().lease_duration + 2 * ElectionTiming::default().retry_period,
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn leader_with_a_single_call_fault_keeps_the_lease() {
    for fault in [Fault::Refused(409), Fault::Refused(429), Fault::Refused(500), Fault::Hangs, Fault::AnswerLost] {
        for call in 0..4 {
            let api = FakeApi::new();
            let first = Candidate::start(api.client(), "first");
            assert!(first.leads_within(seconds(1)).await);
            api.inject(call, fault);
            for _ in 0..40 {
                tokio::time::sleep(seconds(1)).await;
                assert!(first.leadership.is_leader(), "{fault:?} at call {call}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lease_taken_by_another_holder_ends_leadership() {
    let api = FakeApi::new();
    let first = Candidate::start(api.client(), "first");
    assert!(first.leads_within(seconds(1)).await);
    api.edit(&lease(), |it| it["spec"]["holderIdentity"] = json!("other"));
    assert_eq!(first.task.await.expect("no panic"), ElectionOutcome::Lost);
    assert!(!first.leadership.is_leader());
    assert_eq!(
        api.get(&lease()).expect("the lease")["spec"]["holderIdentity"],
        "other",
        "the lease of another holder is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn deleted_lease_is_recreated_by_the_leader() {
    let api = FakeApi::new();
    let first = Candidate::start(api.client(), "first");
    assert!(first.leads_within(seconds(1)).await);
    api.delete(&lease());
    api.until("a new lease", |api| api.get(&lease()).is_some()).await;
    assert!(first.leadership.is_leader());
}
