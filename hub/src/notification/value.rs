//! A value of a payload, typed as far as its writing depends on the type.

use std::borrow::Cow;

use uuid::Uuid;

use super::Date;

/// A value that both protocols can write.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number: JSON's own, so that what is forwarded stays as it came.
    Number(serde_json::Number),
    /// A text.
    Text(String),
    /// An id, written in lower case with hyphens.
    Id(Uuid),
    /// A date: text in JSON, a timestamp in MessagePack.
    Date(Date),
    /// A list.
    List(Vec<Value>),
    /// Members in their order; a name's first letter is written in the case of the protocol.
    Map(Vec<(Cow<'static, str>, Value)>),
}

impl Value {
    /// The member of a map with this name, whatever the case.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(members) => {
                members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The id that this value is, also as a text.
    pub fn as_id(&self) -> Option<Uuid> {
        match self {
            Value::Id(id) => Some(*id),
            Value::Text(text) => parse_id(text),
            _ => None,
        }
    }
}

/// A GUID with hyphens, in any case; no other form, as .NET's JSON reader takes no other.
pub(super) fn parse_id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
