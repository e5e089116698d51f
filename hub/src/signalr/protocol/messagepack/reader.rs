//! Reads MessagePack: single items for the hub, whole values for the client of this crate. No I/O.

use std::borrow::Cow;

use serde_json::Value as Json;

/// Reads items in their order. Each method returns `None` if the next item has another type or is incomplete.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Creates a reader of bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Reads the length of an array. Returns `None` if it is larger than the number of bytes left.
    pub fn array(&mut self) -> Option<usize> {
        let count = match self.byte()? {
            marker @ 0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.length(2)?,
            0xdd => self.length(4)?,
            _ => return None,
        };
        Some(count).filter(|count| *count <= self.rest.len())
    }

    /// Reads the length of a map. Returns `None` if its names and values cannot fit into the bytes left.
    pub fn map(&mut self) -> Option<usize> {
        let count = match self.byte()? {
            marker @ 0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => self.length(2)?,
            0xdf => self.length(4)?,
            _ => return None,
        };
        Some(count).filter(|count| *count <= self.rest.len() / 2)
    }

    /// Reads a Boolean.
    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }

    /// Reads an integer of any width.
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

    /// Reads a string. Returns `None` if it is not UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    /// Reads a string, and replaces invalid UTF-8 by U+FFFD, as .NET reads the strings of clients.
    pub fn lossy_text(&mut self) -> Option<Cow<'a, str>> {
        self.text_bytes().map(String::from_utf8_lossy)
    }

    /// Reads a string or nil. Returns `Some(None)` for nil.
    pub fn nil_or_text(&mut self) -> Option<Option<&'a str>> {
        if self.take_nil() { Some(None) } else { self.text().map(Some) }
    }

    /// Reads a string or nil, and replaces invalid UTF-8 by U+FFFD. Returns `Some(None)` for nil.
    pub fn nil_or_lossy_text(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.take_nil() { Some(None) } else { self.lossy_text().map(Some) }
    }

    /// Skips nil. Returns `true` if the next item was nil.
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

    /// Reads binary data.
    pub fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            marker @ 0xc4..=0xc6 => self.length(1 << (marker - 0xc4))?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// Skips a value of any type and depth, without checking its content.
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

    /// Reads a value of at most 64 levels as JSON. Timestamps become ISO strings, binary data becomes an array of numbers.
    pub fn value(&mut self) -> Option<Json> {
        self.value_of_depth(64)
    }

    fn value_of_depth(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        Some(match *self.rest.first()? {
            0xc0 => self.byte().map(|_| Json::Null)?,
            0xc2 => self.byte().map(|_| Json::Bool(false))?,
            0xc3 => self.byte().map(|_| Json::Bool(true))?,
            0x80..=0x8f | 0xde | 0xdf => {
                let count = self.map()?;
                let members = (0..count).map(|_| {
                    // A nested name is rejected, because each level would double the escapes in its JSON text.
                    let name = self.value_of_depth(depth.min(1))?;
                    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                    Some((name, self.value_of_depth(depth)?))
                });
                Json::Object(members.collect::<Option<_>>()?)
            }
            0x90..=0x9f | 0xdc | 0xdd => {
                let count = self.array()?;
                Json::Array((0..count).map(|_| self.value_of_depth(depth)).collect::<Option<_>>()?)
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

/// Parses an invocation of a server without its length: its target and arguments. Returns `None` for other messages.
pub fn decode_invocation(body: &[u8]) -> Option<(String, Json)> {
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
        assert_eq!(Reader::new(&[0x81; 1_000_000]).value(), None, "each level is the name of the one around it");
    }
}
