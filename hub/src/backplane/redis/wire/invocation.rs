//! One publish: the frames of a push, for whoever is there (`signalr.md` 9.3).

use uuid::Uuid;

use crate::backplane::redis::MalformedMessage;
use crate::catch_up::Timestamp;
use crate::delivery::Delivery;
use crate::signalr::protocol::Protocol;
use crate::signalr::protocol::messagepack::{Reader, writer};

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// What is published on the channel of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Connections that are left out. Only the server that holds a connection knows its id, and none of this hub's ever
    /// tells, so nobody here is meant.
    pub excluded: Vec<&'a str>,
    /// Whole messages, ready for the wire, by the names of their protocols.
    pub frames: Vec<(&'a str, &'a [u8])>,
    /// The process that published it, which others than this hub do not tell.
    pub publisher: Option<Uuid>,
    /// When Redis published it, if it was asked to tell.
    pub at: Option<Timestamp>,
}

impl<'a> Invocation<'a> {
    /// A delivery, as this process publishes it.
    pub fn from_delivery(delivery: &'a Delivery, publisher: Uuid) -> Invocation<'a> {
        let frame = |protocol: Protocol| Some((protocol.name(), delivery.frame(protocol)?.body()));
        let frames = Protocol::VARIANTS.into_iter().filter_map(frame).collect();
        Invocation { excluded: Vec::new(), frames, publisher: Some(publisher), at: None }
    }

    /// Reads a publish of any server.
    ///
    /// # Errors
    /// The first thing that is wrong with it. Items behind the second that are none of ours do not matter: they ask for a
    /// client's result, which this hub has not.
    pub fn read(bytes: &'a [u8]) -> Result<Invocation<'a>, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the message is no array"))?;
        if items < 2 {
            return Err(MalformedMessage("the message has less than two items"));
        }
        let count = reader.array().ok_or(MalformedMessage("the excluded connections are no array"))?;
        let mut excluded = Vec::new();
        for _ in 0..count {
            excluded.push(reader.text().ok_or(MalformedMessage("an excluded connection is no text"))?);
        }
        let count = reader.map().ok_or(MalformedMessage("the frames are no map"))?;
        let mut frames = Vec::new();
        for _ in 0..count {
            let protocol = reader.text().ok_or(MalformedMessage("a protocol's name is no text"))?;
            frames.push((protocol, reader.binary().ok_or(MalformedMessage("a frame is not binary"))?));
        }
        // An array of three is ours if its third item looks so; .NET writes two items or four.
        let third = if items == 3 { reader.binary() } else { None };
        let (publisher, at) = third.and_then(stamp).unzip();
        Ok(Invocation { excluded, frames, publisher, at: at.flatten() })
    }

    /// Writes it as .NET reads it: that ignores the publisher, as long as it is the third item and the last.
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
                let seconds = u32::try_from(micros / SECOND).unwrap_or(u32::MAX);
                stamp.extend(seconds.to_be_bytes());
                stamp.extend(((micros % SECOND) as u32).to_be_bytes());
            }
            writer::binary(&stamp, &mut bytes);
        }
        bytes
    }

    /// The frame for a protocol.
    pub fn frame(&self, protocol: Protocol) -> Option<&'a [u8]> {
        self.frames.iter().find(|(name, _)| *name == protocol.name()).map(|(_, frame)| *frame)
    }
}

/// A publisher, and behind it the time of Redis if it was appended (`records::PUSH_SCRIPT`): seconds and microseconds.
fn stamp(bytes: &[u8]) -> Option<(Uuid, Option<Timestamp>)> {
    let (publisher, rest) = bytes.split_at_checked(16)?;
    let publisher = Uuid::from_slice(publisher).ok()?;
    if rest.is_empty() {
        return Some((publisher, None));
    }
    let time = u64::from_be_bytes(rest.try_into().ok()?);
    let (seconds, micros) = (time >> 32, time & u64::from(u32::MAX));
    (micros < SECOND).then_some((publisher, Some(Timestamp(seconds * SECOND + micros))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocation_malformed_error_names_the_item() {
        for (bytes, wrong) in [
            (&b""[..], "the message is no array"),
            (b"\xc0", "the message is no array"),
            (b"\x91\x90", "the message has less than two items"),
            // Recorded with the original: such a message reaches nobody.
            (b"\x92\xc0\x80", "the excluded connections are no array"),
            (b"\x92\xdd\xff\xff\xff\xff", "the excluded connections are no array"),
            (b"\x92\x91\x01\x80", "an excluded connection is no text"),
            (b"\x92\x90\x90", "the frames are no map"),
            (b"\x92\x90\xdf\xff\xff\xff\xff", "the frames are no map"),
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
