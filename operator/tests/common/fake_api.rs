//! API server in memory, with server-side apply, watches and injected faults.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body as KubeBody;
use notification_hub_operator::third_party::ThirdPartyKind;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::request::{Access, ApiRequest};
use super::store::{Apply, Key, Refusal, Store};

/// Injected fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses the call with this status and does nothing.
    Refused(u16),
    /// The server does nothing and never answers.
    Hangs,
    /// The server executes the call and never answers.
    AnswerLost,
}

/// The API server. Clones share its state.
#[derive(Clone)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
    version: watch::Sender<usize>,
}

#[derive(Clone, Default)]
struct State {
    store: Store,
    accesses: BTreeSet<Access>,
    calls: Vec<String>,
    faults: BTreeMap<usize, Fault>,
    /// Statuses of calls that are always refused, by `verb resource`.
    refused: BTreeMap<String, u16>,
    /// Resources of installed third-party kinds, by `/apis/GROUP/VERSION`.
    installed: BTreeMap<String, BTreeSet<String>>,
    /// Number of times that all watches were dropped.
    drops: usize,
    /// Schema of the installed CRD, or `None` for the current one.
    schema: Option<Value>,
}

impl FakeApi {
    pub fn new() -> FakeApi {
        FakeApi { state: Arc::default(), version: watch::Sender::new(0) }
    }

    /// Returns another server with a copy of the state and no recorded calls.
    pub fn fork(&self) -> FakeApi {
        let state = State { calls: Vec::new(), ..self.state().clone() };
        FakeApi { version: watch::Sender::new(state.store.version()), state: Arc::new(Mutex::new(state)) }
    }

    /// Returns a client of this server.
    pub fn client(&self) -> Client {
        self.client_behind(watch::channel(false).1)
    }

