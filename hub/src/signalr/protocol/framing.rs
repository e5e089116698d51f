//! The framing of messages: 0x1e after each JSON message, the length before each MessagePack message. No I/O.

use super::{Protocol, ProtocolError, json, varint};

/// Returns the first message without its framing, and its length with it. Returns `None` if the message is incomplete.
///
/// # Errors
/// Returns an error if the message with its framing has more than `limit` bytes, even if it is incomplete.
pub fn split_message(protocol: Protocol, bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, ProtocolError> {
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
