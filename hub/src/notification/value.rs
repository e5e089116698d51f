//! The values of a payload. Ids and dates have their own types, because the protocols write them differently. No I/O.

use std::borrow::Cow;

use uuid::Uuid;

use super::Date;

/// A value that both protocols can write.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as JSON has it, so that a forwarded number keeps its value.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// A GUID, written in lower case with hyphens.
    Id(Uuid),
    /// A date: a string in JSON, a timestamp in MessagePack.
    Date(Date),
    /// An array.
    Array(Vec<Value>),
    /// An object with its members in order. The protocol decides the case of the first letter of each name.
    Object(Vec<(Cow<'static, str>, Value)>),
}

impl Value {
    /// Returns the member of an object with this name in any case, or `None` if there is none or this is not an object.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => {
                members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Returns the GUID that this value is or that its string holds, else `None`.
    pub fn as_id(&self) -> Option<Uuid> {
        match self {
            Value::Id(id) => Some(*id),
            Value::String(text) => parse_id(text),
            _ => None,
        }
    }
}

/// Parses a GUID with hyphens, in any case. Returns `None` for other forms, which .NET's JSON reader rejects too.
pub(super) fn parse_id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