    /// Returns a client whose calls wait while `cut` is true.
    pub fn client_behind(&self, cut: watch::Receiver<bool>) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let (api, mut cut) = (api.clone(), cut.clone());
            async move {
                // A dropped sender does not block calls any more.
                let _ = cut.wait_for(|cut| !cut).await;
                Ok::<_, Infallible>(api.answer(request).await)
            }
        });
        Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the lock is held")
    }

    /// Changes objects as another client, and wakes the watchers.
    pub fn change<T>(&self, act: impl FnOnce(&mut Store) -> Result<T, Refusal>) -> T {
        let (result, version) = {
            let mut state = self.state();
            let result = act(&mut state.store);
            (result, state.store.version())
        };
        self.version.send_replace(version);
        result.expect("a valid change")
    }

    /// Creates an object.
    pub fn create(&self, object: Value) -> Value {
        self.change(|store| store.create(Key::from_object(&object), object))
    }

    /// Edits an object.
    pub fn edit(&self, key: &Key, edit: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.get(key).expect("an object to edit");
        edit(&mut object);
        self.change(|store| store.replace(key.clone(), object))
    }

    /// Deletes an object.
    pub fn delete(&self, key: &Key) {
        self.change(|store| store.delete(key, None));
    }

    /// Returns an object, or `None` if it does not exist.
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.state().store.get(key).cloned()
    }

    /// Returns every object of a resource.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        let state = self.state();
        state.store.objects().filter(|(key, _)| key.resource == resource).map(|(_, object)| object.clone()).collect()
    }

    /// Returns the changes since a version, as `kind resource name`.
    pub fn changes_since(&self, version: usize) -> Vec<String> {
        let state = self.state();
        let changes = &state.store.changes()[version..];
        changes.iter().map(|change| format!("{} {} {}", change.kind, change.key.resource, change.key.name)).collect()
    }

    /// Returns the version, which increases with every write.
    pub fn version(&self) -> usize {
        self.state().store.version()
    }

    /// Ends every watch, and changes objects before a new watch can begin.
    pub fn drop_watches(&self, meanwhile: impl FnOnce(&mut Store)) {
        let version = {
            let mut state = self.state();
            state.drops += 1;
            meanwhile(&mut state.store);
            state.store.version()
        };
        self.version.send_replace(version);
    }

    /// Installs a third-party kind.
    pub fn install(&self, kind: ThirdPartyKind) {
        let resource = kind.resource();
        let path = format!("/apis/{}", resource.api_version);
        self.state().installed.entry(path).or_default().insert(resource.plural);
    }

    /// Uninstalls every kind of its group and version.
    pub fn uninstall(&self, kind: ThirdPartyKind) {
        self.state().installed.remove(&format!("/apis/{}", kind.resource().api_version));
    }

    /// Returns the answer to a discovery of a group and version, or `None` for other paths.
    fn discovery(&self, path: &str) -> Option<Response<Body>> {
        let version = path.strip_prefix("/apis/").filter(|rest| rest.split('/').count() == 2)?;
        let Some(resources) = self.state().installed.get(path).cloned() else {
            return Some(refusal(&Refusal::new(404, "the server could not find the requested resource")));
        };
        let resource =
            |name| json!({ "name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["get"] });
        let resources: Vec<_> = resources.into_iter().map(resource).collect();
        Some(json_response(200, &json!({ "groupVersion": version, "resources": resources })))
    }

    /// Returns every access so far.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.state().accesses.clone()
    }

    /// Returns the calls since the last time, as `verb resource name`, and clears them.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    /// Installs a CRD with another schema.
    pub fn install_schema(&self, schema: Value) {
        self.state().schema = Some(schema);
    }

    /// Injects a fault into the call after the next `calls` calls.
    pub fn inject(&self, calls: usize, fault: Fault) {
        let mut state = self.state();
        let index = state.calls.len() + calls;
        state.faults.insert(index, fault);
    }

    /// Refuses every call of `verb resource` with this status.
    pub fn refuse(&self, what: &str, code: u16) {
        self.state().refused.insert(what.to_owned(), code);
    }

    /// Stops refusing calls of `verb resource`.
    pub fn allow(&self, what: &str) {
        self.state().refused.remove(what);
    }

    /// Waits until `holds` is true. Fails after a minute.
    pub async fn until(&self, what: &str, holds: impl Fn(&FakeApi) -> bool) {
        let mut version = self.version.subscribe();
        let wait = async {
            while !holds(self) {
                version.changed().await.expect("the server lives");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_ok(), "not reached: {what}; all changes:\n{}", self.changes_since(0).join("\n"));
    }

    async fn answer(self, request: Request<KubeBody>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if let Some(discovery) = self.discovery(parts.uri.path()) {
            return discovery;
        }
        if parts.uri.path() == "/openapi/v3/apis/notificationhub.rs/v1alpha1" {
            return self.openapi().await;
        }
        let request = ApiRequest::new(&parts);
        let body = body.collect().await.expect("a body").to_bytes();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
        let patch = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();

        self.state().accesses.insert(request.access(request.verb));
        let name = request.name.as_deref().unwrap_or_default();
        let fault = self.record_call(format!("{} {} {name}", request.verb, request.access("").resource));
        match fault {
            Some(Fault::Refused(code)) => return refusal(&Refusal::new(code, "an injected fault")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::AnswerLost) | None => {}
        }
        if request.verb == "watch" {
            return self.watch(request);
        }
        let result = self.act(&request, patch, body);
        self.version.send_replace(self.version());
        if fault == Some(Fault::AnswerLost) {
            std::future::pending().await
        }
        match result {
            Ok(object) => json_response(200, &object),
            Err(refused) => refusal(&refused),
        }
    }

    /// Records a call, and returns its fault or `None`.
    fn record_call(&self, call: String) -> Option<Fault> {
        let mut state = self.state();
        let index = state.calls.len();
        let refused = call.rsplit_once(' ').and_then(|(what, _)| state.refused.get(what)).copied().map(Fault::Refused);
        state.calls.push(call);
        state.faults.remove(&index).or(refused)
    }

    /// Answers with the OpenAPI document of the group of the resource.
    async fn openapi(self) -> Response<Body> {
        match self.record_call("get openapi".to_owned()) {
            Some(Fault::Refused(code)) => return refusal(&Refusal::new(code, "an injected fault")),
            Some(Fault::Hangs | Fault::AnswerLost) => std::future::pending().await,
            None => {}
        }
        let mut schema = self.state().schema.clone().unwrap_or_else(current_schema);
        schema["x-kubernetes-group-version-kind"] =
            json!([{ "group": "notificationhub.rs", "version": "v1alpha1", "kind": "NotificationHub" }]);
        let schemas = json!({ "rs.notificationhub.v1alpha1.NotificationHub": schema });
        json_response(200, &json!({ "openapi": "3.0.0", "components": { "schemas": schemas } }))
    }

    fn act(&self, request: &ApiRequest, patch: &str, mut body: Value) -> Result<Value, Refusal> {
        let mut state = self.state();
        let State { store, accesses, schema, .. } = &mut *state;
        // A dry run changes a copy of the store.
        let mut copy = (request.query("dryRun") == Some("All") || body["dryRun"][0] == "All").then(|| store.clone());
        let store = copy.as_mut().unwrap_or(store);
        if request.verb == "list" {
            let is_listed = |(key, object): &(&Key, &Value)| {
                request.kind() == key.resource && is_in(request, key) && has_labels(request, object)
            };
            let items: Vec<_> =
                store.objects().filter(is_listed).map(|(_, object)| representation(request, object)).collect();
            let metadata = json!({ "resourceVersion": store.version().to_string() });
            return Ok(json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }));
        }
        let name = request.name.clone().or_else(|| body["metadata"]["name"].as_str().map(str::to_owned));
        let key = request.key(&name.expect("a name"));
        if ["create", "update"].contains(&request.verb) {
            body["metadata"]["namespace"] = json!(key.namespace);
        }
        match (request.verb, patch) {
            ("get", _) => {
                let object = store.get(&key).cloned();
                let missing = || Refusal::new(404, format!("{} {} not found", key.resource, key.name));
                let mut object = object.ok_or_else(missing)?;
                object["metadata"]["managedFields"] = store.managed_fields(&key);
                Ok(representation(request, &object))
            }
            ("create", _) => store.create(key, body),
            ("update", _) => store.replace(key, body),
            ("patch", "application/apply-patch+yaml") => {
                if store.get(&key).is_none() {
                    // A real server requires both permissions.
                    accesses.insert(request.access("create"));
                }
                let options = Apply {
                    manager: request.query("fieldManager").expect("an apply names its manager"),
                    force: request.query("force") == Some("true"),
                    status: request.subresource.as_deref() == Some("status"),
                };
                let about_status = body.get("status").is_some();
                assert_eq!(about_status, options.status, "status and spec are applied separately");
                if let (true, Some(schema)) = (about_status, schema) {
                    check_declared(".status", &body["status"], &schema["properties"]["status"])?;
                }
                body["metadata"]["namespace"] = json!(key.namespace);
                let mut applied = store.apply(key.clone(), body, &options)?;
                applied["metadata"]["managedFields"] = store.managed_fields(&key);
                Ok(applied)
            }
            ("patch", kind) => store.patch(key, &body, kind == "application/strategic-merge-patch+json"),
            ("delete", _) => store.delete(&key, body["preconditions"]["uid"].as_str()),
            other => panic!("unsupported call: {other:?}"),
        }
    }

    /// Returns whether the object had the watched labels before the last change before `next`.
    fn had_labels(&self, request: &ApiRequest, key: &Key, next: usize) -> bool {
        let state = self.state();
        let before = state.store.changes()[..next.saturating_sub(1)].iter().rfind(|change| change.key == *key);
        before.is_some_and(|change| change.kind != "DELETED" && has_labels(request, &change.object))
    }

    fn watch(self, request: ApiRequest) -> Response<Body> {
        let from = request.query("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let version = self.version.subscribe();
        let drops = self.state().drops;
        let events =
            stream::unfold((self, request, version, from), move |(api, request, mut version, mut next)| async move {
                loop {
                    let change = {
                        let state = api.state();
                        if state.drops != drops {
                            return None;
                        }
                        state.store.changes().get(next).cloned()
                    };
                    next += usize::from(change.is_some());
                    match change {
                        Some(change) if request.kind() == change.key.resource && is_in(&request, &change.key) => {
                            // A watch with a label selector reports an object that lost the labels as deleted.
                            let kind = match (
                                has_labels(&request, &change.object),
                                api.had_labels(&request, &change.key, next),
                            ) {
                                (true, _) => change.kind,
                                (false, true) => "DELETED",
                                (false, false) => continue,
                            };
                            let event = json!({ "type": kind, "object": representation(&request, &change.object) });
                            let line = Bytes::from(format!("{event}\n"));
                            return Some((Ok::<_, Infallible>(line), (api, request, version, next)));
                        }
                        Some(_) => {}
                        None => version.changed().await.ok()?,
                    }
                }
            });
        Response::new(Body::from_stream(events))
    }
}

