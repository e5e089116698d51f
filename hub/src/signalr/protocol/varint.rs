//! The length before each MessagePack message: 7 bits per byte, low bits first (`signalr.md` 4.3). No I/O.

use super::ProtocolError;

/// The largest length: 2 GiB minus 1.
pub const MAX_LENGTH: u32 = 0x7fff_ffff;

/// Reads a length. Returns its value and the number of bytes that it takes, or `None` while it is incomplete.
///
/// # Errors
/// Returns an error if the length is above [`MAX_LENGTH`].
pub fn read(bytes: &[u8]) -> Result<Option<(u32, usize)>, ProtocolError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return match u32::try_from(value) {
                Ok(value) if value <= MAX_LENGTH => Ok(Some((value, index + 1))),
                _ => Err(TOO_LARGE),
            };
        }
    }
    if bytes.len() < 5 { Ok(None) } else { Err(TOO_LARGE) }
}

const TOO_LARGE: ProtocolError = ProtocolError("Messages over 2GB in size are not supported.");

/// Appends a length.
pub fn write(mut value: usize, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
