//! Reads MessagePack: item by item for the hub, whole values for our own client.

use serde_json::Value as Json;

/// Reads items one after the other; each method gives nothing if the next item is of another kind or cut off.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The length of an array.
    pub fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            marker @ 0x90..=0x9f => Some(usize::from(marker & 0x0f)),
            0xdc => self.length(2),
            0xdd => self.length(4),
            _ => None,
        }
    }

    /// The length of a map.
    pub fn map(&mut self) -> Option<usize> {
        match self.byte()? {
            marker @ 0x80..=0x8f => Some(usize::from(marker & 0x0f)),
            0xde => self.length(2),
            0xdf => self.length(4),
            _ => None,
        }
    }

    /// An integer of any width.
    pub fn integer(&mut self) -> Option<i64> {
        match self.byte()? {
            marker @ 0x00..=0x7f => Some(i64::from(marker)),
            marker @ 0xe0..=0xff => Some(i64::from(marker as i8)),
            marker @ 0xcc..=0xcf => i64::try_from(self.unsigned(1 << (marker - 0xcc))?).ok(),
            0xd0 => self.unsigned(1).map(|value| i64::from(value as i8)),
            0xd1 => self.unsigned(2).map(|value| i64::from(value as i16)),
            0xd2 => self.unsigned(4).map(|value| i64::from(value as i32)),
            0xd3 => self.unsigned(8).map(|value| value as i64),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            0xdb => self.length(4)?,
            _ => return None,
        };
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A text or nil.
    pub fn nil_or_text(&mut self) -> Option<Option<&'a str>> {
        if self.rest.first() == Some(&0xc0) {
            self.rest = &self.rest[1..];
            return Some(None);
        }
        self.text().map(Some)
    }

    /// Any value as JSON: timestamps become ISO texts, binary an array of numbers. At most 64 deep.
    pub fn value(&mut self) -> Option<Json> {
        self.nested(64)
    }

    fn nested(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        Some(match *self.rest.first()? {
            0xc0 => self.skip(Json::Null)?,
            0xc2 => self.skip(Json::Bool(false))?,
            0xc3 => self.skip(Json::Bool(true))?,
            0x80..=0x8f | 0xde | 0xdf => {
                let count = self.map()?;
                let members = (0..count).map(|_| {
                    // A name that holds others is none: written as a text, each level would double its escapes.
                    let name = self.nested(1)?;
                    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                    Some((name, self.nested(depth)?))
                });
                Json::Object(members.collect::<Option<_>>()?)
            }
            0x90..=0x9f | 0xdc | 0xdd => {
                let count = self.array()?;
                Json::Array((0..count).map(|_| self.nested(depth)).collect::<Option<_>>()?)
            }
            0xa0..=0xbf | 0xd9..=0xdb => Json::from(self.text()?),
            0xca => {
                self.byte()?;
                Json::from(f32::from_bits(self.unsigned(4)? as u32))
            }
            0xcb => {
                self.byte()?;
                Json::from(f64::from_bits(self.unsigned(8)?))
            }
            0xcf => {
                self.byte()?;
                Json::from(self.unsigned(8)?)
            }
            marker @ 0xc4..=0xc6 => {
                self.byte()?;
                let length = self.length(1 << (marker - 0xc4))?;
                Json::from(self.bytes(length)?)
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => self.extension()?,
            _ => Json::from(self.integer()?),
        })
    }

    fn extension(&mut self) -> Option<Json> {
        let length = match self.byte()? {
            marker @ 0xc7..=0xc9 => self.length(1 << (marker - 0xc7))?,
            marker => 1 << (marker - 0xd4),
        };
        let kind = self.byte()?;
        let body = self.bytes(length)?;
        let mut body = Reader::new(body);
        let (seconds, nanoseconds) = match (kind, length) {
            (0xff, 4) => (i64::try_from(body.unsigned(4)?).ok()?, 0),
            (0xff, 8) => {
                let both = body.unsigned(8)?;
                ((both & 0x3_ffff_ffff) as i64, (both >> 34) as i32)
            }
            (0xff, 12) => {
                let nanoseconds = body.unsigned(4)? as i32;
                (body.unsigned(8)? as i64, nanoseconds)
            }
            _ => return Some(Json::from(body.bytes(length)?)),
        };
        let timestamp = jiff::Timestamp::new(seconds, nanoseconds).ok()?;
        Some(Json::from(timestamp.to_string()))
    }

    fn skip(&mut self, value: Json) -> Option<Json> {
        self.byte().map(|_| value)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn unsigned(&mut self, width: usize) -> Option<u64> {
        Some(self.bytes(width)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn length(&mut self, width: usize) -> Option<usize> {
        usize::try_from(self.unsigned(width)?).ok()
    }
}

/// The target and the arguments of an invocation, without its length: for our own client.
pub fn to_json(body: &[u8]) -> Option<(String, Json)> {
    let Json::Array(items) = Reader::new(body).value()? else { return None };
    match items.as_slice() {
        [Json::Number(number), _, _, Json::String(target), arguments @ Json::Array(_), ..]
            if number.as_i64() == Some(1) =>
        {
            Some((target.clone(), arguments.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_hold_no_others() {
        assert_eq!(Reader::new(b"\x82\xa1a\x01\x05\x02").value(), Some(json!({ "a": 1, "5": 2 })));
        let mut nested = vec![0x81; 60];
        nested.extend_from_slice(&[0x01; 61]);
        assert_eq!(Reader::new(&nested).value(), None);
    }
}
