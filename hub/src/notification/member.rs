//! Members of the known payloads: their names, kinds, and how each is read.

use super::json::Json;
use super::value::parse_id;
use super::{Date, Malformed, Value};

/// A member of a payload, in the order in which it is written.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The name as .NET declares it: upper-case first letter.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a member holds. *Given* kinds are written only if the input has them; they repair what the original loses
/// (`decisions.md` 2).
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A required id.
    Id,
    /// An id or null.
    OptionalId,
    /// A list of ids, or null; an empty list stays an empty list.
    OptionalIds,
    /// A date; missing, it is .NET's default.
    Date,
    /// A date or null.
    OptionalDate,
    /// A date that the original does not pass on.
    GivenDate,
    /// A number from 0 to 255; missing, it is 0.
    Byte,
    /// A number from 0 to 255, or null.
    OptionalByte,
    /// True or false; missing, it is false.
    Flag,
    /// A flag that the original does not pass on.
    GivenFlag,
    /// A text or null.
    OptionalText,
    /// A required object.
    Object(&'static [Member]),
    /// Not in the input: the original writes null.
    AlwaysNull,
    /// Not in the input: the original writes false.
    AlwaysFalse,
}

/// Reads an object by a table of members: what the table does not name is dropped.
pub(super) fn read(members: &[Member], json: &Json, path: &str) -> Result<Value, Malformed> {
    if !json.is_object() {
        return Err(Malformed::new(path, "an object is needed here"));
    }
    let mut values = Vec::with_capacity(members.len());
    for member in members {
        let path = format!("{path}.{}", member.name);
        if let Some(value) = member.kind.read(json.member(member.name), &path)? {
            values.push((member.name.into(), value));
        }
    }
    Ok(Value::Map(values))
}

impl Kind {
    /// The value to write, or nothing where nothing is written.
    fn read(self, json: Option<&Json>, path: &str) -> Result<Option<Value>, Malformed> {
        let needs = |what: &str| Malformed::new(path, what);
        let given = json.filter(|json| !json.is_null());
        let value = match (self, given) {
            (Kind::AlwaysNull, _) => Value::Null,
            (Kind::AlwaysFalse, _) => Value::Flag(false),
            (Kind::GivenDate | Kind::GivenFlag, None) => return Ok(None),
            (
                Kind::OptionalId | Kind::OptionalIds | Kind::OptionalDate | Kind::OptionalByte | Kind::OptionalText,
                None,
            ) => Value::Null,
            (Kind::Date, None) if json.is_none() => Value::Date(Date::DEFAULT),
            (Kind::Byte, None) if json.is_none() => Value::Number(0.into()),
            (Kind::Flag, None) if json.is_none() => Value::Flag(false),
            (Kind::Id | Kind::OptionalId, given) => {
                Value::Id(given.and_then(id).ok_or_else(|| needs("a GUID with hyphens is needed here"))?)
            }
            (Kind::OptionalIds, Some(given)) => {
                let ids = given.as_array().and_then(|items| items.iter().map(|item| id(item).map(Value::Id)).collect());
                Value::List(ids.ok_or_else(|| needs("a list of GUIDs is needed here"))?)
            }
            (Kind::Date | Kind::OptionalDate | Kind::GivenDate, given) => {
                let date = given.and_then(Json::as_str).and_then(Date::parse);
                Value::Date(date.ok_or_else(|| needs("an ISO 8601 date is needed here"))?)
            }
            (Kind::Byte | Kind::OptionalByte, given) => {
                let number = given.and_then(Json::as_u64).and_then(|number| u8::try_from(number).ok());
                Value::Number(number.ok_or_else(|| needs("a number from 0 to 255 is needed here"))?.into())
            }
            (Kind::Flag | Kind::GivenFlag, given) => {
                Value::Flag(given.and_then(Json::as_bool).ok_or_else(|| needs("true or false is needed here"))?)
            }
            (Kind::OptionalText, Some(given)) => {
                Value::Text(given.as_str().ok_or_else(|| needs("a text is needed here"))?.to_owned())
            }
            (Kind::Object(members), given) => read(members, given.unwrap_or(&Json::Null), path)?,
        };
        Ok(Some(value))
    }
}

fn id(json: &Json) -> Option<uuid::Uuid> {
    json.as_str().and_then(parse_id)
}
