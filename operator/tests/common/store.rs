//! The objects of the fake API server, their versions, and the log of what changed. No HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::merge;

/// Resource, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `group/resource`, or `resource` for the core group.
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: &str, namespace: &str, name: &str) -> Key {
        Key { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Returns the key of an object.
    pub fn from_object(object: &Value) -> Key {
        let text = |value: &Value| value.as_str().expect("a whole object").to_owned();
        let kind = text(&object["kind"]).to_lowercase();
        let plural = if let Some(start) = kind.strip_suffix('y') {
            format!("{start}ies")
        } else if kind.ends_with('s') {
            format!("{kind}es")
        } else {
            format!("{kind}s")
        };
        let resource = match text(&object["apiVersion"]).split_once('/') {
            Some((group, _)) => format!("{group}/{plural}"),
            None => plural,
        };
        let metadata = &object["metadata"];
        Key { resource, namespace: text(&metadata["namespace"]), name: text(&metadata["name"]) }
    }
}

/// Change of an object, which watches report.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: &'static str,
    pub key: Key,
    pub object: Value,
}

/// Refusal of a call.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: u16,
    pub message: String,
    /// The refused field, for status 422.
    pub field: Option<&'static str>,
}

impl Refusal {
    pub fn new(code: u16, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), field: None }
    }
}

/// Options of an apply.
pub struct Apply<'a> {
    pub manager: &'a str,
    pub force: bool,
    /// Whether it applies the status instead of the spec.
    pub status: bool,
}

/// Objects of the API server.
#[derive(Clone, Default)]
pub struct Store {
    objects: BTreeMap<Key, Value>,
    /// Applied fields of each object, by field manager.
    applied: BTreeMap<(Key, String), Value>,
    /// Every change. Its index is its resourceVersion less one.
    log: Vec<Change>,
}

