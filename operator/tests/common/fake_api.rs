//! An API server in this process: stateful, with server-side apply and watches, and with faults on request.

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

use super::request::{Access, Asked};
use super::store::{Apply, Key, Refusal, Store};

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses with this status; nothing happens.
    Refused(u16),
    /// There is never an answer; nothing happens.
    Hangs,
    /// It happens, but there is never an answer.
    AnswerLost,
}

/// The API server. Clones are the same one.
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
    /// What is always refused, as `verb resource`, with which status.
    refused: BTreeMap<String, u16>,
    /// What there is beside Kubernetes' own and ours: resources by `/apis/GROUP/VERSION`.
    installed: BTreeMap<String, BTreeSet<String>>,
    /// How often every watch was dropped.
    drops: usize,
    /// The schema of the installed definition, where it is not the present one.
    schema: Option<Value>,
}

impl FakeApi {
    pub fn new() -> FakeApi {
        FakeApi { state: Arc::default(), version: watch::Sender::new(0) }
    }

    /// Another server in the same state, which nothing was asked yet.
    pub fn fork(&self) -> FakeApi {
        let state = State { calls: Vec::new(), ..self.state().clone() };
        FakeApi { version: watch::Sender::new(state.store.version()), state: Arc::new(Mutex::new(state)) }
    }

    /// A client of this server's.
    pub fn client(&self) -> Client {
        self.client_behind(watch::channel(false).1)
    }

