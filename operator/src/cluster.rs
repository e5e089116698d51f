//! Every call to the API server: each with a deadline, each write only while this process leads.
//!
//! kube's client has no read timeout: without a deadline a call can hang for ever.

use std::fmt::Debug;
use std::time::Duration;

use http::Request;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{PartialObjectMeta, Status};
use kube::{Api, Client, Resource, ResourceExt};
use notification_hub_crds::{FIELD_MANAGER, HAND_OVER_FIELD_MANAGER, NotificationHub, STATUS_FIELD_MANAGER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::leader::Leadership;
use crate::schema;

/// Timeout of a call. Together with the renewal deadline of 10 s it ends before another process can acquire the lease,
/// which lasts 15 s.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer in time.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// Not sent: another process may be the leader.
    #[error("this process does not lead")]
    NotLeading,
    /// The API server's answer.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The answer is malformed. Only the place is told: it may be a Secret.
    #[error("the API server's answer can't be understood (see line {line}, column {column})")]
    Malformed {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// There was no answer.
    #[error(transparent)]
    Transport(kube::Error),
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> CallError {
        match error {
            kube::Error::Api(status) => CallError::Refused(status),
            kube::Error::SerdeError(error) => CallError::Malformed { line: error.line(), column: error.column() },
            other => CallError::Transport(other),
        }
    }
}

impl CallError {
    /// A word for metrics: one of a few.
    pub fn category(&self) -> &'static str {
        match self {
            CallError::Timeout => "timeout",
            CallError::NotLeading => "not_leading",
            CallError::Refused(status) => match status.code {
                403 => "forbidden",
                404 => "not_found",
                409 => "conflict",
                400 | 422 => "invalid",
                413 => "too_large",
                429 => "throttled",
                _ => "server",
            },
            CallError::Malformed { .. } | CallError::Transport(_) => "transport",
        }
    }

    /// What the API server said, if it said anything.
    pub fn status(&self) -> Option<&Status> {
        match self {
            CallError::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the applied object does not match the schema of its kind. The API server has no status code of its own
    /// for this.
    pub fn is_schema_mismatch(&self) -> bool {
        self.status().is_some_and(|it| it.code == 500 && it.message.contains("failed to create typed patch object"))
    }

    /// Whether the applied object has fields that the CRD does not declare.
    pub fn is_undeclared_field(&self) -> bool {
        self.status().is_some_and(|it| it.code == 500 && it.message.contains("field not declared in schema"))
    }

    /// Whether the object has changed in the meantime.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }
}

/// A namespaced kind of Kubernetes' own or ours.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

/// The API server, as the reconciler may use it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    leadership: Leadership,
    is_dry_run: bool,
}

impl Cluster {
    /// Calls through `client`, and writes while `leadership` holds.
    pub fn new(client: Client, leadership: Leadership) -> Cluster {
        Cluster { client, leadership, is_dry_run: false }
    }

    /// Returns a handle to the same API server whose writes to children are dry runs: the API server answers with the
    /// result and stores nothing.
    pub fn dry_run(&self) -> Cluster {
        Cluster { is_dry_run: true, ..self.clone() }
    }

    /// Whether writes to children are dry runs.
    pub fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// An object, if it exists.
    pub async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<K>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        with_timeout(api.get_opt(name)).await
    }

    /// An object's metadata, if it exists.
    pub async fn get_metadata<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<K>>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        with_timeout(api.get_metadata_opt(name)).await
    }

    /// The objects with these labels, not newer than the API server has them at hand.
    pub async fn list<K: Kind>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        Ok(with_timeout(api.list(&ListParams::default().labels(labels).match_any())).await?.items)
    }

    /// The metadata of the objects with these labels.
    pub async fn list_metadata<K: Kind>(
        &self,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<PartialObjectMeta<K>>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        Ok(with_timeout(api.list_metadata(&ListParams::default().labels(labels))).await?.items)
    }

    /// Deletes an object of ours, but not another one that has come to its name. One that is gone is fine.
    pub async fn delete<K: Kind>(&self, object: &PartialObjectMeta<K>) -> Result<(), CallError> {
        self.ensure_leading()?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let same = Preconditions { uid: object.uid(), resource_version: None };
        let params = DeleteParams { dry_run: self.is_dry_run, ..DeleteParams::default().preconditions(same) };
        match with_timeout(api.delete(&object.name_any(), &params)).await {
            Err(CallError::Refused(status)) if status.code == 404 => Ok(()),
            result => result.map(drop),
        }
    }

    /// Applies an object of ours. With `force` fields that others have changed are taken back.
    pub async fn apply<K: Kind>(&self, object: &K, force: bool) -> Result<K, CallError> {
        self.ensure_leading()?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let params = PatchParams { force, dry_run: self.is_dry_run, ..PatchParams::apply(FIELD_MANAGER) };
        with_timeout(api.patch(&object.name_any(), &params, &Patch::Apply(object))).await
    }

    /// Applies fields of a child with the field manager for hand-overs, without force. Fails with a conflict if another
    /// field manager has changed them.
    pub async fn hand_over<K: Kind>(&self, namespace: &str, name: &str, fields: &Value) -> Result<K, CallError> {
        self.ensure_leading()?;
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { dry_run: self.is_dry_run, ..PatchParams::apply(HAND_OVER_FIELD_MANAGER) };
        with_timeout(api.patch(name, &params, &Patch::Apply(fields))).await
    }

    /// Replaces the managed fields of an object by `kept`.
    pub async fn replace_managed_fields<K: Kind>(
        &self,
        object: &K,
        kept: &[ManagedFieldsEntry],
    ) -> Result<(), CallError> {
        self.ensure_leading()?;
        let api: Api<PartialObjectMeta<K>> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let patch = json!({ "metadata": { "resourceVersion": object.resource_version(), "managedFields": kept } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        with_timeout(api.patch_metadata(&object.name_any(), &params, &Patch::Merge(patch))).await.map(drop)
    }

    /// Changes an object of ours by a strategic merge patch.
    pub async fn patch<K: Kind>(&self, object: &K, patch: &Value) -> Result<K, CallError> {
        self.ensure_leading()?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: self.is_dry_run,
            ..PatchParams::default()
        };
        with_timeout(api.patch(&object.name_any(), &params, &Patch::Strategic(patch))).await
    }

    /// Applies a status. `patch` is the resource with the resourceVersion that the status was computed from, so that a
    /// status that was computed from an old state is refused.
    pub async fn apply_status<P: Serialize + Debug>(
        &self,
        namespace: &str,
        name: &str,
        patch: &P,
    ) -> Result<NotificationHub, CallError> {
        self.ensure_leading()?;
        let api: Api<NotificationHub> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        with_timeout(api.patch_status(name, &params, &Patch::Apply(patch))).await
    }

    /// Returns the resource's schema in the installed CRD, or `None` if the API server does not publish it.
    pub async fn served_schema(&self) -> Result<Option<Value>, CallError> {
        let document = async {
            let request = Request::get(schema::openapi_path()).body(Vec::new()).map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        };
        Ok(schema::find_schema(with_timeout(document).await?))
    }

    /// Fails with [`CallError::NotLeading`] unless this process leads now.
    pub fn ensure_leading(&self) -> Result<(), CallError> {
        if self.leadership.is_leader() { Ok(()) } else { Err(CallError::NotLeading) }
    }
}

/// Waits for a call's answer for at most [`CALL_TIMEOUT`].
pub async fn with_timeout<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Timeout),
    }
}
