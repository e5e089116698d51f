//! Reads and writes the Lease. Every write names the record that it replaces: of two writers one gets a conflict.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use super::decision::{ElectionTiming, LeaseRecord};
use crate::cluster::{CallError, with_timeout};

/// The Lease, as one process sees it.
pub struct LeaseStore {
    api: Api<Lease>,
    name: String,
    me: String,
    timing: ElectionTiming,
}

impl LeaseStore {
    /// The Lease `namespace/name`, for the process called `me`.
    pub fn new(client: Client, namespace: &str, name: &str, me: &str, timing: ElectionTiming) -> LeaseStore {
        LeaseStore { api: Api::namespaced(client, namespace), name: name.to_owned(), me: me.to_owned(), timing }
    }

    /// Returns the identity of this process.
    pub(super) fn identity(&self) -> &str {
        &self.me
    }

    pub(super) fn timing(&self) -> ElectionTiming {
        self.timing
    }

    /// Reads the Lease. Returns `None` if it does not exist.
    pub(super) async fn read(&self) -> Result<Option<Lease>, CallError> {
        with_timeout(self.api.get_opt(&self.name)).await
    }

    /// Writes this process as the holder into the Lease, replacing `seen`. Fails with a conflict if the Lease has
    /// changed since.
    pub(super) async fn acquire(&self, seen: Option<Lease>) -> Result<Lease, CallError> {
        let now = Some(MicroTime(Timestamp::now()));
        let before = seen.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_mine = before.holder_identity.as_deref() == Some(&self.me);
        let transitions = before.lease_transitions.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).ok(),
            acquire_time: if is_mine { before.acquire_time } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if is_mine || seen.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        };
        self.write(seen, spec).await
    }

    /// Clears the holder, so that the next process need not wait. Returns whether this process was the holder.
    pub(super) async fn release(&self) -> Result<bool, CallError> {
        let Some(lease) = self.read().await? else { return Ok(false) };
        let before = lease.spec.clone().unwrap_or_default();
        if before.holder_identity.as_deref() != Some(&self.me) {
            return Ok(false);
        }
        let spec = LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(Timestamp::now())), ..before };
        self.write(Some(lease), spec).await.map(|_| true)
    }

    async fn write(&self, seen: Option<Lease>, spec: LeaseSpec) -> Result<Lease, CallError> {
        let params = PostParams::default();
        match seen {
            // Its resourceVersion is in it.
            Some(lease) => {
                with_timeout(self.api.replace(&self.name, &params, &Lease { spec: Some(spec), ..lease })).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                with_timeout(self.api.create(&params, &Lease { metadata, spec: Some(spec) })).await
            }
        }
    }
}

/// Extracts the record of a Lease.
pub(super) fn record(lease: &Lease, default: Duration) -> LeaseRecord {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    LeaseRecord {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        duration: seconds.map_or(default, Duration::from_secs),
        version: lease.resource_version().unwrap_or_default(),
    }
}
