//! Reads a JSON object member by member, like .NET's reader. No I/O.
//!
//! Each member is checked, even if a later member of the same name replaces it. Of skipped values, only the syntax is checked.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// The deepest nesting of a message, including the message itself.
const MAX_DEPTH: usize = 64;

/// A type that is filled from the members of an object, in their order.
pub(in crate::signalr::protocol) trait ReadMembers {
    /// Reads the value of the member with a name from `object`.
    ///
    /// # Errors
    /// Returns an error if the value has the wrong type. No further member is read then.
    fn read_member<'de, A: MapAccess<'de>>(&mut self, name: &[u8], object: &mut A) -> Result<(), A::Error>;
}

/// Fills `members` from the first value of a text, which must be an object. The rest of the text is not read.
///
/// # Errors
/// Returns an error if the text does not begin with a well-formed object of at most [`MAX_DEPTH`] levels, or if `members`
/// rejects a member.
pub(in crate::signalr::protocol) fn read_object(
    text: &[u8],
    members: &mut impl ReadMembers,
) -> Result<(), serde_json::Error> {
    if depth(text) > MAX_DEPTH {
        return Err(serde_json::Error::custom("the object is nested too deeply"));
    }
    serde_json::Deserializer::from_slice(text).deserialize_map(ObjectVisitor(members))
}

struct ObjectVisitor<'m, M>(&'m mut M);

impl<'de, M: ReadMembers> Visitor<'de> for ObjectVisitor<'_, M> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(name) = object.next_key_seed(MemberName)? {
            self.0.read_member(&name, &mut object)?;
        }
        Ok(())
    }
}

/// The name of a member as bytes. A name that is not UTF-8 is that of an unknown member.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, [u8]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, [u8]>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Cow<'de, [u8]>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Cow<'de, [u8]>, E> {
        Ok(Cow::Owned(name.to_vec()))
    }
}

/// Returns the depth of nesting of the first value of a text.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}
