//! Mutations of an input.

use std::ops::Range;

use crate::random::Random;

/// Parts that parsers treat specially or that are near a limit.
const TOKENS: [&[u8]; 28] = [
    b"\x1e",
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff\x07",
    b"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\\ud83d",
    b"\\u0000",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e400",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\r\n",
    b"%",
    b",",
];

/// Bytes between the fields of the formats that the checks read.
const SEPARATORS: &[u8] = b"{}[],:;=&?/.\"' \r\n\x1e\0";

/// The maximum length of a mutated input, unless its seed is longer.
const MAX_BYTES: usize = 4096;

/// The maximum length of an input with a repeated part.
const MAX_REPEATED_BYTES: usize = 1 << 16;

/// One of this many inputs has a part repeated until it is long, which reveals quadratic time.
const REPEATED_ONE_IN: usize = 8192;

/// Changes an input in a few places. Some changes insert parts of `other`.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let max_bytes = MAX_BYTES.max(bytes.len());
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below((bytes.len() - at).min(16) + 1);
        match random.below(10) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.number() as u8;
                }
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => replace(bytes, at..end, TOKENS[random.below(TOKENS.len())]),
            5 => bytes.truncate(at),
            6 => {
                let from = random.below(other.len() + 1);
                replace(bytes, at..end, &other[from..]);
            }
            7 => replace(bytes, field(bytes, at), TOKENS[random.below(TOKENS.len())]),
            8 => replace(bytes, field(bytes, at), &other[field(other, random.below(other.len() + 1))]),
            _ => {
                let (from, to) = (field(bytes, random.below(bytes.len() + 1)), field(bytes, at));
                let part = bytes[from].to_vec();
                replace(bytes, to, &part);
            }
        }
        bytes.truncate(max_bytes);
    }
    if random.below(REPEATED_ONE_IN) == 0 {
        repeat(bytes, random);
    }
}

fn replace(bytes: &mut Vec<u8>, range: Range<usize>, part: &[u8]) {
    bytes.splice(range, part.iter().copied());
}

/// Returns the range around a position without separators.
fn field(bytes: &[u8], at: usize) -> Range<usize> {
    let separates = |byte: &u8| SEPARATORS.contains(byte);
    let start = bytes[..at].iter().rposition(separates).map_or(0, |before| before + 1);
    let end = bytes[at..].iter().position(separates).map_or(bytes.len(), |length| at + length);
    start..end
}

/// Repeats a part of the input a random number of times, up to `MAX_REPEATED_BYTES`.
fn repeat(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let part = bytes[at..at + random.below(bytes.len() - at + 1)].to_vec();
    if !part.is_empty() {
        let room = MAX_REPEATED_BYTES.saturating_sub(bytes.len());
        let times = random.below(room / part.len() + 1);
        bytes.splice(at..at, part.repeat(times));
    }
}
