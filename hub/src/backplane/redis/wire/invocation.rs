//! The message of one publish: the frames of a push for each protocol (`signalr.md` 9.3). No I/O.

use uuid::Uuid;

use crate::backplane::redis::MalformedMessage;
use crate::catch_up::Timestamp;
use crate::delivery::Delivery;
use crate::signalr::protocol::Protocol;
use crate::signalr::protocol::messagepack::{Reader, writer};

/// The number of microseconds in a second.
const MICROS_PER_SECOND: u64 = 1_000_000;

/// A message on the channel of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// The ids of connections that are excluded. This hub does not publish the ids of its connections, so none of them is
    /// excluded.
    pub excluded: Vec<&'a str>,
    /// Complete and encoded messages, by the names of their protocols.
    pub frames: Vec<(&'a str, &'a [u8])>,
    /// The process that published the message. `None` if it is not one of this hub.
    pub publisher: Option<Uuid>,
    /// The time at which Redis published the message, if the script of this hub added it.
    pub at: Option<Timestamp>,
}

impl<'a> Invocation<'a> {
    /// Creates the message by which this process publishes a delivery.
    pub fn from_delivery(delivery: &'a Delivery, publisher: Uuid) -> Invocation<'a> {
        let frame = |protocol: Protocol| Some((protocol.name(), delivery.frame(protocol)?.body()));
        let frames = Protocol::VARIANTS.into_iter().filter_map(frame).collect();
        Invocation { excluded: Vec::new(), frames, publisher: Some(publisher), at: None }
    }

    /// Parses a message of any server. Ignores further items of other servers, which ask for the result of a client.
    ///
    /// # Errors
    /// Returns the first fault of the message.
    pub fn read(bytes: &'a [u8]) -> Result<Invocation<'a>, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the message is not an array"))?;
        if items < 2 {
            return Err(MalformedMessage("the message has fewer than two items"));
        }
        let count = reader.array().ok_or(MalformedMessage("the excluded connections are not an array"))?;
        let mut excluded = Vec::new();
        for _ in 0..count {
            excluded.push(reader.text().ok_or(MalformedMessage("an excluded connection is not a string"))?);
        }
        let count = reader.map().ok_or(MalformedMessage("the frames are not a map"))?;
        let mut frames = Vec::new();
        for _ in 0..count {
            let protocol = reader.text().ok_or(MalformedMessage("a protocol's name is not a string"))?;
            frames.push((protocol, reader.binary().ok_or(MalformedMessage("a frame is not binary"))?));
        }
        // Only this hub writes three items. .NET writes two or four.
        let third = if items == 3 { reader.binary() } else { None };
        let (publisher, at) = third.and_then(parse_publisher_and_time).unzip();
        Ok(Invocation { excluded, frames, publisher, at: at.flatten() })
    }

    /// Encodes the message. .NET ignores the publisher, because it is the third item and the last.
    pub fn write(&self) -> Vec<u8> {
        let size = self.frames.iter().map(|(name, frame)| name.len() + frame.len() + 10).sum::<usize>() + 32;
        let mut bytes = Vec::with_capacity(size);
        writer::array(2 + usize::from(self.publisher.is_some()), &mut bytes);
        writer::array(self.excluded.len(), &mut bytes);
        self.excluded.iter().for_each(|id| writer::text(id, &mut bytes));
        writer::map(self.frames.len(), &mut bytes);
        for (name, frame) in &self.frames {
            writer::text(name, &mut bytes);
            writer::binary(frame, &mut bytes);
        }
        if let Some(publisher) = self.publisher {
            let mut stamp = publisher.as_bytes().to_vec();
            if let Some(Timestamp(micros)) = self.at {
                let seconds = u32::try_from(micros / MICROS_PER_SECOND).unwrap_or(u32::MAX);
                stamp.extend(seconds.to_be_bytes());
                stamp.extend(((micros % MICROS_PER_SECOND) as u32).to_be_bytes());
            }
            writer::binary(&stamp, &mut bytes);
        }
        bytes
    }

    /// Returns the frame for a protocol, or `None` if there is none.
    pub fn frame(&self, protocol: Protocol) -> Option<&'a [u8]> {
        self.frames.iter().find(|(name, _)| *name == protocol.name()).map(|(_, frame)| *frame)
    }
}

/// Parses the id of a publisher and the time of Redis, in seconds and microseconds, if `records::PUSH_SCRIPT` has appended it.
fn parse_publisher_and_time(bytes: &[u8]) -> Option<(Uuid, Option<Timestamp>)> {
    let (publisher, rest) = bytes.split_at_checked(16)?;
    let publisher = Uuid::from_slice(publisher).ok()?;
    if rest.is_empty() {
        return Some((publisher, None));
    }
    let time = u64::from_be_bytes(rest.try_into().ok()?);
    let (seconds, micros) = (time >> 32, time & u64::from(u32::MAX));
    (micros < MICROS_PER_SECOND).then_some((publisher, Some(Timestamp(seconds * MICROS_PER_SECOND + micros))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocation_malformed_error_names_the_item() {
        for (bytes, wrong) in [
            (&b""[..], "the message is not an array"),
            (b"\xc0", "the message is not an array"),
            (b"\x91\x90", "the message has fewer than two items"),
            // The upstream service delivers such a message to no client, either.
            (b"\x92\xc0\x80", "the excluded connections are not an array"),
            (b"\x92\xdd\xff\xff\xff\xff", "the excluded connections are not an array"),
            (b"\x92\x91\x01\x80", "an excluded connection is not a string"),
            (b"\x92\x90\x90", "the frames are not a map"),
            (b"\x92\x90\xdf\xff\xff\xff\xff", "the frames are not a map"),
            (b"\x92\x90\x81\xa4json\xa1x", "a frame is not binary"),
            (b"\x92\x90\x81\xa4json\xc4\x02x", "a frame is not binary"),
        ] {
            assert_eq!(Invocation::read(bytes), Err(MalformedMessage(wrong)), "{bytes:x?}");
        }
    }

    #[test]
    fn invocation_third_item_not_a_guid_yields_no_publisher() {
        for third in [&b"\xc0"[..], b"\xa4text", b"\xc4\x01x", b"\x80", &[&b"\xc4\x11"[..], &[0; 17]].concat()] {
            let bytes = [b"\x93\x90\x80", third].concat();
            assert_eq!(Invocation::read(&bytes).expect("fine").publisher, None, "{third:x?}");
        }
        let invocation =
            Invocation { excluded: vec!["a"], frames: Vec::new(), publisher: Some(Uuid::from_u128(7)), at: None };
        assert_eq!(Invocation::read(&invocation.write()), Ok(invocation.clone()));
        let timed = Invocation { at: Some(Timestamp(1_700_000_000_123_456)), ..invocation };
        assert_eq!(Invocation::read(&timed.write()), Ok(timed));
    }
}
