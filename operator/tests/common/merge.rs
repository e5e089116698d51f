//! Server-side apply and merge patches, limited to the objects of the operator. No I/O.

use serde_json::{Map, Value};

/// Fields whose maps are replaced as a whole.
const ATOMIC: [&str; 1] = ["selector"];

/// Returns the merge key of a list with this name, or `None` if the list is replaced as a whole.
fn list_key(name: &str, entry: &Value) -> Option<&'static str> {
    Some(match name {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => "name",
        "volumeMounts" => "mountPath",
        "ports" if entry.get("containerPort").is_some() => "containerPort",
        "ports" => "port",
        // A real server also uses `whenUnsatisfiable`, which is the same in all constraints of the operator.
        "topologySpreadConstraints" => "topologyKey",
        "conditions" => "type",
        "ownerReferences" => "uid",
        _ => return None,
    })
}

/// Returns the index of the entry of `list` that `entry` is merged with.
fn position(name: &str, list: &[Value], entry: &Value) -> Option<usize> {
    let key = list_key(name, entry)?;
    list.iter().position(|other| other.get(key) == entry.get(key))
}

/// Returns whether a list has a merge key.
fn is_keyed(name: &str, list: &[Value]) -> bool {
    list.first().is_some_and(|entry| list_key(name, entry).is_some())
}

/// Merges `over` over `live`, as an apply does.
pub(super) fn merge(name: &str, live: &mut Value, over: &Value) {
    match (live, over) {
        (Value::Object(live), Value::Object(over)) if !ATOMIC.contains(&name) => {
            for (key, value) in over {
                merge(key, live.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(live), Value::Array(over)) if is_keyed(name, over) => {
            for entry in over {
                match position(name, live, entry) {
                    Some(index) => merge("", &mut live[index], entry),
                    None => live.push(entry.clone()),
                }
            }
            // The applied entries keep their order.
            let mut places: Vec<_> = over.iter().filter_map(|entry| position(name, live, entry)).collect();
            let ordered: Vec<_> = places.iter().map(|index| live[*index].clone()).collect();
            places.sort_unstable();
            places.into_iter().zip(ordered).for_each(|(index, entry)| live[index] = entry);
        }
        (live, over) => *live = over.clone(),
    }
}

/// Removes the fields from `live` that `before` has, `now` lacks and no other manager in `others` has applied.
pub(super) fn give_up(name: &str, live: &mut Value, before: &Value, now: &Value, others: &[&Value]) {
    match (live, before) {
        (Value::Object(live), Value::Object(before)) if !ATOMIC.contains(&name) => {
            for (key, value) in before {
                let others: Vec<_> = others.iter().filter_map(|other| other.get(key)).collect();
                match (live.get_mut(key), now.get(key)) {
                    (Some(_), None) if others.is_empty() => _ = live.remove(key),
                    (Some(live), Some(now)) => give_up(key, live, value, now, &others),
                    _ => {}
                }
            }
        }
        (Value::Array(live), Value::Array(before)) if is_keyed(name, before) => {
            let nothing = Vec::new();
            let now = now.as_array().unwrap_or(&nothing);
            for entry in before {
                let Some(index) = position(name, live, entry) else { continue };
                match position(name, now, entry) {
                    Some(kept) => give_up("", &mut live[index], entry, &now[kept], &[]),
                    None => _ = live.remove(index),
                }
            }
        }
        _ => {}
    }
}

/// Returns the first field that `over` would change and whose live value is not the one that its manager applied before.
pub(super) fn conflict(name: &str, live: &Value, before: &Value, over: &Value) -> Option<String> {
    match (live, over) {
        (Value::Object(live), Value::Object(over)) if !ATOMIC.contains(&name) => {
            over.iter().find_map(|(key, value)| conflict(key, live.get(key)?, &before[key.as_str()], value))
        }
        (Value::Array(live), Value::Array(over)) if is_keyed(name, over) => over.iter().find_map(|entry| {
            let before = before.as_array().and_then(|list| list.get(position(name, list, entry)?));
            conflict("", &live[position(name, live, entry)?], before.unwrap_or(&Value::Null), entry)
        }),
        (live, over) => (live != over && live != before).then(|| name.to_owned()),
    }
}

/// Executes a strategic merge patch. It merges like an apply, but `null` deletes a field, `$patch: replace` replaces a
/// list, and `$patch: delete` deletes an entry.
pub(super) fn strategic(name: &str, live: &mut Value, patch: &Value) {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch)) => object(live, patch, strategic),
        (live @ Value::Array(_), Value::Array(patch)) if patch.iter().any(|entry| entry["$patch"] == "replace") => {
            *live = patch.iter().filter(|entry| entry.get("$patch").is_none()).cloned().collect();
        }
        (Value::Array(_), Value::Array(patch)) if patch.is_empty() => {}
        (Value::Array(live), Value::Array(patch)) if is_keyed(name, patch) => {
            for entry in patch {
                match position(name, live, entry) {
                    Some(index) if entry["$patch"] == "delete" => _ = live.remove(index),
                    None if entry["$patch"] == "delete" => {}
                    Some(index) => strategic("", &mut live[index], entry),
                    None => live.push(entry.clone()),
                }
            }
        }
        (live, patch) => *live = patch.clone(),
    }
}

/// Executes a JSON merge patch (RFC 7396).
pub(super) fn json_merge(_: &str, live: &mut Value, patch: &Value) {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch)) => object(live, patch, json_merge),
        (live, patch) => *live = patch.clone(),
    }
}

/// Merges an object by `each`, and deletes fields with `null`.
fn object(live: &mut Map<String, Value>, patch: &Map<String, Value>, each: fn(&str, &mut Value, &Value)) {
    for (key, value) in patch {
        if value.is_null() {
            live.remove(key);
        } else {
            each(key, live.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// Returns the applied fields that still have their values in `live`, or `None` if none has.
pub(super) fn still_owned(name: &str, applied: &Value, live: &Value) -> Option<Value> {
    match (applied, live) {
        (Value::Object(applied), Value::Object(live)) if !ATOMIC.contains(&name) => {
            let kept = applied.iter().filter_map(|(key, value)| {
                let kept = still_owned(key, value, live.get(key)?)?;
                Some((key.clone(), kept))
            });
            Some(Value::Object(kept.collect()))
        }
        (Value::Array(applied), Value::Array(live)) if is_keyed(name, applied) => {
            let kept = applied.iter().filter_map(|entry| still_owned("", entry, &live[position(name, live, entry)?]));
            Some(Value::Array(kept.collect()))
        }
        (applied, live) => (applied == live).then(|| applied.clone()),
    }
}

/// Returns the fields of an object in the format of `managedFields`.
pub(super) fn fields(name: &str, applied: &Value) -> Value {
    match applied {
        Value::Object(applied) if !ATOMIC.contains(&name) => {
            applied.iter().map(|(key, value)| (format!("f:{key}"), fields(key, value))).collect()
        }
        Value::Array(applied) if is_keyed(name, applied) => {
            let key = |entry: &Value| entry[list_key(name, entry).unwrap_or_default()].to_string();
            applied.iter().map(|entry| (format!("k:{}", key(entry)), fields("", entry))).collect()
        }
        _ => Value::Object(Map::new()),
    }
}
