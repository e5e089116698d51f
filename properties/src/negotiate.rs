//! Checks a negotiation, from its query to the redemption of its connection token.

use notification_hub::auth::Query;
use notification_hub::http::connection_token_registry::{ConnectionTokenRegistry, TokenState};
use notification_hub::http::negotiate::response_body;
use notification_hub::signalr::Hub;
use notification_hub::signalr::Transport;
use serde_json::Value;

/// Checks that the answer is an error, or a supported version with a token that can be redeemed once, on its hub.
pub(crate) fn check(input: &[u8]) {
    // A registry remembers each token until it expires, so each input gets its own.
    let connection_tokens = ConnectionTokenRegistry::new(b"a key");
    let query = String::from_utf8_lossy(input);
    let requested = Query::parse(&query).joined("negotiateVersion");
    let answer = response_body(requested.as_deref(), "an id", &connection_tokens.issue(Hub::Main).expect("randomness"));
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let requested: Option<i32> = requested.map_or(Some(0), |requested| requested.trim().parse().ok());
    if answer["error"].is_string() {
        assert!(requested.is_none_or(|requested| requested < 0), "{answer}");
        return;
    }
    let version = answer["negotiateVersion"].as_i64().expect("a version");
    assert_eq!(Some(version), requested.map(|requested| requested.min(1).into()));
    let member = if version == 0 { "connectionId" } else { "connectionToken" };
    let token = answer[member].as_str().expect("a token");
    let states =
        [Hub::Anonymous, Hub::Main, Hub::Main].map(|hub| connection_tokens.redeem(token, hub, Transport::LongPolling));
    assert_eq!(states, [TokenState::Invalid, TokenState::Unused, TokenState::Used(Transport::LongPolling)]);
}
