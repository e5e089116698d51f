//! Members of the known payloads: their names, kinds, and how each is read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Object, is_null, text};
use super::value::parse_id;
use super::{Date, MalformedPush, Value};

/// A member of a payload, in the order in which it is written.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The name as .NET declares it: upper-case first letter.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
}

/// What a member holds. A member that is missing has .NET's default, as in the original. *Extra* kinds are members that the
/// original does not read: they are written if the input has them and they can be read, and never refuse a push
/// (`decisions.md` 2).
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
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
) -> Result<Value, MalformedPush> {
    let mut values = Vec::with_capacity(members.len());
    for Member { name, kind } in members {
        let value = match object.member(name) {
            Some(json) => kind.read(json, missing).map_err(|malformed| malformed.inside(name))?,
            None if required == Some(*name) => return Err(kind.refused().inside(name)),
            None => {
                if matches!(kind, FieldKind::Id | FieldKind::Date | FieldKind::Byte | FieldKind::Flag) {
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

impl FieldKind {
    /// Returns what is written for a member that is missing: `None` if nothing is.
    fn default(self) -> Result<Option<Value>, MalformedPush> {
        Ok(Some(match self {
            FieldKind::Id => Value::Id(uuid::Uuid::nil()),
            FieldKind::Date => Value::Date(Date::DEFAULT),
            FieldKind::Byte => Value::Number(0.into()),
            FieldKind::Flag | FieldKind::AddedFlag => Value::Flag(false),
            FieldKind::OptionalId
            | FieldKind::OptionalIds
            | FieldKind::OptionalDate
            | FieldKind::OptionalByte
            | FieldKind::OptionalText => Value::Null,
            FieldKind::GivenDate | FieldKind::ExtraDate | FieldKind::ExtraFlag => return Ok(None),
            FieldKind::Object(_) => return Err(self.refused()),
        }))
    }

    /// Returns what is written for a member with this value: `None` if nothing is.
    fn read(self, json: &RawValue, missing: &mut Vec<&'static str>) -> Result<Option<Value>, MalformedPush> {
        if is_null(json) {
            return match self {
                FieldKind::Id
                | FieldKind::Date
                | FieldKind::GivenDate
                | FieldKind::Byte
                | FieldKind::Flag
                | FieldKind::AddedFlag => Err(self.refused()),
                FieldKind::Object(_) => Ok(Some(Value::Null)),
                _ => self.default(),
            };
        }
        let text = || text(json);
        let value = match self {
            FieldKind::Id | FieldKind::OptionalId => text().and_then(|text| parse_id(&text)).map(Value::Id),
            FieldKind::OptionalIds => ids(json).map(Value::List),
            FieldKind::Date | FieldKind::OptionalDate | FieldKind::GivenDate => {
                text().and_then(|text| Date::parse(&text)).map(Value::Date)
            }
            FieldKind::ExtraDate => return Ok(text().and_then(|text| Date::parse(&text)).map(Value::Date)),
            FieldKind::Byte | FieldKind::OptionalByte => parsed::<u8>(json).map(|number| Value::Number(number.into())),
            FieldKind::Flag | FieldKind::AddedFlag => parsed(json).map(Value::Flag),
            FieldKind::ExtraFlag => return Ok(parsed(json).map(Value::Flag)),
            FieldKind::OptionalText => text().map(|text| Value::Text(text.into_owned())),
            FieldKind::Object(members) => match parsed(json) {
                Some(object) => return read(members, &object, None, missing).map(Some),
                None => None,
            },
        };
        value.map(Some).ok_or_else(|| self.refused())
    }

    /// The error about a member that is missing or has another kind of value.
    fn refused(self) -> MalformedPush {
        MalformedPush::here(match self {
            FieldKind::Id | FieldKind::OptionalId => "a GUID with hyphens is needed here",
            FieldKind::OptionalIds => "a list of GUIDs is needed here",
            FieldKind::Date | FieldKind::OptionalDate | FieldKind::GivenDate | FieldKind::ExtraDate => {
                "an ISO 8601 date is needed here"
            }
            FieldKind::Byte | FieldKind::OptionalByte => "a number from 0 to 255 is needed here",
            FieldKind::Flag | FieldKind::AddedFlag | FieldKind::ExtraFlag => "true or false is needed here",
            FieldKind::OptionalText => "a text is needed here",
            FieldKind::Object(_) => "an object is needed here",
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
