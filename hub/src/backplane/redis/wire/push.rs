//! What a frame says of itself, as far as a hub that hands it on has to know.

use serde_json::Value as Json;

use crate::backplane::redis::MalformedMessage;
use crate::notification::Device;
use crate::signalr::protocol::messagepack::Reader;
use crate::signalr::protocol::{self, AUTH_REQUEST_RESPONSE, Protocol, RECEIVE_MESSAGE, json};

/// A call of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushHeader {
    /// The method that is called.
    pub(crate) target: String,
    /// The push's type, if it is one and tells.
    pub(crate) kind: Option<u8>,
    /// The device that caused it.
    pub(crate) device: Option<Device>,
}

/// Reads the one message that a frame is.
///
/// # Errors
/// If it is not one whole message, or none that calls a method: clients could not go on behind it.
pub(crate) fn read(protocol: Protocol, frame: &[u8]) -> Result<PushHeader, MalformedMessage> {
    let body = body(protocol, frame)?;
    let push = match protocol {
        Protocol::Json => read_json(body),
        Protocol::MessagePack => read_messagepack(body),
    };
    push.ok_or(MalformedMessage("a frame is no invocation"))
}

/// A frame without what tells where it ends.
///
/// # Errors
/// If it is not one whole message, or JSON that is no UTF-8: no client could read on behind it.
pub(crate) fn body(protocol: Protocol, frame: &[u8]) -> Result<&[u8], MalformedMessage> {
    let (body, taken) = match protocol::split(protocol, frame, usize::MAX) {
        Ok(Some(first)) => first,
        _ => return Err(MalformedMessage("a frame is cut off")),
    };
    if taken != frame.len() {
        return Err(MalformedMessage("a frame is more than one message"));
    }
    if protocol == Protocol::Json && std::str::from_utf8(body).is_err() {
        return Err(MalformedMessage("a frame in JSON is no UTF-8"));
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

/// The type and the device of the first argument, as far as they are there.
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
    // What the argument does not tell is not known: the frame goes on as it is.
    let _ = read();
    (kind, device)
}

/// Whether a method takes a push.
fn is_push(target: &str) -> bool {
    [RECEIVE_MESSAGE, AUTH_REQUEST_RESPONSE].contains(&target)
}
