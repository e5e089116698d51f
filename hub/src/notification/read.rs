//! Reads a push from the JSON of a sender, by the rules of `decisions.md` 2. No I/O.

use serde_json::value::RawValue;

use super::object::{Object, is_null, text};
use super::{Date, Notification, PushType, Value, forwarded, member};

/// The reason why a text is not a push, and the path of the member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct MalformedPush {
    path: String,
    reason: String,
}

impl MalformedPush {
    fn new(path: &str, reason: &str) -> MalformedPush {
        MalformedPush { path: path.to_owned(), reason: reason.to_owned() }
    }

    /// Creates an error about a value. [`MalformedPush::at_member`] adds its path.
    pub(super) fn without_path(reason: &str) -> MalformedPush {
        MalformedPush::new("", reason)
    }

    /// Returns the error with `name` in front of its path.
    pub(super) fn at_member(self, name: &str) -> MalformedPush {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        MalformedPush { path, ..self }
    }
}

/// Reads a push. Returns `None` for a blank text.
pub fn read(text: &[u8]) -> Result<Option<Notification>, MalformedPush> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = String::from_utf8_lossy(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let push: Object<'_> = serde_json::from_str(&text).map_err(|error| {
        let reason = if error.is_data() { "must be an object".to_owned() } else { error.to_string() };
        MalformedPush::new("push", &reason)
    })?;

    let kind = push.member("Type").and_then(|json| serde_json::from_str(json.get()).ok());
    let kind = kind.ok_or_else(|| MalformedPush::new("push.Type", "must be a number from 0 to 255"))?;
    let json = push.member("Payload").filter(|json| !is_null(json));
    let mut missing = Vec::new();
    let payload = match (PushType::from_number(kind), json) {
        (Some(known), json) => {
            let payload = json.and_then(object);
            let payload = payload.ok_or_else(|| MalformedPush::new("push.Payload", "must be an object"))?;
            let required = known.target.required_member();
            member::read(known.members, &payload, required, &mut missing)
                .map_err(|malformed| malformed.at_member("push.Payload"))?
        }
        (None, None) => Value::Null,
        (None, Some(json)) => {
            forwarded::read(json).map_err(|error| MalformedPush::new("push.Payload", &error.to_string()))?
        }
    };
    let context_id = match push.member("ContextId").filter(|json| !is_null(json)) {
        None => None,
        Some(json) => {
            let context_id =
                self::text(json).ok_or_else(|| MalformedPush::new("push.ContextId", "must be a string"))?;
            Some(context_id.into_owned())
        }
    };
    Ok(Some(Notification { kind, payload, context_id, missing }))
}

/// Reads a JSON object, or returns `None` for another value.
fn object(json: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(json.get()).ok()
}

