//! The length in front of every MessagePack message: seven bits a byte, low group first (`signalr.md` 4.3).

use super::ProtocolError;

/// The largest length that can be written: 2 GiB less one.
pub const MAX_VALUE: u32 = 0x7fff_ffff;

/// Reads a length: its value and how many bytes it took, or nothing while bytes are missing.
pub fn read(bytes: &[u8]) -> Result<Option<(u32, usize)>, ProtocolError> {
    let mut value = 0u64;
    for (place, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return match u32::try_from(value) {
                Ok(value) if value <= MAX_VALUE => Ok(Some((value, place + 1))),
                _ => Err(TOO_LARGE),
            };
        }
    }
    if bytes.len() < 5 { Ok(None) } else { Err(TOO_LARGE) }
}

const TOO_LARGE: ProtocolError = ProtocolError("Messages over 2GB in size are not supported.");

/// Writes a length.
pub fn write(mut value: usize, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
