//! Small changes of an input.

use crate::random::Random;

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
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
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\\ud83d",
    b"\\u0000",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\r\n",
    b"%",
    b",",
];

/// The longest input that mutations make of short ones.
const LONGEST: usize = 4096;

/// An input, changed in a few places; `other` is one to take parts from.
pub fn mutated(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below((bytes.len() - at).min(16) + 1);
        match random.below(7) {
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
            4 => drop(bytes.splice(at..end, TOKENS[random.below(TOKENS.len())].iter().copied())),
            5 => bytes.truncate(at),
            _ => {
                let from = random.below(other.len() + 1);
                bytes.splice(at..end, other[from..].iter().copied());
            }
        }
        bytes.truncate(LONGEST.max(input.len()));
    }
    bytes
}
