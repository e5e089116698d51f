//! Reads MessagePack: item by item for the hub, whole values for our own client.

use std::borrow::Cow;

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

    /// The length of an array, of which every item is at least one byte.
    pub fn array(&mut self) -> Option<usize> {
        let count = match self.byte()? {
            marker @ 0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.length(2)?,
            0xdd => self.length(4)?,
            _ => return None,
        };
        Some(count).filter(|count| *count <= self.rest.len())
    }

    /// The length of a map, of which every name and every value is at least one byte.
    pub fn map(&mut self) -> Option<usize> {
        let count = match self.byte()? {
            marker @ 0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => self.length(2)?,
            0xdf => self.length(4)?,
            _ => return None,
        };
        Some(count).filter(|count| *count <= self.rest.len() / 2)
    }

    /// True or false.
    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0xc2 => Some(false),
            0xc3 => Some(true),
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
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    /// A text in which U+FFFD stands for what is no UTF-8, as .NET reads the texts of clients.
    pub fn lossy_text(&mut self) -> Option<Cow<'a, str>> {
        self.text_bytes().map(String::from_utf8_lossy)
    }

    /// A text or nil.
    pub fn nil_or_text(&mut self) -> Option<Option<&'a str>> {
        if self.take_nil() { Some(None) } else { self.text().map(Some) }
    }

    /// A text or nil; U+FFFD stands for what is no UTF-8.
    pub fn nil_or_lossy_text(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.take_nil() { Some(None) } else { self.lossy_text().map(Some) }
    }

    /// Takes nil and returns true if nil comes next.
    fn take_nil(&mut self) -> bool {
        let rest = self.rest.strip_prefix(&[0xc0]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn text_bytes(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            0xdb => self.length(4)?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// Bytes.
    pub fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            marker @ 0xc4..=0xc6 => self.length(1 << (marker - 0xc4))?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// Passes over any value, however deep; what it holds is not looked at.
    pub fn skip(&mut self) -> Option<()> {
        let mut values = 1usize;
        while values > 0 {
            let (length, more) = match self.byte()? {
                marker @ 0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
                marker @ 0x90..=0x9f => (0, usize::from(marker & 0x0f)),
                marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
                0xc1 => return None,
                marker @ 0xc4..=0xc6 => (self.length(1 << (marker - 0xc4))?, 0),
                marker @ 0xc7..=0xc9 => (self.length(1 << (marker - 0xc7))?.checked_add(1)?, 0),
                0xca => (4, 0),
                0xcb => (8, 0),
                marker @ 0xcc..=0xcf => (1 << (marker - 0xcc), 0),
                marker @ 0xd0..=0xd3 => (1 << (marker - 0xd0), 0),
                marker @ 0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
                marker @ 0xd9..=0xdb => (self.length(1 << (marker - 0xd9))?, 0),
                marker @ 0xdc..=0xdd => (0, self.length(2 << (marker - 0xdc))?),
                marker @ 0xde..=0xdf => (0, self.length(2 << (marker - 0xde))?.checked_mul(2)?),
                _ => (0, 0),
            };
            self.bytes(length)?;
            values = (values - 1).checked_add(more)?;
        }
        Some(())
    }

    /// Any value as JSON: timestamps become ISO texts, binary an array of numbers. At most 64 deep.
    pub fn value(&mut self) -> Option<Json> {
        self.nested(64)
    }

    fn nested(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        Some(match *self.rest.first()? {
            0xc0 => self.single(Json::Null)?,
            0xc2 => self.single(Json::Bool(false))?,
            0xc3 => self.single(Json::Bool(true))?,
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
            0xc4..=0xc6 => Json::from(self.binary()?),
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

    fn single(&mut self, value: Json) -> Option<Json> {
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
    fn skip_consumes_the_same_bytes_as_value() {
        let texts: [&[u8]; 12] = [
            b"\x07",
            b"\xc0",
            b"\xcd\x01\x02",
            b"\xd3\0\0\0\0\0\0\0\x01",
            b"\xca\0\0\0\0",
            b"\xcb\0\0\0\0\0\0\0\0",
            b"\xa2hi",
            b"\xd9\x02hi",
            b"\xc5\0\x01*",
            b"\xd6\xff\0\0\0\x01",
            b"\x93\x01\x82\xa1a\x90\xa1b\xdc\0\x02\x01\x02\xc3",
            b"\xde\0\x01\xa1a\xc7\x0c\xff\0\0\0\0\0\0\0\0\0\0\0\x01",
        ];
        for text in texts {
            let followed = [text, b"\x2a"].concat();
            let (mut read, mut passed) = (Reader::new(&followed), Reader::new(&followed));
            assert!(read.value().is_some(), "{text:x?}");
            assert_eq!((passed.skip(), passed.integer(), read.integer()), (Some(()), Some(42), Some(42)), "{text:x?}");
            for end in 0..text.len() {
                assert_eq!(Reader::new(&text[..end]).skip(), None, "{text:x?} cut at {end}");
            }
        }
        assert_eq!(Reader::new(&[0x91; 100_000]).skip(), None, "however deep");
        assert_eq!(Reader::new(b"\xc1").skip(), None);
    }

    #[test]
    fn value_deeply_nested_map_key_returns_none() {
        assert_eq!(Reader::new(b"\x82\xa1a\x01\x05\x02").value(), Some(json!({ "a": 1, "5": 2 })));
        let mut nested = vec![0x81; 60];
        nested.extend_from_slice(&[0x01; 61]);
        assert_eq!(Reader::new(&nested).value(), None);
    }
}
