//! A JSON object as .NET reads it: names match in any case, and the last of several members with one name counts. No I/O.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of an object. Their values are well-formed JSON that is not parsed yet.
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Returns the value of the last member with this name in any case, or `None` if there is none.
    pub(super) fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(PushObjectVisitor)
    }
}

struct PushObjectVisitor;

impl<'de> Visitor<'de> for PushObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Object<'de>, A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut members = Vec::with_capacity(16);
        while let Some((Name(name), value)) = object.next_entry()? {
            members.push((name, value));
        }
        Ok(Object(members))
    }
}

/// Returns the text of a JSON string, or `None` for another value. Copies the text only if it has escapes.
pub(super) fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    let escaped = json.get().strip_prefix('"')?.strip_suffix('"')?;
    if escaped.contains('\\') {
        return serde_json::from_str(json.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(escaped))
}

/// Returns whether a JSON value is null.
pub(super) fn is_null(json: &RawValue) -> bool {
    json.get() == "null"
}
