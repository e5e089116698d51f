//! `diff`: predicts the changes of a resource by dry runs. Writes nothing, and hides the content of Secrets.

use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt};
use notification_hub_crds::NotificationHub;
use serde_json::Value;

use super::line_diff;
use crate::build::lost_paths;
use crate::cluster::{CallError, Cluster, with_timeout};
use crate::conditions::Diagnostics;
use crate::leader::Leadership;
use crate::model::defaults::Defaults;
use crate::reconcile::apply_cache::ApplyCache;
use crate::reconcile::change::Change;
use crate::reconcile::dereference::dereference;
use crate::reconcile::rollout_limiter::RolloutLimiter;
use crate::reconcile::{self, ReconcileScope, SpecOutcome, apply_spec};
use crate::third_party::{self, ServedKinds};
use k8s_openapi::jiff::Timestamp;

/// Error of computing the differences.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The file is not YAML.
    #[error("file: not YAML: {0}")]
    Yaml(Box<dyn std::error::Error + Send + Sync>),
    /// The file has no NotificationHub.
    #[error("file: no NotificationHub")]
    NoHub,
    /// A NotificationHub has no name.
    #[error("metadata.name: not set in a NotificationHub; set it")]
    NoName,
    /// The CRD lacks fields of the resource.
    #[error("{hub}: the API server drops unknown fields: {fields}")]
    UnknownFields {
        /// Name of the resource.
        hub: String,
        /// Paths of the fields, separated by commas.
        fields: String,
    },
    /// A call for the resource failed.
    #[error("{hub}: {source}")]
    Call {
        /// Name of the resource.
        hub: String,
        /// Error of the call.
        source: CallError,
    },
    /// A step of the reconcile failed.
    #[error("{hub}: {source}")]
    Reconcile {
        /// Name of the resource.
        hub: String,
        /// Error of the step.
        source: reconcile::ReconcileError,
    },
}

/// Changes by applying one resource.
#[derive(Debug)]
pub struct Difference {
    /// The text to print.
    pub text: String,
    /// Whether anything would change.
    pub changes: bool,
    /// Whether a diagnostic blocks the changes.
    pub blocked: bool,
}

/// Returns the difference of every NotificationHub in a YAML of one or more documents.
pub async fn diff(
    client: &Client,
    yaml: &str,
    namespace: Option<&str>,
    defaults: &Defaults,
) -> Result<Vec<Difference>, DiffError> {
    // Errors do not quote the file, because other documents may be Secrets.
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(yaml, options).map_err(|error| DiffError::Yaml(error.into()))?;
    let hubs: Vec<_> = documents.into_iter().filter(|document| document["kind"] == "NotificationHub").collect();
    if hubs.is_empty() {
        return Err(DiffError::NoHub);
    }
    let mut differences = Vec::new();
    for hub in hubs {
        differences.push(Box::pin(diff_hub(client, hub, namespace, defaults)).await?);
    }
    Ok(differences)
}

/// Returns the difference of one NotificationHub of the file.
async fn diff_hub(
    client: &Client,
    hub: Value,
    namespace: Option<&str>,
    defaults: &Defaults,
) -> Result<Difference, DiffError> {
    let name = hub["metadata"]["name"].as_str().ok_or(DiffError::NoName)?.to_owned();
    let namespace = hub["metadata"]["namespace"].as_str().or(namespace).unwrap_or(client.default_namespace());
    let failed = |source| DiffError::Call { hub: name.clone(), source };
    let stored = predict_stored(client, &name, namespace, hub.clone()).await.map_err(failed)?;
    let fields = lost_paths(&hub["spec"], &stored.data["spec"]);
    if !fields.is_empty() {
        let fields = fields.iter().map(|field| format!("spec.{field}")).collect::<Vec<_>>().join(", ");
        return Err(DiffError::UnknownFields { hub: name, fields });
    }
    let stored: NotificationHub = stored.try_parse().map_err(|error| DiffError::Yaml(error.into()))?;

    let cluster = Cluster::new(client.clone(), Leadership::NoElection).dry_run();
    let failed = |source| DiffError::Reconcile { hub: name.clone(), source };
    let served = third_party::discover(client, &ServedKinds::default()).await;
    let fetched = dereference(&cluster, &stored, Timestamp::now()).await.map_err(|error| failed(error.into()))?;
    let (apply_cache, rollout_limiter) = (ApplyCache::default(), RolloutLimiter::default());
    let scope = ReconcileScope {
        cluster: &cluster,
        defaults,
        served: &served,
        apply_cache: &apply_cache,
        rollout_limiter: &rollout_limiter,
    };
    let SpecOutcome { diagnostics, changes, .. } =
        Box::pin(apply_spec(&scope, &stored, fetched)).await.map_err(failed)?;
    let mut text = format!("NotificationHub {name} in namespace {namespace}\n");
    diagnostic_messages(&diagnostics).for_each(|message| text.push_str(&format!("! {message}\n")));
    changes.iter().for_each(|change| text.push_str(&render(change)));
    Ok(Difference { text, changes: !changes.is_empty(), blocked: diagnostics.is_blocking() })
}

