//! Members of the known payloads: their names, kinds, and how each is read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Object, is_null, text};
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

/// What a member holds. A member that is missing has .NET's default, as in the original. *Extra* kinds are members that the
/// original does not read: they are written if the input has them and they can be read, and never refuse a push
/// (`decisions.md` 2).
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// An id; missing, it is all zeros.
    Id,
    /// An id or null.
    OptionalId,
    /// A list of ids, or null; an empty list stays an empty list.
    OptionalIds,
    /// A date; missing, it is 0001-01-01.
    Date,
    /// A date or null.
    OptionalDate,
    /// A date that is written only if the input has it.
    GivenDate,
    /// A date that the original does not read.
    ExtraDate,
    /// A number from 0 to 255; missing, it is 0.
    Byte,
    /// A number from 0 to 255, or null.
    OptionalByte,
    /// True or false; missing, it is false.
    Flag,
    /// A flag that no sender writes and the original adds; missing, it is false.
    AddedFlag,
    /// A flag that the original does not read.
    ExtraFlag,
    /// A text or null.
    OptionalText,
    /// An object or null; it may not be missing.
    Object(&'static [Member]),
}

/// Reads a payload, or an object in it, by a table of members. What the table does not name is dropped. `required` may not
/// be missing; of the other members that senders always write, those that are missing are added to `missing`.
pub(super) fn read(
    members: &'static [Member],
    object: &Object<'_>,
    required: Option<&str>,
    missing: &mut Vec<&'static str>,
) -> Result<Value, Malformed> {
    let mut values = Vec::with_capacity(members.len());
    for Member { name, kind } in members {
        let value = match object.member(name) {
            Some(json) => kind.read(json, missing).map_err(|malformed| malformed.inside(name))?,
            None if required == Some(*name) => return Err(kind.refused().inside(name)),
            None => {
                if matches!(kind, Kind::Id | Kind::Date | Kind::Byte | Kind::Flag) {
                    missing.push(name);
                }
                kind.default().map_err(|malformed| malformed.inside(name))?
            }
        };
        if let Some(value) = value {
            values.push(((*name).into(), value));
        }
    }
    Ok(Value::Map(values))
}

impl Kind {
    /// Returns what is written for a member that is missing: `None` if nothing is.
    fn default(self) -> Result<Option<Value>, Malformed> {
        Ok(Some(match self {
            Kind::Id => Value::Id(uuid::Uuid::nil()),
            Kind::Date => Value::Date(Date::DEFAULT),
            Kind::Byte => Value::Number(0.into()),
            Kind::Flag | Kind::AddedFlag => Value::Flag(false),
            Kind::OptionalId | Kind::OptionalIds | Kind::OptionalDate | Kind::OptionalByte | Kind::OptionalText => {
                Value::Null
            }
            Kind::GivenDate | Kind::ExtraDate | Kind::ExtraFlag => return Ok(None),
            Kind::Object(_) => return Err(self.refused()),
        }))
    }

    /// Returns what is written for a member with this value: `None` if nothing is.
    fn read(self, json: &RawValue, missing: &mut Vec<&'static str>) -> Result<Option<Value>, Malformed> {
        if is_null(json) {
            return match self {
                Kind::Id | Kind::Date | Kind::GivenDate | Kind::Byte | Kind::Flag | Kind::AddedFlag => {
                    Err(self.refused())
                }
                Kind::Object(_) => Ok(Some(Value::Null)),
                _ => self.default(),
            };
        }
        let text = || text(json);
        let value = match self {
            Kind::Id | Kind::OptionalId => text().and_then(|text| parse_id(&text)).map(Value::Id),
            Kind::OptionalIds => ids(json).map(Value::List),
            Kind::Date | Kind::OptionalDate | Kind::GivenDate => {
                text().and_then(|text| Date::parse(&text)).map(Value::Date)
            }
            Kind::ExtraDate => return Ok(text().and_then(|text| Date::parse(&text)).map(Value::Date)),
            Kind::Byte | Kind::OptionalByte => parsed::<u8>(json).map(|number| Value::Number(number.into())),
            Kind::Flag | Kind::AddedFlag => parsed(json).map(Value::Flag),
            Kind::ExtraFlag => return Ok(parsed(json).map(Value::Flag)),
            Kind::OptionalText => text().map(|text| Value::Text(text.into_owned())),
            Kind::Object(members) => match parsed(json) {
                Some(object) => return read(members, &object, None, missing).map(Some),
                None => None,
            },
        };
        value.map(Some).ok_or_else(|| self.refused())
    }

    /// The error about a member that is missing or has another kind of value.
    fn refused(self) -> Malformed {
        Malformed::here(match self {
            Kind::Id | Kind::OptionalId => "a GUID with hyphens is needed here",
            Kind::OptionalIds => "a list of GUIDs is needed here",
            Kind::Date | Kind::OptionalDate | Kind::GivenDate | Kind::ExtraDate => "an ISO 8601 date is needed here",
            Kind::Byte | Kind::OptionalByte => "a number from 0 to 255 is needed here",
            Kind::Flag | Kind::AddedFlag | Kind::ExtraFlag => "true or false is needed here",
            Kind::OptionalText => "a text is needed here",
            Kind::Object(_) => "an object is needed here",
        })
    }
}

fn ids(json: &RawValue) -> Option<Vec<Value>> {
    let items: Vec<&RawValue> = parsed(json)?;
    items.into_iter().map(|item| text(item).and_then(|text| parse_id(&text)).map(Value::Id)).collect()
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}