impl Store {
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Returns the entries of `managedFields` for applies. Other writes have no entries.
    pub fn managed_fields(&self, key: &Key) -> Value {
        let applied = self.applied.iter().filter(|((owner, _), _)| owner == key);
        let entry = |((_, manager), fields): (&(Key, String), &Value)| {
            let fields = merge::fields("", fields);
            json!({ "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields })
        };
        applied.map(entry).collect()
    }

    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    pub fn changes(&self) -> &[Change] {
        &self.log
    }

    pub fn version(&self) -> usize {
        self.log.len()
    }

    /// Stores an object if it differs from the live one.
    fn store(&mut self, key: Key, mut object: Value) -> Value {
        let version = (self.log.len() + 1).to_string();
        let kind = match self.objects.get(&key) {
            Some(live) if *live == object => return object,
            Some(live) => {
                if without_status(live) != without_status(&object) {
                    let generation = live["metadata"]["generation"].as_i64().unwrap_or_default();
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                "MODIFIED"
            }
            None => {
                object["metadata"]["uid"] = json!(format!("uid-{version}"));
                object["metadata"]["generation"] = json!(1);
                object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
                "ADDED"
            }
        };
        object["metadata"]["resourceVersion"] = json!(version);
        self.log.push(Change { kind, key: key.clone(), object: object.clone() });
        self.objects.insert(key, object.clone());
        object
    }

    /// Executes a POST.
    pub fn create(&mut self, key: Key, object: Value) -> Result<Value, Refusal> {
        if self.objects.contains_key(&key) {
            return Err(Refusal::new(409, format!("{} already exists", key.name)));
        }
        validate(&object)?;
        Ok(self.store(key, object))
    }

    /// Executes a PUT.
    pub fn replace(&mut self, key: Key, object: Value) -> Result<Value, Refusal> {
        let live = self.live(&key)?;
        check_version(live, &object)?;
        validate(&object)?;
        let mut object = object;
        for field in ["uid", "generation", "creationTimestamp", "resourceVersion"] {
            object["metadata"][field] = live["metadata"][field].clone();
        }
        let stored = self.store(key.clone(), object);
        self.take_ownership(&key, None);
        Ok(stored)
    }

    /// Executes a strategic merge patch or a JSON merge patch.
    pub fn patch(&mut self, key: Key, patch: &Value, strategic: bool) -> Result<Value, Refusal> {
        let mut object = self.live(&key)?.clone();
        if strategic {
            merge::strategic("", &mut object, patch)
        } else {
            merge::json_merge("", &mut object, patch)
        }
        validate(&object)?;
        let stored = self.store(key.clone(), object);
        self.take_ownership(&key, None);
        Ok(stored)
    }

    /// Removes changed fields from the applied fields of other field managers.
    fn take_ownership(&mut self, key: &Key, manager: Option<&str>) {
        let Some(live) = self.objects.get(key) else { return };
        let others =
            self.applied.iter_mut().filter(|((owner, name), _)| owner == key && manager != Some(name.as_str()));
        for (_, applied) in others {
            *applied = merge::still_owned("", applied, live).unwrap_or_default();
        }
    }

    /// Executes a server-side apply.
    pub fn apply(&mut self, key: Key, object: Value, options: &Apply<'_>) -> Result<Value, Refusal> {
        let manager = (key.clone(), options.manager.to_owned());
        let before = self.applied.get(&manager).cloned().unwrap_or(Value::Null);
        let mut desired = object.clone();
        let metadata = desired["metadata"].as_object_mut().expect("metadata");
        metadata.retain(|field, _| !["uid", "resourceVersion"].contains(&field.as_str()));
        let result = match self.objects.get(&key) {
            None if options.status => return Err(Refusal::new(404, format!("{} not found", key.name))),
            None if object["metadata"]["uid"].is_string() => {
                return Err(Refusal::new(409, "uid mismatch: the object does not exist"));
            }
            None => desired.clone(),
            Some(live) => {
                let uid = &object["metadata"]["uid"];
                if uid.is_string() && *uid != live["metadata"]["uid"] {
                    let refusal = Refusal::new(422, "metadata.uid: field is immutable");
                    return Err(Refusal { field: Some("metadata.uid"), ..refusal });
                }
                check_version(live, &object)?;
                if let (false, Some(field)) = (options.force, merge::conflict("", live, &before, &desired)) {
                    return Err(Refusal::new(409, format!("Apply failed with 1 conflict: .{field}")));
                }
                let mut result = live.clone();
                let others = self.applied.iter().filter(|((owner, name), _)| *owner == key && *name != manager.1);
                let others: Vec<_> = others.map(|(_, applied)| applied).collect();
                merge::give_up("", &mut result, &before, &desired, &others);
                merge::merge("", &mut result, &desired);
                result
            }
        };
        validate(&result)?;
        let stored = self.store(key.clone(), result);
        self.applied.insert(manager, desired);
        self.take_ownership(&key, Some(options.manager));
        Ok(stored)
    }

    /// Executes a DELETE. With a uid, only of the object with this uid.
    pub fn delete(&mut self, key: &Key, uid: Option<&str>) -> Result<Value, Refusal> {
        let object = self.live(key)?.clone();
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Refusal::new(409, "the UID in the precondition does not match the UID in record"));
        }
        self.objects.remove(key);
        self.applied.retain(|(applied, _), _| applied != key);
        self.log.push(Change { kind: "DELETED", key: key.clone(), object: object.clone() });
        Ok(object)
    }

    fn live(&self, key: &Key) -> Result<&Value, Refusal> {
        self.objects.get(key).ok_or_else(|| Refusal::new(404, format!("{} {} not found", key.resource, key.name)))
    }
}

fn without_status(object: &Value) -> Value {
    let mut object = object.clone();
    let map = object.as_object_mut().expect("an object");
    map.remove("status");
    map.remove("metadata");
    object
}

fn check_version(live: &Value, object: &Value) -> Result<(), Refusal> {
    let version = &object["metadata"]["resourceVersion"];
    if version.is_string() && *version != live["metadata"]["resourceVersion"] {
        return Err(Refusal::new(409, "the object has been modified"));
    }
    Ok(())
}

/// Refuses invalid results of merges, as a real server does: two ports with one name, and a variable with a value and a
/// reference or with two references.
fn validate(object: &Value) -> Result<(), Refusal> {
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let variables = containers.into_iter().flatten().filter_map(|container| container["env"].as_array()).flatten();
    let has_two = |each: &Value| {
        let references = each["valueFrom"].as_object().map_or(0, serde_json::Map::len);
        references > 1 || (each.get("value").is_some() && references > 0)
    };
    if variables.into_iter().any(has_two) {
        let refusal = Refusal::new(422, "spec.env: may not be specified when `value` is not empty");
        return Err(Refusal { field: Some("spec.env"), ..refusal });
    }
    let lists = containers.into_iter().flatten().chain(object.get("spec")).map(|owner| &owner["ports"]);
    for ports in lists.filter_map(Value::as_array) {
        let mut names: Vec<_> = ports.iter().filter_map(|port| port["name"].as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            let refusal = Refusal::new(422, "spec.ports: Duplicate value");
            return Err(Refusal { field: Some("spec.ports"), ..refusal });
        }
    }
    Ok(())
}