/// Returns the resource as the API server would store it, from a dry run. An existing resource keeps its other labels and
/// annotations.
async fn predict_stored(client: &Client, name: &str, namespace: &str, hub: Value) -> Result<DynamicObject, CallError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<NotificationHub>(&()));
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match with_timeout(api.get_opt(name)).await? {
        Some(mut live) => {
            live.data["spec"] = hub["spec"].clone();
            live.labels_mut().extend(string_map(&hub["metadata"]["labels"]));
            live.annotations_mut().extend(string_map(&hub["metadata"]["annotations"]));
            with_timeout(api.replace(name, &params, &live)).await
        }
        None => {
            let mut object = DynamicObject::new(name, &ApiResource::erase::<NotificationHub>(&())).within(namespace);
            object.data = serde_json::json!({ "spec": hub["spec"] });
            object.labels_mut().extend(string_map(&hub["metadata"]["labels"]));
            object.annotations_mut().extend(string_map(&hub["metadata"]["annotations"]));
            with_timeout(api.create(&params, &object)).await
        }
    }
}

/// Returns the entries of a map of strings, such as labels or annotations.
fn string_map(value: &Value) -> impl Iterator<Item = (String, String)> {
    let all = value.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
}

/// Returns the messages of all diagnostics.
fn diagnostic_messages(diagnostics: &Diagnostics) -> impl Iterator<Item = String> {
    let messages = diagnostics.spec.iter().chain(&diagnostics.references).map(|diagnostic| diagnostic.message.clone());
    let conflicts =
        diagnostics.conflicts.iter().map(|object| format!("{object}: not owned by this hub; delete or rename it"));
    messages.chain(conflicts).chain(diagnostics.omissions())
}

/// Renders a change: `+` for a new object, `~` for a changed one with its lines, `-` for a deleted one.
fn render(change: &Change) -> String {
    let Change { object, before, after } = change;
    let Some(after) = after else { return format!("- {object}\n") };
    let (mut before, mut after) = (before.clone(), after.clone());
    mask_secret(before.as_mut(), &mut after);
    let yaml = |value: &Value| serde_saphyr::to_string(value).unwrap_or_default();
    let lines = line_diff::diff(&before.as_ref().map(yaml).unwrap_or_default(), &yaml(&after));
    let sign = if before.is_some() { '~' } else { '+' };
    let indented = lines.lines().map(|line| format!("    {}\n", line.trim_end())).collect::<String>();
    format!("{sign} {object}\n{indented}")
}

/// Replaces the values of a Secret's entries, and marks the entries that change.
fn mask_secret(before: Option<&mut Value>, after: &mut Value) {
    if after["kind"] != "Secret" {
        return;
    }
    let old = before.as_ref().map(|before| before["data"].clone()).unwrap_or_default();
    let new = after["data"].clone();
    let mask = |data: &mut Value, other: &Value, label: &str| {
        for (entry, value) in data.as_object_mut().into_iter().flatten() {
            let hidden =
                if other.get(entry) == Some(value) { "(hidden)".to_owned() } else { format!("(hidden, {label})") };
            *value = Value::from(hidden);
        }
    };
    if let Some(before) = before {
        mask(&mut before["data"], &new, "before");
    }
    mask(&mut after["data"], &old, "after");
}
