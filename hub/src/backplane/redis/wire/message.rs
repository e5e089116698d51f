//! Classifies the messages that this replica receives. No I/O.

use std::time::Instant;

use uuid::Uuid;

use super::channel::Channel;
use super::group_command::GroupCommand;
use super::invocation::Invocation;
use super::push;
use crate::backplane::redis::MalformedMessage;
use crate::catch_up::Timestamp;
use crate::delivery::{Audience, Delivery};
use crate::signalr::Hub;
use crate::signalr::protocol::{HEARTBEAT, Protocol};
use crate::websocket::Frame;

/// A message of any server.
#[derive(Debug)]
pub enum BackplaneMessage<'a> {
    /// A push of another replica, and the time at which Redis published it, if known.
    Push(Delivery, Option<Timestamp>),
    /// A push of a server that is not one of this hub's, such as ASP.NET Core's. It is not recorded for catch-up.
    Foreign(Delivery),
    /// A push of this process, which was delivered before it was published (`architecture.md`, decision 5).
    Own(Option<Timestamp>),
    /// The heartbeat of another server. Ignored, because this hub sends its own.
    Heartbeat,
    /// A command about a connection. It is never one of this hub's, because no other server knows their ids.
    GroupCommand(GroupCommand<'a>),
}

impl<'a> BackplaneMessage<'a> {
    /// Parses a message that was received on a channel at `since`. `own_id` is the id under which this process publishes.
    ///
    /// # Errors
    /// Returns the first fault of the message. It must not be delivered: a frame that clients cannot read would end all their
    /// connections.
    pub fn read(
        channel: Channel,
        bytes: &'a [u8],
        own_id: Uuid,
        since: Instant,
    ) -> Result<BackplaneMessage<'a>, MalformedMessage> {
        let audience = match channel {
            Channel::To(audience) => audience,
            Channel::GroupCommands(_) => return GroupCommand::read(bytes).map(BackplaneMessage::GroupCommand),
        };
        let invocation = Invocation::read(bytes)?;
        if invocation.publisher == Some(own_id) {
            return Ok(BackplaneMessage::Own(invocation.at));
        }
        // All frames of a push have the same content. MessagePack is faster to parse.
        let mut protocols = [Protocol::MessagePack, Protocol::Json].into_iter();
        let first = protocols.find_map(|protocol| Some((protocol, invocation.frame(protocol)?)));
        let (protocol, frame) = first.ok_or(MalformedMessage("no frame is in a protocol of this hub"))?;
        let push = push::read(protocol, frame)?;
        if push.target == HEARTBEAT && audience == Audience::All(Hub::Main) {
            return Ok(BackplaneMessage::Heartbeat);
        }
        for protocol in Protocol::VARIANTS {
            invocation.frame(protocol).map(|frame| push::body(protocol, frame)).transpose()?;
        }
        let frame = |protocol| invocation.frame(protocol).map(|frame| Frame::new(protocol, frame));
        let delivery = Delivery::from_frames(audience, push.kind, since, frame).with_device(push.device);
        match invocation.publisher {
            Some(_) => Ok(BackplaneMessage::Push(delivery, invocation.at)),
            None => Ok(BackplaneMessage::Foreign(delivery)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::{ClientType, Device, Notification, Value};
    use crate::signalr::protocol::{self, RECEIVE_MESSAGE, ServerMessage};

    const OWN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const USER: Channel = Channel::To(Audience::User(Uuid::from_u128(3), ClientType::All));

    fn read(channel: Channel, bytes: &[u8]) -> Result<BackplaneMessage<'_>, MalformedMessage> {
        BackplaneMessage::read(channel, bytes, OWN, Instant::now())
    }

    fn delivery(bytes: &[u8]) -> Delivery {
        match read(USER, bytes) {
            Ok(BackplaneMessage::Push(delivery, None) | BackplaneMessage::Foreign(delivery)) => delivery,
            other => panic!("{other:?}"),
        }
    }

    /// A publish with frames in these protocols.
    fn published(frames: &[(Protocol, &[u8])]) -> Vec<u8> {
        let frames = frames.iter().map(|(protocol, frame)| (protocol.name(), *frame)).collect();
        Invocation { excluded: Vec::new(), frames, publisher: None, at: None }.write()
    }

    #[test]
    fn backplane_message_push_of_another_replica_equals_the_sent_push() {
        for number in 0..=255 {
            let payload = Value::Object(vec![("Id".into(), Value::Id(OTHER))]);
            let notification =
                &Notification { kind: number, payload, context_id: Some("a device".to_owned()), missing: Vec::new() };
            let message = ServerMessage::Push { target: RECEIVE_MESSAGE, notification };
            let frame = |protocol| Frame::new(protocol, &protocol::encode(protocol, message));
            let sent = Delivery::new(Audience::None, number, Instant::now(), frame);
            let bytes = Invocation::from_delivery(&sent, OTHER).write();
            let one = |protocol| published(&[(protocol, sent.frame(protocol).expect("both").body())]);
            for (bytes, protocols) in [
                (bytes, &Protocol::VARIANTS[..]),
                (one(Protocol::Json), &[Protocol::Json]),
                (one(Protocol::MessagePack), &[Protocol::MessagePack]),
            ] {
                let got = delivery(&bytes);
                assert_eq!((got.kind, got.device), (Some(number), Some(Device::from_id("a device"))), "{number}");
                assert_eq!((got.coalescible, got.covered), (sent.coalescible, sent.covered), "{number}");
                for protocol in Protocol::VARIANTS {
                    let expected = sent.frame(protocol).map(Frame::bytes).filter(|_| protocols.contains(&protocol));
                    assert_eq!(got.frame(protocol).map(Frame::bytes), expected, "{number}");
                }
            }
            assert!(matches!(
                read(USER, &Invocation::from_delivery(&sent, OWN).write()),
                Ok(BackplaneMessage::Own(None))
            ));
            assert!(matches!(
                read(USER, &Invocation::from_delivery(&sent, OTHER).write()),
                Ok(BackplaneMessage::Push(_, None))
            ));
            assert!(matches!(read(USER, &one(Protocol::Json)), Ok(BackplaneMessage::Foreign(_))));
        }
    }

    #[test]
    fn backplane_message_unknown_invocation_is_forwarded_unchanged() {
        let odd: [&[u8]; 4] = [
            b"\x0e\x96\x01\x80\xc0\xa4Echo\x91\xa2hi\x90",
            b"\x15\x95\x01\x80\xc0\xaeReceiveMessage\x90",
            b"\x1f\x95\x01\x80\xc0\xaeReceiveMessage\x91\x81\xa4Type\xcd\x01\x2c\xc0",
            b"\x16\x95\x01\x80\xc0\xaeReceiveMessage\x91\x05",
        ];
        for frame in odd {
            let frame = [&[frame.len() as u8 - 1], &frame[1..]].concat();
            let got = delivery(&published(&[(Protocol::MessagePack, &frame)]));
            assert_eq!((got.kind, got.device, got.coalescible, got.covered), (None, None, false, false));
            assert_eq!(got.frame(Protocol::MessagePack).map(Frame::body), Some(&frame[..]));
            assert!(got.frame(Protocol::Json).is_none());
        }
    }

    #[test]
    fn backplane_message_heartbeat_is_recognized_on_main_hub_channel_only() {
        let frames =
            Protocol::VARIANTS.map(|protocol| (protocol, protocol::encode(protocol, ServerMessage::Heartbeat)));
        let bytes = published(&frames.each_ref().map(|(protocol, frame)| (*protocol, &frame[..])));
        let everyone = |hub| Channel::To(Audience::All(hub));
        assert!(matches!(read(everyone(Hub::Main), &bytes), Ok(BackplaneMessage::Heartbeat)));
        assert!(matches!(read(everyone(Hub::Anonymous), &bytes), Ok(BackplaneMessage::Foreign(_))));
        assert_eq!(delivery(&bytes).kind, None);
    }

    #[test]
    fn backplane_message_invalid_frames_are_malformed() {
        const CALL: &[u8] = b"{\"type\":1,\"target\":\"T\",\"arguments\":[]}\x1e";
        for (frames, wrong) in [
            (&[][..], "no frame is in a protocol of this hub"),
            (&[(Protocol::Json, &b"{\"type\":6}\x1e"[..])], "a frame is not an invocation"),
            (&[(Protocol::Json, b"*")], "a frame is cut off"),
            (&[(Protocol::Json, b"\xff\x1e")], "a JSON frame is not UTF-8"),
            (&[(Protocol::Json, b"{\"type\":6}\x1e{}\x1e")], "a frame has more than one message"),
            (&[(Protocol::MessagePack, b"\x02\x91\x06")], "a frame is not an invocation"),
            (&[(Protocol::MessagePack, b"\x02\x91")], "a frame is cut off"),
            (&[(Protocol::Json, CALL), (Protocol::MessagePack, b"*")], "a frame is cut off"),
            (
                &[(Protocol::Json, b"\xff\x1e"), (Protocol::MessagePack, b"\x08\x96\x01\x80\xc0\xa1T\x90\x90")],
                "a JSON frame is not UTF-8",
            ),
        ] {
            let bytes = published(frames);
            assert_eq!(read(USER, &bytes).expect_err(wrong), MalformedMessage(wrong));
        }
    }
}
