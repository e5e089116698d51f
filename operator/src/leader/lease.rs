//! Reads and writes the Lease. Every write has the `resourceVersion` that it replaces, so one of two concurrent writers
//! gets a conflict.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use super::decision::{ElectionTiming, LeaseRecord};
use crate::cluster::{CallError, with_timeout};

/// Access of one process to the Lease.
pub struct LeaseStore {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: ElectionTiming,
}

impl LeaseStore {
    /// Creates the access of the process `identity` to the Lease `namespace/name`.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, timing: ElectionTiming) -> LeaseStore {
        LeaseStore {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
        }
    }

    /// Returns the identity of this process.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Returns the times of the election.
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
        let is_holder = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease_duration.as_secs()).ok(),
            acquire_time: if is_holder { before.acquire_time } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if is_holder || seen.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        };
        self.write(seen, spec).await
    }

    /// Clears the holder, so that the next process acquires the Lease at once. Returns whether this process was the
    /// holder.
    pub(super) async fn release(&self) -> Result<bool, CallError> {
        let Some(lease) = self.read().await? else { return Ok(false) };
        let before = lease.spec.clone().unwrap_or_default();
        if before.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(false);
        }
        let spec = LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(Timestamp::now())), ..before };
        self.write(Some(lease), spec).await.map(|_| true)
    }

    /// Writes the Lease, replacing `seen`, or creates it if `seen` is `None`.
    async fn write(&self, seen: Option<Lease>, spec: LeaseSpec) -> Result<Lease, CallError> {
        let params = PostParams::default();
        match seen {
            // The Lease that was read has the resourceVersion that the API server compares.
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

/// Extracts the record of a Lease. A Lease without a duration has the duration `default`.
pub(super) fn record(lease: &Lease, default: Duration) -> LeaseRecord {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    LeaseRecord {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        duration: seconds.map_or(default, Duration::from_secs),
        version: lease.resource_version().unwrap_or_default(),
    }
}