/// Returns the schema of the current CRD.
pub fn current_schema() -> Value {
    let crd = notification_hub_crds::crd::crd_json().expect("a CRD");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Refuses fields that the schema does not declare, as a real server refuses an apply.
fn check_declared(path: &str, value: &Value, schema: &Value) -> Result<(), Refusal> {
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let Some(schema) = schema["properties"].get(name) else {
            let message = format!("failed to create typed patch object: {path}: field not declared in schema");
            return Err(Refusal::new(500, message));
        };
        check_declared(&path, field, schema)?;
    }
    Ok(())
}

/// Returns whether an object is in the namespace of the request.
fn is_in(request: &ApiRequest, key: &Key) -> bool {
    request.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

/// Returns whether an object has the labels of the selector.
fn has_labels(request: &ApiRequest, object: &Value) -> bool {
    let pairs = request.query("labelSelector").into_iter().flat_map(|text| text.split(','));
    pairs.filter_map(|pair| pair.split_once('=')).all(|(label, value)| object["metadata"]["labels"][label] == value)
}

/// Returns the object, or only its metadata if the request is for metadata.
fn representation(request: &ApiRequest, object: &Value) -> Value {
    if !request.metadata {
        return object.clone();
    }
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"] })
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string())).expect("a response")
}

/// Returns the response of a refusal.
fn refusal(refusal: &Refusal) -> Response<Body> {
    let causes: Vec<_> = refusal.field.iter().map(|field| json!({ "field": field })).collect();
    let reason = match refusal.code {
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        _ => "",
    };
    let status = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": refusal.message,
        "reason": reason,
        "code": refusal.code,
        "details": { "causes": causes },
    });
    json_response(refusal.code, &status)
}
