//! Where one message ends and the next begins: 0x1e behind it in JSON, its length in front of it in MessagePack.

use super::{Protocol, ProtocolError, json, varint};

/// The first whole message of some bytes, without its framing, and how long it is with it.
///
/// # Errors
/// If it is, or announces itself, longer than `limit`, its framing included.
pub fn split(protocol: Protocol, bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    const TOO_LARGE: ProtocolError = ProtocolError("the message is too large");
    match protocol {
        Protocol::Json => {
            let window = &bytes[..bytes.len().min(limit)];
            match memchr::memchr(json::SEPARATOR, window) {
                Some(end) => Ok(Some((&window[..end], end + 1))),
                None if bytes.len() >= limit => Err(TOO_LARGE),
                None => Ok(None),
            }
        }
        Protocol::MessagePack => {
            let Some((length, prefix)) = varint::read(bytes)? else { return Ok(None) };
            let end = prefix + length as usize;
            if end > limit {
                return Err(TOO_LARGE);
            }
            Ok(bytes.get(prefix..end).map(|body| (body, end)))
        }
    }
}
