//! A negotiation, from its query to the use of what it gives.

use notification_hub::auth::Query;
use notification_hub::http::connection_token_registry::{ConnectionTokenRegistry, TokenState};
use notification_hub::http::negotiate::response_body;
use notification_hub::signalr::Hub;
use notification_hub::signalr::Transport;
use serde_json::Value;

/// The answer is JSON: an error, or an offer of a version that is spoken with a token that is good once, on this hub.
pub(crate) fn check(input: &[u8]) {
    // One for all would remember each token for as long as it is good.
    let connection_tokens = ConnectionTokenRegistry::new(b"a key");
    let query = String::from_utf8_lossy(input);
    let asked = Query::parse(&query).joined("negotiateVersion");
    let answer = response_body(asked.as_deref(), "an id", &connection_tokens.issue(Hub::Main).expect("randomness"));
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let asked: Option<i32> = asked.map_or(Some(0), |asked| asked.trim().parse().ok());
    if answer["error"].is_string() {
        assert!(asked.is_none_or(|asked| asked < 0), "{answer}");
        return;
    }
    let version = answer["negotiateVersion"].as_i64().expect("a version");
    assert_eq!(Some(version), asked.map(|asked| asked.min(1).into()));
    let member = if version == 0 { "connectionId" } else { "connectionToken" };
    let token = answer[member].as_str().expect("a token");
    let taken =
        [Hub::Anonymous, Hub::Main, Hub::Main].map(|hub| connection_tokens.redeem(token, hub, Transport::LongPolling));
    assert_eq!(taken, [TokenState::Invalid, TokenState::Unused, TokenState::Used(Transport::LongPolling)]);
}
