//! Calls to the API server. Each call has a timeout, and each write is sent only while this process leads.
//!
//! kube's client has no read timeout, so a call without one can wait for ever.

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

/// Timeout of a call. A call that begins at the renewal deadline (10 s) ends before the lease expires (15 s), so before
/// another process can write.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server did not answer in time.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// The call was not sent, because another process may lead.
    #[error("this process does not lead")]
    NotLeading,
    /// The API server refused the call.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The answer is malformed. It is not quoted, because it may be a Secret.
    #[error("malformed answer of the API server (line {line}, column {column})")]
    Malformed {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The connection failed.
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
    /// Returns the category of the error, for the label of a metric.
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

    /// Returns the API server's status, or `None` if it did not refuse the call.
    pub fn status(&self) -> Option<&Status> {
        match self {
            CallError::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// Returns whether the applied object does not match the schema of its kind. The API server answers this with status
    /// 500, so the message decides.
    pub fn is_schema_mismatch(&self) -> bool {
        self.status().is_some_and(|it| it.code == 500 && it.message.contains("failed to create typed patch object"))
    }

    /// Returns whether the applied object has fields that the CRD does not declare.
    pub fn is_undeclared_field(&self) -> bool {
        self.status().is_some_and(|it| it.code == 500 && it.message.contains("field not declared in schema"))
    }

    /// Returns whether the write conflicts with another client's write.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }
}

/// A namespaced kind with a static type.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

/// Access to the API server for reconciles.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    leadership: Leadership,
    is_dry_run: bool,
}

impl Cluster {
    /// Creates an access through `client` that writes only while this process leads.
    pub fn new(client: Client, leadership: Leadership) -> Cluster {
        Cluster { client, leadership, is_dry_run: false }
    }

    /// Returns a handle to the same API server whose writes to children are dry runs: the API server answers with the
    /// result and stores nothing.
    pub fn dry_run(&self) -> Cluster {
        Cluster { is_dry_run: true, ..self.clone() }
    }

    /// Returns whether writes to children are dry runs.
    pub fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// Reads an object. Returns `None` if it does not exist.
    pub async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<K>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        with_timeout(api.get_opt(name)).await
    }

    /// Reads the metadata of an object. Returns `None` if the object does not exist.
    pub async fn get_metadata<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<K>>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        with_timeout(api.get_metadata_opt(name)).await
    }

    /// Lists the objects with these labels. They may be older than in etcd, because the API server's cache answers.
    pub async fn list<K: Kind>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        Ok(with_timeout(api.list(&ListParams::default().labels(labels).match_any())).await?.items)
    }

    /// Lists the metadata of the objects with these labels.
    pub async fn list_metadata<K: Kind>(
        &self,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<PartialObjectMeta<K>>, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        Ok(with_timeout(api.list_metadata(&ListParams::default().labels(labels))).await?.items)
    }

    /// Deletes a child, but not an object with another uid that has replaced it. Succeeds if the child is already gone.
    pub async fn delete<K: Kind>(&self, object: &PartialObjectMeta<K>) -> Result<(), CallError> {
        self.ensure_leading()?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let preconditions = Preconditions { uid: object.uid(), resource_version: None };
        let params = DeleteParams { dry_run: self.is_dry_run, ..DeleteParams::default().preconditions(preconditions) };
        match with_timeout(api.delete(&object.name_any(), &params)).await {
            Err(CallError::Refused(status)) if status.code == 404 => Ok(()),
            result => result.map(drop),
        }
    }

    /// Applies a child. With `force`, takes over fields that other field managers have changed.
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

    /// Replaces the `managedFields` of an object by `kept`. Fails with a conflict if the object has changed.
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

    /// Changes a child by a strategic merge patch.
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

    /// Applies a status. `patch` has the resourceVersion from which the status was computed, so that the API server refuses
    /// an outdated status.
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

/// Waits for the answer of a call. Fails with [`CallError::Timeout`] after [`CALL_TIMEOUT`].
pub async fn with_timeout<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Timeout),
    }
}
