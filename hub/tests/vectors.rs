//! Checks the conformance vectors. Each group is read as `decisions.md` 1 describes for a hub without methods.

mod contract;
mod vectors {
    pub(crate) mod framing;
    pub(crate) mod handshakes;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod meaning;
    pub(crate) mod messagepack;
    pub(crate) mod pushes;
    pub(crate) mod redis;
    pub(crate) mod session;
}

use contract::file;
use serde_json::Value;
use vectors::{framing, handshakes, http, json, messagepack, pushes, redis, session};

/// A check of one row, which panics if it fails.
type Check = fn(&Value);

/// The groups of vectors, each with the check of its rows.
const GROUPS: [(&str, Check); 32] = [
    ("messagepack_messages", messagepack::message),
    ("messagepack_spec_examples", messagepack::message),
    ("messagepack_sizes", messagepack::message),
    ("messagepack_invalid", messagepack::invalid),
    ("messagepack_binding_errors", messagepack::binding_error),
    ("messagepack_partial", messagepack::partial),
    ("messagepack_ts_client", messagepack::javascript_client_messages),
    ("messagepack_ts_client_rejects", messagepack::never_sent),
    ("varint_frames", framing::frame),
    ("varint_values", framing::value),
    ("varint_incomplete", framing::incomplete),
    ("varint_errors", framing::error),
    ("varint_ts_client_rejects", framing::never_sent),
    ("text_frames", framing::text),
    ("handshake_request_valid", handshakes::valid),
    ("handshake_request_incomplete", handshakes::incomplete),
    ("handshake_request_invalid", handshakes::invalid),
    ("handshake_response", handshakes::response),
    ("json_messages", json::message),
    ("json_out_of_order", json::message),
    ("json_sizes", json::message),
    ("json_invalid", json::invalid),
    ("json_binding_errors", json::binding_error),
    ("redis", redis::message),
    ("timestamps", pushes::timestamp),
    ("datetime_json", pushes::date),
    ("bitwarden_pushes", pushes::push),
    ("bitwarden_send_routing", pushes::sent),
    ("sse_events", http::event),
    ("negotiate_write", http::negotiation),
    ("close_messages_seen", session::close),
    ("unknown_method", session::unknown_method),
];

/// Groups that are not checked, each with the reason.
const SKIPPED: [(&str, &str); 2] = [
    ("negotiate_client_parse_valid", "our client does not negotiate"),
    ("negotiate_client_parse_invalid", "our client does not negotiate"),
];

#[test]
fn signalr_vectors_of_every_group_pass() {
    let vectors = file("signalr-vectors.json");
    let groups = vectors.as_object().expect("groups");
    for (name, rows) in groups.iter().filter(|(name, _)| *name != "meta") {
        if SKIPPED.iter().any(|(skipped, _)| skipped == name) {
            continue;
        }
        let (_, check) =
            GROUPS.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no check for the group {name}"));
        for row in rows.as_array().expect("rows") {
            let failed = std::panic::catch_unwind(|| check(row)).is_err();
            assert!(!failed, "{name}: {row}");
        }
        println!("{name}: {}", rows.as_array().map_or(0, Vec::len));
    }
    let known = GROUPS.iter().map(|(name, _)| name).chain(SKIPPED.iter().map(|(name, _)| name));
    known.for_each(|name| assert!(groups.contains_key(*name), "the file has no group {name}"));
}