    /// A client whose calls hang while `cut` says so.
    pub fn client_behind(&self, cut: watch::Receiver<bool>) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let (api, mut cut) = (api.clone(), cut.clone());
            async move {
                // A sender that is gone cuts nothing any more.
                let _ = cut.wait_for(|cut| !cut).await;
                Ok::<_, Infallible>(api.answer(request).await)
            }
        });
        Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it was held")
    }

    /// Does something to the objects, as somebody else would, and wakes the watchers.
    pub fn change<T>(&self, act: impl FnOnce(&mut Store) -> Result<T, Refusal>) -> T {
        let (result, version) = {
            let mut state = self.state();
            let result = act(&mut state.store);
            (result, state.store.version())
        };
        self.version.send_replace(version);
        result.expect("a change that is possible")
    }

    /// Creates an object.
    pub fn create(&self, object: Value) -> Value {
        self.change(|store| store.create(Key::of(&object), object))
    }

    /// Edits an object.
    pub fn edit(&self, key: &Key, edit: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.get(key).expect("an object to edit");
        edit(&mut object);
        self.change(|store| store.replace(key.clone(), object))
    }

    pub fn delete(&self, key: &Key) {
        self.change(|store| store.delete(key, None));
    }

    pub fn get(&self, key: &Key) -> Option<Value> {
        self.state().store.get(key).cloned()
    }

    /// Every object of a resource.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        let state = self.state();
        state.store.objects().filter(|(key, _)| key.resource == resource).map(|(_, object)| object.clone()).collect()
    }

    /// What has changed since this version, as `kind resource name`.
    pub fn changes_since(&self, version: usize) -> Vec<String> {
        let state = self.state();
        let changes = &state.store.changes()[version..];
        changes.iter().map(|change| format!("{} {} {}", change.kind, change.key.resource, change.key.name)).collect()
    }

    /// Moves with every write.
    pub fn version(&self) -> usize {
        self.state().store.version()
    }

    /// Ends every watch, and does something before anybody can begin another.
    pub fn drop_watches(&self, meanwhile: impl FnOnce(&mut Store)) {
        let version = {
            let mut state = self.state();
            state.drops += 1;
            meanwhile(&mut state.store);
            state.store.version()
        };
        self.version.send_replace(version);
    }

    /// Installs an optional kind.
    pub fn install(&self, kind: ThirdPartyKind) {
        let resource = kind.resource();
        let path = format!("/apis/{}", resource.api_version);
        self.state().installed.entry(path).or_default().insert(resource.plural);
    }

    /// Takes every kind of its group and version away.
    pub fn uninstall(&self, kind: ThirdPartyKind) {
        self.state().installed.remove(&format!("/apis/{}", kind.resource().api_version));
    }

    /// What there is of a group and version, if the path asks for that.
    fn discovered(&self, path: &str) -> Option<Response<Body>> {
        let version = path.strip_prefix("/apis/").filter(|rest| rest.split('/').count() == 2)?;
        let Some(resources) = self.state().installed.get(path).cloned() else {
            return Some(refusal(&Refusal::new(404, "the server could not find the requested resource")));
        };
        let resource =
            |name| json!({ "name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["get"] });
        let resources: Vec<_> = resources.into_iter().map(resource).collect();
        Some(json_response(200, &json!({ "groupVersion": version, "resources": resources })))
    }

    /// Everything that was ever asked for.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.state().accesses.clone()
    }

    /// The calls since the last time, as `verb resource name`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    /// Has a definition with another schema installed.
    pub fn install_schema(&self, schema: Value) {
        self.state().schema = Some(schema);
    }

    /// Makes the call fail that comes after `calls` others.
    pub fn inject(&self, calls: usize, fault: Fault) {
        let mut state = self.state();
        let index = state.calls.len() + calls;
        state.faults.insert(index, fault);
    }

    /// Has every such call refused (`verb resource`) with this status.
    pub fn refuse(&self, what: &str, code: u16) {
        self.state().refused.insert(what.to_owned(), code);
    }

    /// Refuses such calls no more.
    pub fn allow(&self, what: &str) {
        self.state().refused.remove(what);
    }

    /// Waits until `holds`.
    pub async fn until(&self, what: &str, holds: impl Fn(&FakeApi) -> bool) {
        let mut version = self.version.subscribe();
        let wait = async {
            while !holds(self) {
                version.changed().await.expect("the server lives");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_ok(), "never happened: {what}; since then:\n{}", self.changes_since(0).join("\n"));
    }

    async fn answer(self, request: Request<KubeBody>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if let Some(discovered) = self.discovered(parts.uri.path()) {
            return discovered;
        }
        if parts.uri.path() == "/openapi/v3/apis/notificationhub.rs/v1alpha1" {
            return self.published().await;
        }
        let asked = Asked::new(&parts);
        let body = body.collect().await.expect("a body").to_bytes();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
        let patch = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();

        self.state().accesses.insert(asked.access(asked.verb));
        let name = asked.name.as_deref().unwrap_or_default();
        let fault = self.called(format!("{} {} {name}", asked.verb, asked.access("").resource));
        match fault {
            Some(Fault::Refused(code)) => return refusal(&Refusal::new(code, "an injected fault")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::AnswerLost) | None => {}
        }
        if asked.verb == "watch" {
            return self.watch(asked);
        }
        let result = self.act(&asked, patch, body);
        self.version.send_replace(self.version());
        if fault == Some(Fault::AnswerLost) {
            std::future::pending().await
        }
        match result {
            Ok(object) => json_response(200, &object),
            Err(refused) => refusal(&refused),
        }
    }

    /// Notes a call; what is to go wrong with it.
    fn called(&self, call: String) -> Option<Fault> {
        let mut state = self.state();
        let index = state.calls.len();
        let refused = call.rsplit_once(' ').and_then(|(what, _)| state.refused.get(what)).copied().map(Fault::Refused);
        state.calls.push(call);
        state.faults.remove(&index).or(refused)
    }

    /// The document of OpenAPI for the resource's group.
    async fn published(self) -> Response<Body> {
        match self.called("get openapi".to_owned()) {
            Some(Fault::Refused(code)) => return refusal(&Refusal::new(code, "an injected fault")),
            Some(Fault::Hangs | Fault::AnswerLost) => std::future::pending().await,
            None => {}
        }
        let mut schema = self.state().schema.clone().unwrap_or_else(present_schema);
        schema["x-kubernetes-group-version-kind"] =
            json!([{ "group": "notificationhub.rs", "version": "v1alpha1", "kind": "NotificationHub" }]);
        let schemas = json!({ "rs.notificationhub.v1alpha1.NotificationHub": schema });
        json_response(200, &json!({ "openapi": "3.0.0", "components": { "schemas": schemas } }))
    }

    fn act(&self, asked: &Asked, patch: &str, mut body: Value) -> Result<Value, Refusal> {
        let mut state = self.state();
        let State { store, accesses, schema, .. } = &mut *state;
        // What a dry run changes is thrown away.
        let mut copy = (asked.query("dryRun") == Some("All") || body["dryRun"][0] == "All").then(|| store.clone());
        let store = copy.as_mut().unwrap_or(store);
        if asked.verb == "list" {
            let wanted = |(key, object): &(&Key, &Value)| {
                asked.kind() == key.resource && is_in(asked, key) && has_labels(asked, object)
            };
            let items: Vec<_> = store.objects().filter(wanted).map(|(_, object)| shown(asked, object)).collect();
            let metadata = json!({ "resourceVersion": store.version().to_string() });
            return Ok(json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }));
        }
        let name = asked.name.clone().or_else(|| body["metadata"]["name"].as_str().map(str::to_owned));
        let key = asked.key(&name.expect("a name"));
        if ["create", "update"].contains(&asked.verb) {
            body["metadata"]["namespace"] = json!(key.namespace);
        }
        match (asked.verb, patch) {
            ("get", _) => {
                let object = store.get(&key).cloned();
                let missing = || Refusal::new(404, format!("{} {} not found", key.resource, key.name));
                let mut object = object.ok_or_else(missing)?;
                object["metadata"]["managedFields"] = store.managed_fields(&key);
                Ok(shown(asked, &object))
            }
            ("create", _) => store.create(key, body),
            ("update", _) => store.replace(key, body),
            ("patch", "application/apply-patch+yaml") => {
                if store.get(&key).is_none() {
                    // As a real server does, which asks for both permissions.
                    accesses.insert(asked.access("create"));
                }
                let how = Apply {
                    manager: asked.query("fieldManager").expect("an apply names its manager"),
                    force: asked.query("force") == Some("true"),
                    status: asked.subresource.as_deref() == Some("status"),
                };
                let about_status = body.get("status").is_some();
                assert_eq!(about_status, how.status, "status and spec are written apart");
                if let (true, Some(schema)) = (about_status, schema) {
                    check_declared(".status", &body["status"], &schema["properties"]["status"])?;
                }
                body["metadata"]["namespace"] = json!(key.namespace);
                let mut applied = store.apply(key.clone(), body, &how)?;
                applied["metadata"]["managedFields"] = store.managed_fields(&key);
                Ok(applied)
            }
            ("patch", kind) => store.patch(key, &body, kind == "application/strategic-merge-patch+json"),
            ("delete", _) => store.delete(&key, body["preconditions"]["uid"].as_str()),
            other => panic!("{other:?} is not known here"),
        }
    }

    /// Whether the object had the labels that are watched before the change that comes before `next`.
    fn had_labels(&self, asked: &Asked, key: &Key, next: usize) -> bool {
        let state = self.state();
        let before = state.store.changes()[..next.saturating_sub(1)].iter().rfind(|change| change.key == *key);
        before.is_some_and(|change| change.kind != "DELETED" && has_labels(asked, &change.object))
    }

    fn watch(self, asked: Asked) -> Response<Body> {
        let from = asked.query("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let version = self.version.subscribe();
        let drops = self.state().drops;
        let events =
            stream::unfold((self, asked, version, from), move |(api, asked, mut version, mut next)| async move {
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
                        Some(change) if asked.kind() == change.key.resource && is_in(&asked, &change.key) => {
                            // An object that has lost the labels is gone to who watches them.
                            let kind =
                                match (has_labels(&asked, &change.object), api.had_labels(&asked, &change.key, next)) {
                                    (true, _) => change.kind,
                                    (false, true) => "DELETED",
                                    (false, false) => continue,
                                };
                            let event = json!({ "type": kind, "object": shown(&asked, &change.object) });
                            let line = Bytes::from(format!("{event}\n"));
                            return Some((Ok::<_, Infallible>(line), (api, asked, version, next)));
                        }
                        Some(_) => {}
                        None => version.changed().await.ok()?,
                    }
                }
            });
        Response::new(Body::from_stream(events))
    }
}

/// The schema of the present definition.
pub fn present_schema() -> Value {
    let crd = notification_hub_crds::crd::crd_json().expect("a definition");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// As a real server, which does not take an apply with other fields.
fn check_declared(path: &str, value: &Value, schema: &Value) -> Result<(), Refusal> {
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let Some(schema) = schema["properties"].get(name) else {
            let told = format!("failed to create typed patch object: {path}: field not declared in schema");
            return Err(Refusal::new(500, told));
        };
        check_declared(&path, field, schema)?;
    }
    Ok(())
}

fn is_in(asked: &Asked, key: &Key) -> bool {
    asked.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

/// Whether the object has the labels that a list is about.
fn has_labels(asked: &Asked, object: &Value) -> bool {
    let pairs = asked.query("labelSelector").into_iter().flat_map(|text| text.split(','));
    pairs.filter_map(|pair| pair.split_once('=')).all(|(label, value)| object["metadata"]["labels"][label] == value)
}

/// The object, or its metadata if that is what was asked for.
fn shown(asked: &Asked, object: &Value) -> Value {
    if !asked.metadata {
        return object.clone();
    }
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"] })
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string())).expect("a response")
}

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
