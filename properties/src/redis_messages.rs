//! Checks the messages that the hub publishes to Redis and receives from it.

use std::time::Instant;

use notification_hub::backplane::redis::wire::channel::{Channel, Channels};
use notification_hub::backplane::redis::wire::group_command::{Acknowledgement, GroupCommand};
use notification_hub::backplane::redis::wire::invocation::Invocation;
use notification_hub::backplane::redis::wire::message::BackplaneMessage;
use notification_hub::catch_up::Timestamp;
use notification_hub::delivery::{Audience, Delivery};
use notification_hub::notification::ClientType;
use notification_hub::signalr::Hub;
use notification_hub::signalr::protocol::Protocol;
use uuid::Uuid;

use crate::choices::Choices;

/// The id of the process that reads the messages.
const OWN_ID: Uuid = Uuid::from_u128(1);

/// Checks that written messages are read back equal, that any bytes are a message or an error, and that a delivery has the
/// published frames, also when it is published again.
pub(crate) fn check(input: &[u8]) {
    check_channel_name(input);
    check_written_invocation(input);
    check_incoming(input);
}

/// Checks that a channel that is read from a name has this name.
fn check_channel_name(input: &[u8]) {
    let channels = Channels::new("Notifications");
    let text = String::from_utf8_lossy(input);
    for name in [text.clone().into_owned(), format!("NotificationsBit.Notifications.NotificationsHub:{text}")] {
        match channels.read(&name) {
            Some(Channel::To(audience)) => assert_eq!(channels.name_for(audience), Some(name)),
            Some(Channel::GroupCommands(hub)) => assert_eq!(channels.group_commands(hub), name),
            None => {}
        }
    }
}

/// Checks that an invocation that is generated from the input is read back equal.
fn check_written_invocation(input: &[u8]) {
    let mut choices = Choices(input);
    let excluded: Vec<String> = (0..choices.below(20)).map(|_| choices.text()).collect();
    let frames: Vec<(String, &[u8])> = (0..choices.below(20))
        .map(|_| {
            let name = choices.text();
            let count = choices.number() as usize % 70_000;
            (name, choices.bytes(count))
        })
        .collect();
    let publisher = (choices.below(2) == 0).then(|| Uuid::from_u64_pair(choices.number(), choices.number()));
    let invocation = Invocation {
        excluded: excluded.iter().map(String::as_str).collect(),
        frames: frames.iter().map(|(name, frame)| (name.as_str(), *frame)).collect(),
        publisher,
        at: publisher.and_then(|_| (choices.below(2) == 0).then(|| Timestamp(choices.number() >> 13))),
    };
    assert_eq!(Invocation::read(&invocation.write()), Ok(invocation));
}

/// Checks the input as a message on each kind of channel.
fn check_incoming(bytes: &[u8]) {
    if let Ok(command) = GroupCommand::read(bytes) {
        assert_eq!(GroupCommand::read(&command.write()), Ok(command));
    }
    if let Ok(acknowledgement) = Acknowledgement::read(bytes) {
        assert_eq!(Acknowledgement::read(&acknowledgement.write()), Ok(acknowledgement));
    }
    let invocation = Invocation::read(bytes);
    if let Ok(invocation) = &invocation {
        assert_eq!(Invocation::read(&invocation.write()).as_ref(), Ok(invocation));
    }
    let user = Audience::User(Uuid::from_u128(2), ClientType::Web);
    for audience in [user, Audience::All(Hub::Main), Audience::All(Hub::Anonymous)] {
        match BackplaneMessage::read(Channel::To(audience), bytes, OWN_ID, Instant::now()) {
            Ok(BackplaneMessage::Push(delivery, published)) => {
                let invocation = invocation.as_ref().expect("an invocation");
                assert!(invocation.publisher.is_some() && invocation.at == published);
                assert_delivered_as_published(audience, &delivery, invocation);
            }
            Ok(BackplaneMessage::Foreign(delivery)) => {
                let invocation = invocation.as_ref().expect("an invocation");
                assert!(invocation.publisher.is_none());
                assert_delivered_as_published(audience, &delivery, invocation);
            }
            Ok(BackplaneMessage::Own(published)) => {
                let expected = invocation.as_ref().map(|invocation| (invocation.publisher, invocation.at));
                assert_eq!(expected, Ok((Some(OWN_ID), published)));
            }
            Ok(BackplaneMessage::Heartbeat) => assert_eq!(audience, Audience::All(Hub::Main)),
            Ok(BackplaneMessage::GroupCommand(command)) => {
                panic!("a group command on a channel of pushes: {command:?}")
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Panics unless a delivery has the frames of the invocation, and is read back equal when it is published again.
fn assert_delivered_as_published(audience: Audience, delivery: &Delivery, invocation: &Invocation<'_>) {
    let frames = Protocol::VARIANTS.map(|protocol| delivery.frame(protocol).map(|frame| frame.body()));
    assert_eq!(frames, Protocol::VARIANTS.map(|protocol| invocation.frame(protocol)));
    assert!(delivery.audience == audience && frames.iter().any(Option::is_some));

    let again = Invocation::from_delivery(delivery, Uuid::from_u128(3)).write();
    let again = BackplaneMessage::read(Channel::To(audience), &again, OWN_ID, Instant::now());
    let Ok(BackplaneMessage::Push(again, None)) = again else { panic!("{again:?}") };
    assert_eq!((again.kind, again.device), (delivery.kind, delivery.device));
    let own = Invocation::from_delivery(delivery, OWN_ID).write();
    let own = BackplaneMessage::read(Channel::To(audience), &own, OWN_ID, Instant::now());
    assert!(matches!(own, Ok(BackplaneMessage::Own(None))), "{own:?}");
}
