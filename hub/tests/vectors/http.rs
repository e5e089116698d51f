//! Server-Sent Events and negotiate responses.

use notification_hub::http::{negotiate, server_sent_events};
use serde_json::Value;

use crate::contract::text;

pub(crate) fn event(row: &Value) {
    let event = match row["payload"].as_str() {
        Some(payload) => server_sent_events::event(payload.as_bytes()),
        None => server_sent_events::PREAMBLE.to_vec(),
    };
    assert_eq!(String::from_utf8_lossy(&event), text(row, "event"));
}

/// Checks a negotiate response. Skips rows that no request to this hub leads to: an empty list of transports, and stateful
/// reconnects, which the hub declines.
pub(crate) fn negotiation(row: &Value) {
    let Some(request) = row["request"].as_str().filter(|request| !request.contains("useStatefulReconnect")) else {
        return;
    };
    let version = request.split_once("negotiateVersion=").map(|(_, version)| version);
    let (id, token) = match version {
        Some(_) => ("AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA"),
        None => ("", "AAAAAAAAAAAAAAAAAAAAAA"),
    };
    assert_eq!(negotiate::response_body(version, id, token), text(row, "text"));
}
