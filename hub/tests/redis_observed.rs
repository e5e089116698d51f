//! Compares the channels and messages of this hub at Redis with the recorded ones of upstream (`recorded.json`). They differ on
//! purpose (`decisions.md` 9): this hub has no channels for connections, acknowledgements and results. It writes GUIDs in lower
//! case and publishes one more item.

mod contract;

use std::collections::BTreeSet;
use std::time::Instant;

use contract::{file, hex, text};
use notification_hub::auth::Principal;
use notification_hub::auth::claims::{Claims, ValidationRules};
use notification_hub::backplane::redis::wire::channel::{Channel, Channels, audiences};
use notification_hub::backplane::redis::wire::invocation::Invocation;
use notification_hub::backplane::redis::wire::message::BackplaneMessage;
use notification_hub::delivery::route;
use notification_hub::notification;
use notification_hub::reactor::Recipient;
use notification_hub::signalr::protocol::Protocol;
use serde_json::{Value, json};
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const INSTALLATION: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
const REQUEST: &str = "dddddddd-dddd-dddd-dddd-dddddddddddd";

const OWN: Uuid = Uuid::from_u128(1);

fn channels() -> Channels {
    Channels::new("Notifications")
}

fn user(device_type: &str) -> Principal {
    let claims = json!({ "sub": USER, "devicetype": device_type, "orguser": ORGANIZATION, "exp": 2, "scope": ["api"],
        "amr": ["Application"] });
    Principal::User(
        Claims::read(claims.to_string().as_bytes(), &ValidationRules::default(), None, 1.0).expect("claims").into(),
    )
}

/// Returns the channels that this hub subscribes to for these clients.
fn hub_channels(principals: &[Principal]) -> BTreeSet<String> {
    let installation = Some(INSTALLATION.parse().expect("a GUID"));
    let audiences = principals
        .iter()
        .map(Recipient::from)
        .flat_map(|recipient| audiences(&recipient, installation).collect::<Vec<_>>());
    let names = audiences.map(|audience| channels().name_for(audience).expect("a channel"));
    channels().always_subscribed().into_iter().chain(names).collect()
}

/// Returns the recorded channels of upstream that this hub has too.
fn recorded_channels(names: &Value) -> BTreeSet<String> {
    let names = names.as_array().expect("names").iter().map(|name| name.as_str().expect("a name"));
    let is_shared = |name: &&str| {
        let upstream_only = [":connection:", ":internal:ack:", ":internal:return:", "Booksleeve"];
        !upstream_only.iter().any(|part| name.contains(part))
    };
    names.filter(is_shared).map(|name| name.replace(":group:Ddd", ":group:ddd")).collect()
}

#[test]
fn subscribed_channels_match_upstream() {
    let observed = &file("recorded.json")["redis_observed"];
    let none = hub_channels(&[]);
    assert_eq!(none, recorded_channels(&observed["channels, nobody connected"]));
    assert_eq!(none, recorded_channels(&observed["channels, after everybody left"]));
    let web = user("ChromeBrowser");
    assert_eq!(
        hub_channels(std::slice::from_ref(&web)),
        recorded_channels(&observed["channels, one Web client of one organisation"])
    );
    let anonymous = Principal::Anonymous(Some(REQUEST.parse().expect("a GUID")));
    let all = hub_channels(&[web, user("Android"), anonymous]);
    assert_eq!(all, recorded_channels(&observed["channels, with a Mobile and an anonymous client"]));
    assert!(all.iter().all(|name| channels().read(name).is_some()));
}

#[test]
fn client_without_type_or_request_subscribes_to_fewer_channels() {
    let names = |principal: &Principal| -> Vec<String> {
        audiences(&principal.into(), None).map(|audience| channels().name_for(audience).expect("a channel")).collect()
    };
    let without_client_type = names(&user("SDK"));
    let prefix = "NotificationsBit.Notifications.NotificationsHub:";
    assert_eq!(
        without_client_type,
        [format!("{prefix}user:{USER}"), format!("{prefix}group:Organization_{ORGANIZATION}")]
    );
    assert_eq!(names(&Principal::Anonymous(None)), [""; 0]);
}

#[test]
fn published_pushes_match_upstream_with_one_more_item() {
    let file = file("recorded.json");
    let observed = file["redis_observed"].as_object().expect("observations");
    let mut pushes = 0;
    for (name, push) in observed.iter().filter(|(name, _)| name.starts_with("push ")) {
        let asked = push["asked"].to_string();
        let notification = notification::read(asked.as_bytes()).expect("well-formed").expect("a push");
        let sent = route::route(&notification, Instant::now());
        let published = push["published"].as_array().expect("publishes");
        assert_eq!(published.len(), 1, "{name}");
        let bytes = hex(text(&published[0], "hex"));
        assert_eq!(channels().name_for(sent.audience).as_deref(), published[0]["channel"].as_str(), "{name}");
        let expected = [b"\x93", &bytes[1..], b"\xc4\x10", OWN.as_bytes()].concat();
        assert_eq!(Invocation::from_delivery(&sent, OWN).write(), expected, "{name}");

        let channel = channels().read(text(&published[0], "channel")).expect("a channel");
        assert_eq!(channel, Channel::To(sent.audience));
        let Ok(BackplaneMessage::Foreign(received)) = BackplaneMessage::read(channel, &bytes, OWN, Instant::now())
        else {
            panic!("{name} is not a push");
        };
        assert_eq!(
            (received.audience, received.kind, received.device),
            (sent.audience, sent.kind, sent.device),
            "{name}"
        );
        assert_eq!((received.coalescible, received.covered), (sent.coalescible, sent.covered), "{name}");
        for protocol in Protocol::VARIANTS {
            let bytes =
                |of: &notification_hub::delivery::Delivery| of.frame(protocol).map(|frame| frame.bytes().to_vec());
            assert_eq!(bytes(&received), bytes(&sent), "{name}");
        }
        assert!(
            matches!(BackplaneMessage::read(channel, &expected, OWN, Instant::now()), Ok(BackplaneMessage::Own(None))),
            "{name}"
        );
        pushes += 1;
    }
    assert_eq!(pushes, 4);
}
