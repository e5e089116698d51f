//! The recorded cases that this hub answers differently from upstream on purpose (`decisions.md` 9).

use serde_json::{Value, json};

const ANY: &[&str] = &[];

/// Cases that are played only at real speed, with the reason.
const REAL_SPEED_ONLY: [(&str, &[&str], &str); 1] =
    [("timers", &["negotiated and used after 20 s"], "the lifetime of a connection token is not configurable")];

/// Returns whether a case can be played at a higher speed than the real one.
pub(crate) fn can_be_accelerated(group: &str, case: &str) -> bool {
    !REAL_SPEED_ONLY.iter().any(|(of, cases, _)| *of == group && covers(cases, case))
}

/// Returns the cases of the tables that are not in the recording.
pub(crate) fn unknown_cases(cases: &Value) -> Vec<String> {
    let named = REAL_SPEED_ONLY.iter().map(|(group, names, _)| (*group, *names));
    let responses = RESPONSES.iter().map(|(group, names, _)| (*group, *names));
    let seen = FRAMES.iter().map(|(group, name, _)| (*group, std::slice::from_ref(name)));
    let all = named.chain(responses).chain(seen);
    let all = all.flat_map(|(group, names)| names.iter().map(move |name| (group, *name)));
    all.filter(|(group, name)| cases[*group].get(*name).is_none()).map(|both| format!("{both:?}")).collect()
}

fn covers(cases: &[&str], case: &str) -> bool {
    cases.is_empty() || cases.contains(&case)
}

/// Returns the answer of this hub for the recorded one.
type Override = fn(&Value) -> Value;

/// The HTTP answers that differ, by group and cases. The first entry that covers a case counts.
const RESPONSES: [(&str, &[&str], Override); 8] = [
    (
        "upgrade",
        &["negotiated id on the other hub"],
        |_| json!({"status": 404, "headers": [], "body": "No Connection with that ID"}),
    ),
    ("send", &["null", "type missing", "userId missing"], |_| malformed()),
    // Malformed bodies.
    ("send", ANY, |recorded| if recorded["status"] == 500 { malformed() } else { recorded.clone() }),
    (
        "hub",
        &[
            "GET without id, no token",
            "GET without id",
            "GET, trailing slash",
            "GET, upper-case path",
            "GET without id on the anonymous hub",
        ],
        |_| json!({"status": 400, "headers": no_cache(), "body": {"error": "Connection ID required"}}),
    ),
    ("plain", &["alive HEAD"], |_| json!({"status": 200})),
    ("plain", &["unknown path"], |_| json!({"status": 404})),
    (
        "upgrade",
        &["version 8", "no version"],
        |_| json!({"status": 426, "headers": [content_type(), ["sec-websocket-version", "13"]], "body": {"error": ""}}),
    ),
    (
        "upgrade",
        &["no key", "short key"],
        |_| json!({"status": 400, "headers": [content_type()], "body": {"error": "Sec-WebSocket-Key"}}),
    ),
];

fn malformed() -> Value {
    json!({"status": 400, "headers": [content_type()], "body": {"error": ""}})
}

fn content_type() -> Value {
    json!(["content-type", "application/json; charset=utf-8"])
}

fn no_cache() -> Value {
    json!([
        ["cache-control", "no-cache, no-store"],
        content_type(),
        ["expires", "Thu, 01 Jan 1970 00:00:00 GMT"],
        ["pragma", "no-cache"]
    ])
}

/// Returns another answer that a read may have. A poll that is under way when its client ends the connection may get either.
pub(crate) fn alternative(group: &str, case: &str, step: &Value) -> Option<Value> {
    let ended = group == "longpolling" && case.starts_with("a whole life") && step["name"] == "second";
    ended.then(|| json!({"status": 204, "body": "", "ended": true}))
}

/// Returns the expected answer to a request or an upgrade.
pub(crate) fn expected_response(group: &str, case: &str, recorded: &Value) -> Value {
    match RESPONSES.iter().find(|(of, cases, _)| *of == group && covers(cases, case)) {
        Some((.., replace)) => replace(recorded),
        None => recorded.clone(),
    }
}

const CALLED: &str = r#"[{"text": "{\"type\":3,\"invocationId\":\"7\",\"error\":\"Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.\"}"}]"#;
const CALLED_IN_MESSAGEPACK: &str = r#"[{"binary": "950380a13701d95b4661696c656420746f20696e766f6b6520274e6f7065272064756520746f20616e206572726f72206f6e20746865207365727665722e20487562457863657074696f6e3a204d6574686f6420646f6573206e6f742065786973742e"}]"#;
const CLOSED_IN_MESSAGEPACK: &str =
    r#"[{"binary": "9307d920436f6e6e656374696f6e20636c6f736564207769746820616e206572726f722ec3"}, {"close": 1000}]"#;
const LOGGED_OUT: &str = r#"[{"text": "{\"type\":1,\"target\":\"ReceiveMessage\",\"arguments\":[{\"type\":11,\"payload\":{\"userId\":\"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c\",\"reason\":null},\"contextId\":null}]}"}]"#;
const TYPE_200: &str = r#"[{"text": "{\"type\":1,\"target\":\"ReceiveMessage\",\"arguments\":[{\"type\":200,\"payload\":{\"userId\":\"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c\"},\"contextId\":null}]}"}]"#;

/// The frames that differ, by group and case.
const FRAMES: [(&str, &str, &str); 7] = [
    // This hub skips a message of unknown type. Upstream reads nothing after it.
    ("json", "unknown type, then a call", CALLED),
    ("messagepack", "unknown type, then a call", CALLED_IN_MESSAGEPACK),
    // This hub closes the connection after the length. Upstream waits for the message.
    ("messagepack", "length of 32769 and nothing else", CLOSED_IN_MESSAGEPACK),
    ("websocket", "unmasked frame", r#"[{"close": 1002}]"#),
    // This hub finds the audience of unknown types by their members.
    ("send", "heard: type 200 to a user", TYPE_200),
    // This hub compares GUIDs in any case and ignores a claim that is not a GUID.
    ("send", "heard: user push, sub upper-case", LOGGED_OUT),
    ("send", "heard: organisation push, organisation no GUID", "[]"),
];

/// Returns the frames that a client must receive. The end of the TCP connection is left out, because its time may differ.
pub(crate) fn expected_frames(group: &str, case: &str, recorded: &Value) -> Vec<Value> {
    let replaced = FRAMES.iter().find(|(of, name, _)| *of == group && *name == case);
    let frames = replaced.map_or(recorded.clone(), |(.., json)| serde_json::from_str(json).expect("the table is JSON"));
    frames.as_array().into_iter().flatten().filter(|entry| entry.get("end").is_none()).cloned().collect()
}