impl Notification {
    /// Creates a `SyncVault` for a user, dated now. It replaces pushes that were dropped or missed.
    pub fn sync_vault(user: uuid::Uuid) -> Notification {
        let members = [("UserId", Value::Id(user)), ("Date", Value::Date(Date::now())), ("Reason", Value::Null)];
        let payload = Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect());
        Notification { kind: 5, payload, context_id: None, missing: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn read_blank_text_returns_none() {
        for text in ["", " \r\n", "\u{feff}"] {
            assert_eq!(read(text.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn read_duplicate_names_ignoring_case_uses_the_last() {
        let text = r#"{"TYPE":11,"pAyload":{"USERID":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
            "userId":"D2EA5B72-6D47-4D20-B5A3-B7A6E89D8E7C","reason":1}}"#;
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(
            push.payload.member("userid").and_then(Value::as_id).map(|id| id.to_string()).as_deref(),
            Some("d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c")
        );
    }

    #[test]
    fn read_name_given_three_times_uses_the_last() {
        let [a, b, c] = [1u128, 2, 3].map(|number| uuid::Uuid::from_u128(number).to_string());
        let text =
            format!(r#"{{"Type":11,"type":5,"Type":11,"payload":{{"userId":"{a}","userid":"{b}","userId":"{c}"}}}}"#);
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(push.kind, 11);
        assert_eq!(push.payload.member("UserId").and_then(Value::as_id), uuid::Uuid::try_parse(&c).ok());
        let text = format!(r#"{{"type":99,"payload":{{"userId":"{a}","x":1,"UserId":"{b}"}}}}"#);
        let push = read(text.as_bytes()).expect("well-formed").expect("a push");
        assert_eq!(push.payload.member("UserId").and_then(Value::as_id), uuid::Uuid::try_parse(&b).ok());
        assert!(matches!(&push.payload, Value::Object(members) if members.len() == 2));
    }

    #[test]
    fn read_invalid_push_error_names_path_and_expectation() {
        assert_eq!(error("[]"), "push: must be an object");
        assert_eq!(error("{}"), "push.Type: must be a number from 0 to 255");
        assert_eq!(error(r#"{"type":"11"}"#), "push.Type: must be a number from 0 to 255");
        assert_eq!(error(r#"{"type":256}"#), "push.Type: must be a number from 0 to 255");
        assert_eq!(error(r#"{"type":11}"#), "push.Payload: must be an object");
        assert_eq!(error(r#"{"type":11,"payload":{}}"#), "push.Payload.UserId: must be a GUID with hyphens");
        assert_eq!(
            error(r#"{"type":11,"payload":{"userId":"d2ea5b726d474d20b5a3b7a6e89d8e7c"}}"#),
            "push.Payload.UserId: must be a GUID with hyphens"
        );
        assert!(error("{\"type\":11,}").starts_with("push: trailing comma"));
        assert!(
            error(r#"{"type":25,"payload":{"organizationId":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"}}"#)
                .starts_with("push.Payload.Policy: must be an object")
        );
    }

    #[test]
    fn read_missing_member_has_its_default_and_is_reported() {
        let read = |text: &str| read(text.as_bytes()).expect(text).expect("a push");
        let user = r#""userId":"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c""#;
        let push = read(&format!(r#"{{"type":26,"payload":{{{user},"organizationId":"{}"}}}}"#, uuid::Uuid::max()));
        assert_eq!(push.missing, ["TargetUserId", "TargetOrganizationUserId"]);
        assert_eq!(push.payload.member("TargetUserId"), Some(&Value::Id(uuid::Uuid::nil())));

        let push = read(&format!(r#"{{"type":7,"payload":{{{user}}}}}"#));
        assert_eq!(push.missing, ["Id", "RevisionDate"]);
        assert_eq!(push.payload.member("RevisionDate"), Some(&Value::Date(Date::DOTNET_DEFAULT)));

        let organization = format!(r#""organizationId":"{}""#, uuid::Uuid::max());
        let push = read(&format!(r#"{{"type":25,"payload":{{{organization},"policy":{{{organization}}}}}}}"#));
        assert_eq!(push.missing, ["Id", "Type", "Enabled"]);
        let push = read(&format!(r#"{{"type":25,"payload":{{{organization},"policy":null}}}}"#));
        assert_eq!((push.payload.member("Policy"), push.missing), (Some(&Value::Null), Vec::new()));

        let push = read(&format!(r#"{{"type":19,"payload":{{{organization}}}}}"#));
        assert_eq!((push.payload.member("Enabled"), push.missing), (Some(&Value::Bool(false)), Vec::new()));
        let push =
            read(&format!(r#"{{"type":0,"payload":{{"id":"{}","revisionDate":"2024-01-01"}}}}"#, uuid::Uuid::max()));
        assert_eq!(push.missing, [""; 0], "ids that may be null may be missing");
    }

    #[test]
    fn read_invalid_ignored_member_does_not_reject_the_push() {
        let user = r#""userId":"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c""#;
        for value in ["null", "7", "\"soon\"", "{}", r#""\ud800""#] {
            let text = format!(r#"{{"type":5,"payload":{{{user},"date":{value},"title":{value}}}}}"#);
            let push = read(text.as_bytes()).expect(&text).expect("a push");
            assert_eq!(push.payload.member("Date"), None, "{text}");
        }
        let text = format!(r#"{{"type":5,"payload":{{{user},"date":"2024-01-01"}}}}"#);
        let push = read(text.as_bytes()).expect(&text).expect("a push");
        assert!(matches!(push.payload.member("Date"), Some(Value::Date(_))));
        assert!(
            error(&format!(r#"{{"type":5,"payload":{{{user},"reason":"x"}}}}"#)).starts_with("push.Payload.Reason: ")
        );
    }

    #[test]
    fn read_unknown_type_keeps_its_members() {
        let push = read(br#"{"type":99,"payload":{"b":1,"a":[null,"2024-01-01"]}}"#).expect("fine").expect("a push");
        let list = Value::Array(vec![Value::Null, Value::String("2024-01-01".into())]);
        assert_eq!(push.payload, Value::Object(vec![("b".into(), Value::Number(1.into())), ("a".into(), list)]));
        for payload in ["null", "7", "\"text\"", "[]"] {
            assert!(
                matches!(read(format!(r#"{{"type":99,"payload":{payload}}}"#).as_bytes()), Ok(Some(_))),
                "{payload}"
            );
        }
        assert!(matches!(read(br#"{"type":99}"#), Ok(Some(_))));
    }

    #[test]
    fn read_floating_point_number_keeps_its_value() {
        let push = read(br#"{"type":99,"payload":{"n":8.88888888888889e70}}"#).expect("fine").expect("a push");
        let number = push.payload.member("n").cloned();
        assert_eq!(number, serde_json::Number::from_f64(8.88888888888889e70).map(Value::Number));
    }

    #[test]
    fn read_payload_nested_too_deep_is_rejected() {
        let nested =
            |depth: usize| format!(r#"{{"type":99,"payload":{{"a":{}1{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(read(nested(forwarded::MAX_DEPTH - 1).as_bytes()), Ok(Some(_))));
        assert!(error(&nested(forwarded::MAX_DEPTH)).starts_with("push.Payload: nested more than 60 levels deep"));
    }

    #[test]
    fn read_payload_of_100000_members_succeeds() {
        let members: Vec<String> = (0..100_000).map(|number| format!("\"a{number:05}\":0")).collect();
        let push = read(format!("{{\"type\":99,\"payload\":{{{}}}}}", members.join(",")).as_bytes());
        assert!(
            matches!(push, Ok(Some(Notification { payload: Value::Object(kept), .. })) if kept.len() == members.len())
        );
    }

    #[test]
    fn read_invalid_utf8_becomes_replacement_character() {
        let push = read(b"{\"type\":99,\"contextId\":\"a\xff\"}").expect("fine").expect("a push");
        assert_eq!(push.context_id.as_deref(), Some("a\u{fffd}"));
    }
}
