//! The members of payloads in the catalog: their names and kinds, and how the hub reads each kind. No I/O.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Object, is_null, text};
use super::value::parse_id;
use super::{Date, MalformedPush, Value};

/// A member of a payload.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The name as .NET declares it, with an upper-case first letter.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: FieldKind,
}

/// The kind of a member's value. A missing member gets .NET's default, as in Bitwarden's hub. *Extra* kinds are members that
/// Bitwarden's hub does not read. They are written if the push has them and they are valid, and never reject a push
/// (`decisions.md` 2).
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// A GUID. Defaults to zeros.
    Id,
    /// A GUID or null. Defaults to null.
    OptionalId,
    /// An array of GUIDs, which may be empty, or null. Defaults to null.
    OptionalIds,
    /// A date. Defaults to 0001-01-01.
    Date,
    /// A date or null. Defaults to null.
    OptionalDate,
    /// A date that is written only if the push has it.
    DateIfPresent,
    /// A date that Bitwarden's hub does not read.
    ExtraDate,
    /// A number from 0 to 255. Defaults to 0.
    Byte,
    /// A number from 0 to 255, or null. Defaults to null.
    OptionalByte,
    /// True or false. Defaults to false.
    Bool,
    /// A boolean that no sender writes and Bitwarden's hub adds. Defaults to false.
    AddedBool,
    /// A boolean that Bitwarden's hub does not read.
    ExtraBool,
    /// A string or null. Defaults to null.
    OptionalString,
    /// An object or null. Must not be missing.
    Object(&'static [Member]),
}

/// Reads a payload, or an object in it, by a table of members. Drops members that are not in the table. Adds the members that
/// senders always write and this object lacks to `missing`.
///
/// # Errors
/// If `required` is missing, or a member has a value of another kind.
pub(super) fn read(
    members: &'static [Member],
    object: &Object<'_>,
    required: Option<&str>,
    missing: &mut Vec<&'static str>,
) -> Result<Value, MalformedPush> {
    let mut values = Vec::with_capacity(members.len());
    for Member { name, kind } in members {
        let value = match object.member(name) {
            Some(json) => kind.read(json, missing).map_err(|malformed| malformed.at_member(name))?,
            None if required == Some(*name) => return Err(kind.expected().at_member(name)),
            None => {
                if matches!(kind, FieldKind::Id | FieldKind::Date | FieldKind::Byte | FieldKind::Bool) {
                    missing.push(name);
                }
                kind.default().map_err(|malformed| malformed.at_member(name))?
            }
        };
        if let Some(value) = value {
            values.push(((*name).into(), value));
        }
    }
    Ok(Value::Object(values))
}

impl FieldKind {
    /// Returns the value of a missing member, or `None` if the member is left out.
    fn default(self) -> Result<Option<Value>, MalformedPush> {
        Ok(Some(match self {
            FieldKind::Id => Value::Id(uuid::Uuid::nil()),
            FieldKind::Date => Value::Date(Date::DOTNET_DEFAULT),
            FieldKind::Byte => Value::Number(0.into()),
            FieldKind::Bool | FieldKind::AddedBool => Value::Bool(false),
            FieldKind::OptionalId
            | FieldKind::OptionalIds
            | FieldKind::OptionalDate
            | FieldKind::OptionalByte
            | FieldKind::OptionalString => Value::Null,
            FieldKind::DateIfPresent | FieldKind::ExtraDate | FieldKind::ExtraBool => return Ok(None),
            FieldKind::Object(_) => return Err(self.expected()),
        }))
    }

    /// Reads the value of a member. Returns `None` if the member is left out.
    fn read(self, json: &RawValue, missing: &mut Vec<&'static str>) -> Result<Option<Value>, MalformedPush> {
        if is_null(json) {
            return match self {
                FieldKind::Id
                | FieldKind::Date
                | FieldKind::DateIfPresent
                | FieldKind::Byte
                | FieldKind::Bool
                | FieldKind::AddedBool => Err(self.expected()),
                FieldKind::Object(_) => Ok(Some(Value::Null)),
                _ => self.default(),
            };
        }
        let text = || text(json);
        let value = match self {
            FieldKind::Id | FieldKind::OptionalId => text().and_then(|text| parse_id(&text)).map(Value::Id),
            FieldKind::OptionalIds => ids(json).map(Value::Array),
            FieldKind::Date | FieldKind::OptionalDate | FieldKind::DateIfPresent => {
                text().and_then(|text| Date::parse(&text)).map(Value::Date)
            }
            FieldKind::ExtraDate => return Ok(text().and_then(|text| Date::parse(&text)).map(Value::Date)),
            FieldKind::Byte | FieldKind::OptionalByte => parsed::<u8>(json).map(|number| Value::Number(number.into())),
            FieldKind::Bool | FieldKind::AddedBool => parsed(json).map(Value::Bool),
            FieldKind::ExtraBool => return Ok(parsed(json).map(Value::Bool)),
            FieldKind::OptionalString => text().map(|text| Value::String(text.into_owned())),
            FieldKind::Object(members) => match parsed(json) {
                Some(object) => return read(members, &object, None, missing).map(Some),
                None => None,
            },
        };
        value.map(Some).ok_or_else(|| self.expected())
    }

    /// Returns the error about a member that is missing or has a value of another kind.
    fn expected(self) -> MalformedPush {
        MalformedPush::without_path(match self {
            FieldKind::Id | FieldKind::OptionalId => "must be a GUID with hyphens",
            FieldKind::OptionalIds => "must be an array of GUIDs",
            FieldKind::Date | FieldKind::OptionalDate | FieldKind::DateIfPresent | FieldKind::ExtraDate => {
                "must be an ISO 8601 date"
            }
            FieldKind::Byte | FieldKind::OptionalByte => "must be a number from 0 to 255",
            FieldKind::Bool | FieldKind::AddedBool | FieldKind::ExtraBool => "must be true or false",
            FieldKind::OptionalString => "must be a string",
            FieldKind::Object(_) => "must be an object",
        })
    }
}

/// Reads an array of GUIDs, or returns `None` if the value is something else.
fn ids(json: &RawValue) -> Option<Vec<Value>> {
    let items: Vec<&RawValue> = parsed(json)?;
    items.into_iter().map(|item| text(item).and_then(|text| parse_id(&text)).map(Value::Id)).collect()
}

/// Deserializes a value, or returns `None` if it is of another type.
fn parsed<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}
