//! The payload of a type that is not in the catalogue: forwarded as it came. No I/O.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::Value;

/// Maximum nesting of a payload, the payload itself included: clients read messages that are up to 64 deep, and a payload is
/// the fourth level of its message.
pub(super) const MAX_DEPTH: usize = 60;

/// Reads a value with its members in their order and its texts as texts. Of several members whose names are the same in a
/// frame the last counts.
///
/// # Errors
/// If the value is nested too deep, or holds a number or a text that no frame can carry.
pub(super) fn read(json: &RawValue) -> Result<Value, serde_json::Error> {
    Forwarded { depth: MAX_DEPTH }.deserialize(&mut serde_json::Deserializer::from_str(json.get()))
}

/// Reads a value that may be nested this deep.
#[derive(Clone, Copy)]
struct Forwarded {
    depth: usize,
}

impl Forwarded {
    fn inside<E: Error>(self) -> Result<Forwarded, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Forwarded { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Forwarded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Forwarded {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
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
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members: Vec<(Cow<'static, str>, Value)> = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            members.push((name.into(), object.next_value_seed(inside)?));
        }
        let mut later = HashSet::new();
        members.reverse();
        members.retain(|(name, _)| later.insert(name.to_ascii_lowercase()));
        members.reverse();
        Ok(Value::Map(members))
    }
}
