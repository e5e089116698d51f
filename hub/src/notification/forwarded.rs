//! Reads the payload of a push type that is not in the catalog, to forward it unchanged. No I/O.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::Value;

/// Maximum nesting depth of a payload, including the payload itself. Clients read messages up to 64 levels deep, and a payload
/// is the fourth level of its message.
pub(super) const MAX_DEPTH: usize = 60;

/// Reads a value. Keeps the order of members and does not interpret strings. Of members whose names differ only in case, it
/// keeps the last.
///
/// # Errors
/// If the value is nested too deep, or contains a number or a string that no frame can hold.
pub(super) fn read(json: &RawValue) -> Result<Value, serde_json::Error> {
    ValueSeed { remaining_depth: MAX_DEPTH }.deserialize(&mut serde_json::Deserializer::from_str(json.get()))
}

/// Deserializes a value with up to this many levels.
#[derive(Clone, Copy)]
struct ValueSeed {
    remaining_depth: usize,
}

impl ValueSeed {
    /// Returns the seed of the next level, or an error if there are too many.
    fn next_level<E: Error>(self) -> Result<ValueSeed, E> {
        let depth = self.remaining_depth.checked_sub(1);
        let remaining_depth = depth.ok_or_else(|| E::custom(format!("nested more than {MAX_DEPTH} levels deep")))?;
        Ok(ValueSeed { remaining_depth })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let next_level = self.next_level()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(next_level)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let next_level = self.next_level()?;
        let mut members: Vec<(Cow<'static, str>, Value)> = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            members.push((name.into(), object.next_value_seed(next_level)?));
        }
        let mut seen = HashSet::new();
        members.reverse();
        members.retain(|(name, _)| seen.insert(name.to_ascii_lowercase()));
        members.reverse();
        Ok(Value::Object(members))
    }
}
