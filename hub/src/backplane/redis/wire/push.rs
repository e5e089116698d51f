//! Parses the parts of a push's frame that a replica needs to deliver it. No I/O.

use serde_json::Value as Json;

use crate::backplane::redis::MalformedMessage;
use crate::notification::Device;
use crate::signalr::protocol::messagepack::Reader;
use crate::signalr::protocol::{self, AUTH_REQUEST_RESPONSE, Protocol, RECEIVE_MESSAGE, json};

/// The target, type and device of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushHeader {
    /// The client method that is invoked.
    pub(crate) target: String,
    /// The type of the push. `None` if it is missing or the target takes no push.
    pub(crate) kind: Option<u8>,
    /// The device that caused the push, if it is given.
    pub(crate) device: Option<Device>,
}

/// Parses a frame.
///
/// # Errors
/// Returns an error if the frame is not exactly one invocation. Clients could not continue after such a frame.
pub(crate) fn read(protocol: Protocol, frame: &[u8]) -> Result<PushHeader, MalformedMessage> {
    let body = body(protocol, frame)?;
    let push = match protocol {
        Protocol::Json => read_json(body),
        Protocol::MessagePack => read_messagepack(body),
    };
    push.ok_or(MalformedMessage("a frame is not an invocation"))
}

/// Returns a frame's message without its framing.
///
/// # Errors
/// Returns an error if the frame is not exactly one message, or JSON that is not UTF-8. Clients could not continue after such a
/// frame.
pub(crate) fn body(protocol: Protocol, frame: &[u8]) -> Result<&[u8], MalformedMessage> {
    let (body, taken) = match protocol::split_message(protocol, frame, usize::MAX) {
        Ok(Some(first)) => first,
        _ => return Err(MalformedMessage("a frame is cut off")),
    };
    if taken != frame.len() {
        return Err(MalformedMessage("a frame has more than one message"));
    }
    if protocol == Protocol::Json && std::str::from_utf8(body).is_err() {
        return Err(MalformedMessage("a JSON frame is not UTF-8"));
    }
    Ok(body)
}

fn read_json(text: &[u8]) -> Option<PushHeader> {
    let (target, arguments) = json::decode_invocation(text)?;
    let push = arguments.get(0).filter(|_| is_push(&target));
    let member = |name: &str| push.and_then(|push| push.get(name));
    let kind = member("type").and_then(Json::as_u64).and_then(|kind| u8::try_from(kind).ok());
    let device = member("contextId").and_then(Json::as_str).map(Device::from_id);
    Some(PushHeader { target, kind, device })
}

fn read_messagepack(body: &[u8]) -> Option<PushHeader> {
    let mut reader = Reader::new(body);
    let items = reader.array()?;
    if items < 5 || reader.integer()? != 1 {
        return None;
    }
    // The headers.
    reader.skip()?;
    reader.nil_or_text()?;
    let target = reader.text()?.to_owned();
    let (kind, device) = if is_push(&target) { members(&mut reader) } else { (None, None) };
    Some(PushHeader { target, kind, device })
}

/// Reads the type and the device of the first argument, as far as they are given.
fn members(reader: &mut Reader<'_>) -> (Option<u8>, Option<Device>) {
    let (mut kind, mut device) = (None, None);
    let mut read = || {
        reader.array().filter(|count| *count > 0)?;
        for _ in 0..reader.map()? {
            match reader.text()? {
                "Type" => kind = Some(u8::try_from(reader.integer()?).ok()?),
                "ContextId" => device = reader.nil_or_text()?.map(Device::from_id),
                _ => reader.skip()?,
            }
        }
        Some(())
    };
    // If the argument is malformed, the frame is delivered unchanged.
    let _ = read();
    (kind, device)
}

/// Returns `true` if a method takes a push.
fn is_push(target: &str) -> bool {
    [RECEIVE_MESSAGE, AUTH_REQUEST_RESPONSE].contains(&target)
}
