//! Reads a push from the text that a sender wrote, by the rules of `decisions.md` 2.

use std::collections::HashSet;

use super::json::Json;
use super::{Date, Notification, PushType, Value, member};

/// Why a text is no push: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Malformed {
    path: String,
    reason: String,
}

impl Malformed {
    pub(super) fn new(path: &str, reason: &str) -> Malformed {
        Malformed { path: path.to_owned(), reason: reason.to_owned() }
    }
}

/// How deep the payload of an unknown type may be nested, itself included: clients read messages up to 64 deep, and in a
/// message a payload is the fourth.
const DEEPEST: usize = 60;

/// Reads a push; nothing for a blank text.
pub fn read(text: &[u8]) -> Result<Option<Notification>, Malformed> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = String::from_utf8_lossy(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let json: Json = serde_json::from_str(&text).map_err(|error| Malformed::new("push", &error.to_string()))?;
    if !json.is_object() {
        return Err(Malformed::new("push", "an object is needed"));
    }
    let member = |name: &str| json.member(name).unwrap_or(&Json::Null);

    let kind = member("type").as_u64().and_then(|number| u8::try_from(number).ok());
    let kind = kind.ok_or_else(|| Malformed::new("push.Type", "a number from 0 to 255 is needed here"))?;
    let payload = match (PushType::of(kind), member("payload")) {
        (Some(known), payload) => member::read(known.members, payload, "push.Payload")?,
        (None, Json::Null) => Value::Null,
        (None, payload) if payload.depth() > DEEPEST => {
            return Err(Malformed::new("push.Payload", "it is nested too deep"));
        }
        (None, payload @ Json::Object(_)) => as_it_came(payload),
        (None, _) => return Err(Malformed::new("push.Payload", "an object is needed here")),
    };
    let context_id = match member("contextId") {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        _ => return Err(Malformed::new("push.ContextId", "a text is needed here")),
    };
    Ok(Some(Notification { kind, payload, context_id }))
}

/// The payload of a type that is not in the catalogue: members in their order, texts left texts. Of several members whose
/// names are the same in a frame the last counts.
fn as_it_came(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(as_it_came).collect()),
        Json::Object(members) => {
            let mut later = HashSet::new();
            let counting = members.iter().rev().filter(|(name, _)| later.insert(name.to_ascii_lowercase()));
            let mut counting: Vec<_> = counting.map(|(name, value)| (name.clone().into(), as_it_came(value))).collect();
            counting.reverse();
            Value::Map(counting)
        }
    }
}

impl Notification {
    /// A `SyncVault` for a user, dated now: what makes up for pushes that were dropped or missed.
    pub fn sync_vault(user: uuid::Uuid) -> Notification {
        let members = [("UserId", Value::Id(user)), ("Date", Value::Date(Date::now())), ("Reason", Value::Null)];
        let payload = Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect());
        Notification { kind: 5, payload, context_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn blank_is_nothing() {
        for text in ["", " \r\n", "\u{feff}"] {
            assert_eq!(read(text.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn names_in_any_case_and_the_last_of_several() {
        let text = r#"{"TYPE":11,"pAyload":{"USERID":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
            "userId":"D2EA5B72-6D47-4D20-B5A3-B7A6E89D8E7C","reason":1}}"#;
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(
            push.payload.member("userid").and_then(Value::as_id).map(|id| id.to_string()).as_deref(),
            Some("d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c")
        );
    }

    #[test]
    fn of_three_the_last_counts_also_if_it_repeats_the_first() {
        let [a, b, c] = [1u128, 2, 3].map(|number| uuid::Uuid::from_u128(number).to_string());
        let text =
            format!(r#"{{"Type":11,"type":5,"Type":11,"payload":{{"userId":"{a}","userid":"{b}","userId":"{c}"}}}}"#);
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(push.kind, 11);
        assert_eq!(push.payload.member("UserId").and_then(Value::as_id), uuid::Uuid::try_parse(&c).ok());
        let text = format!(r#"{{"type":99,"payload":{{"userId":"{a}","x":1,"UserId":"{b}"}}}}"#);
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(push.payload.member("UserId").and_then(Value::as_id), uuid::Uuid::try_parse(&b).ok());
        assert!(matches!(&push.payload, Value::Map(members) if members.len() == 2));
    }

    #[test]
    fn errors_say_what_and_where() {
        assert_eq!(error("[]"), "push: an object is needed");
        assert_eq!(error("{}"), "push.Type: a number from 0 to 255 is needed here");
        assert_eq!(error(r#"{"type":"11"}"#), "push.Type: a number from 0 to 255 is needed here");
        assert_eq!(error(r#"{"type":256}"#), "push.Type: a number from 0 to 255 is needed here");
        assert_eq!(error(r#"{"type":11}"#), "push.Payload: an object is needed here");
        assert_eq!(error(r#"{"type":11,"payload":{}}"#), "push.Payload.UserId: a GUID with hyphens is needed here");
        assert_eq!(
            error(r#"{"type":11,"payload":{"userId":"d2ea5b726d474d20b5a3b7a6e89d8e7c"}}"#),
            "push.Payload.UserId: a GUID with hyphens is needed here"
        );
        assert!(error("{\"type\":11,}").starts_with("push: trailing comma"));
        assert!(
            error(r#"{"type":25,"payload":{"organizationId":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"}}"#)
                .starts_with("push.Payload.Policy: an object")
        );
    }

    #[test]
    fn unknown_types_keep_their_members() {
        let push = read(br#"{"type":99,"payload":{"b":1,"a":[null,"2024-01-01"]}}"#).expect("fine").expect("a push");
        let list = Value::List(vec![Value::Null, Value::Text("2024-01-01".into())]);
        assert_eq!(push.payload, Value::Map(vec![("b".into(), Value::Number(1.into())), ("a".into(), list)]));
        assert!(matches!(read(br#"{"type":99}"#), Ok(Some(_))));
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let push = read(br#"{"type":99,"payload":{"n":8.88888888888889e70}}"#).expect("fine").expect("a push");
        let number = push.payload.member("n").cloned();
        assert_eq!(number, serde_json::Number::from_f64(8.88888888888889e70).map(Value::Number));
    }

    #[test]
    fn a_payload_that_clients_could_not_read_is_refused() {
        let nested =
            |depth: usize| format!(r#"{{"type":99,"payload":{{"a":{}1{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(read(nested(DEEPEST - 1).as_bytes()), Ok(Some(_))));
        assert_eq!(error(&nested(DEEPEST)), "push.Payload: it is nested too deep");
    }

    #[test]
    fn a_payload_of_very_many_members_is_read_at_once() {
        let members: Vec<String> = (0..100_000).map(|number| format!("\"a{number:05}\":0")).collect();
        let push = read(format!("{{\"type\":99,\"payload\":{{{}}}}}", members.join(",")).as_bytes());
        assert!(
            matches!(push, Ok(Some(Notification { payload: Value::Map(kept), .. })) if kept.len() == members.len())
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        let push = read(b"{\"type\":99,\"contextId\":\"a\xff\"}").expect("fine").expect("a push");
        assert_eq!(push.context_id.as_deref(), Some("a\u{fffd}"));
    }
}
