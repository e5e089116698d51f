//! Writes MessagePack in its smallest form, like MessagePack-CSharp (`signalr.md` 8.1). No I/O.

use crate::notification::{Date, Value};

/// Appends a string.
pub fn text(text: &str, bytes: &mut Vec<u8>) {
    let length = text.len();
    match length {
        0..=31 => bytes.push(0xa0 | length as u8),
        32..=0xff => bytes.extend_from_slice(&[0xd9, length as u8]),
        0x100..=0xffff => sized(0xda, &(length as u16).to_be_bytes(), bytes),
        _ => sized(0xdb, &(length as u32).to_be_bytes(), bytes),
    }
    bytes.extend_from_slice(text.as_bytes());
}

/// Appends the header of a map with `count` members.
pub fn map(count: usize, bytes: &mut Vec<u8>) {
    match count {
        0..=15 => bytes.push(0x80 | count as u8),
        16..=0xffff => sized(0xde, &(count as u16).to_be_bytes(), bytes),
        _ => sized(0xdf, &(count as u32).to_be_bytes(), bytes),
    }
}

/// Appends the header of an array with `count` items.
pub fn array(count: usize, bytes: &mut Vec<u8>) {
    match count {
        0..=15 => bytes.push(0x90 | count as u8),
        16..=0xffff => sized(0xdc, &(count as u16).to_be_bytes(), bytes),
        _ => sized(0xdd, &(count as u32).to_be_bytes(), bytes),
    }
}

/// Appends binary data.
pub fn binary(binary: &[u8], bytes: &mut Vec<u8>) {
    let length = binary.len();
    match length {
        0..=0xff => bytes.extend_from_slice(&[0xc4, length as u8]),
        0x100..=0xffff => sized(0xc5, &(length as u16).to_be_bytes(), bytes),
        _ => sized(0xc6, &(length as u32).to_be_bytes(), bytes),
    }
    bytes.extend_from_slice(binary);
}

/// Appends the member of a map. The first letter of its name becomes upper case.
pub(super) fn member(name: &str, member: &Value, bytes: &mut Vec<u8>) {
    let end = bytes.len()
        + match name.len() {
            0..=31 => 1,
            32..=0xff => 2,
            0x100..=0xffff => 3,
            _ => 5,
        };
    text(name, bytes);
    if let Some(first) = bytes.get_mut(end) {
        first.make_ascii_uppercase();
    }
    value(member, bytes);
}

fn value(written: &Value, bytes: &mut Vec<u8>) {
    match written {
        Value::Null => bytes.push(0xc0),
        Value::Bool(flag) => bytes.push(if *flag { 0xc3 } else { 0xc2 }),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(unsigned), _) => self::unsigned(unsigned, bytes),
            (None, Some(signed)) => self::signed(signed, bytes),
            (None, None) => sized(0xcb, &number.as_f64().unwrap_or_default().to_be_bytes(), bytes),
        },
        Value::String(string) => text(string, bytes),
        Value::Id(id) => text(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()), bytes),
        Value::Date(date) => timestamp(*date, bytes),
        Value::Array(items) => {
            array(items.len(), bytes);
            items.iter().for_each(|item| value(item, bytes));
        }
        Value::Object(members) => {
            map(members.len(), bytes);
            members.iter().for_each(|(name, value)| member(name, value, bytes));
        }
    }
}

/// Appends an unsigned integer.
pub fn unsigned(number: u64, bytes: &mut Vec<u8>) {
    match number {
        0..=0x7f => bytes.push(number as u8),
        0x80..=0xff => bytes.extend_from_slice(&[0xcc, number as u8]),
        0x100..=0xffff => sized(0xcd, &(number as u16).to_be_bytes(), bytes),
        0x1_0000..=0xffff_ffff => sized(0xce, &(number as u32).to_be_bytes(), bytes),
        _ => sized(0xcf, &number.to_be_bytes(), bytes),
    }
}

fn signed(number: i64, bytes: &mut Vec<u8>) {
    match number {
        0.. => unsigned(number.unsigned_abs(), bytes),
        -32..=-1 => bytes.push(number as u8),
        -0x80..=-33 => bytes.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..=-0x81 => sized(0xd1, &(number as i16).to_be_bytes(), bytes),
        -0x8000_0000..=-0x8001 => sized(0xd2, &(number as i32).to_be_bytes(), bytes),
        _ => sized(0xd3, &number.to_be_bytes(), bytes),
    }
}

/// Appends a timestamp extension (type -1).
fn timestamp(date: Date, bytes: &mut Vec<u8>) {
    let (seconds, nanoseconds) = date.unix();
    match u64::try_from(seconds) {
        Ok(seconds @ 0..=0xffff_ffff) if nanoseconds == 0 => {
            bytes.extend_from_slice(&[0xd6, 0xff]);
            bytes.extend_from_slice(&(seconds as u32).to_be_bytes());
        }
        Ok(seconds @ 0..=0x3_ffff_ffff) => {
            bytes.extend_from_slice(&[0xd7, 0xff]);
            bytes.extend_from_slice(&(u64::from(nanoseconds) << 34 | seconds).to_be_bytes());
        }
        _ => {
            bytes.extend_from_slice(&[0xc7, 0x0c, 0xff]);
            bytes.extend_from_slice(&nanoseconds.to_be_bytes());
            bytes.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

fn sized(marker: u8, length: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(marker);
    bytes.extend_from_slice(length);
}
