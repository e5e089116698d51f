//! Composes the JSON of a push as Bitwarden's API writes it. No I/O but random ids and the clock.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::notification::{ClientType, Date, FieldKind, PushType};

/// The description of a push to compose.
#[derive(Debug, Clone, Default)]
pub struct PushSpec {
    /// The push type, by name or number.
    pub kind: String,
    /// The user that the push is for.
    pub user: Option<Uuid>,
    /// The organization whose members the push is for.
    pub organization: Option<Uuid>,
    /// The installation whose users the push is for.
    pub installation: Option<Uuid>,
    /// The client type that the push is restricted to, by name.
    pub client_type: Option<String>,
    /// The id of the device that caused the push and ignores it.
    pub context_id: Option<String>,
    /// Members of the payload. They replace the generated ones.
    pub payload: Option<Value>,
}

/// The reason why a push cannot be composed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PushError {
    /// The push type is unknown.
    #[error("unknown push type {0:?}; give a number from 0 to 255 or a name such as SyncVault")]
    Kind(String),
    /// The client type is unknown.
    #[error("unknown client type {0:?}; give All, Web, Browser, Desktop, Mobile or Cli")]
    ClientType(String),
    /// The payload is not an object.
    #[error("the payload must be a JSON object")]
    Payload,
}

/// The JSON format of a push (`bitwarden.md` 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFormat {
    /// For `POST /send`: names in camel case, with nulls.
    Send,
    /// For a queue: names in Pascal case, without nulls.
    Queue,
}

impl PushSpec {
    /// Creates a push to the clients of a user.
    pub fn for_user(kind: &str, user: Uuid) -> PushSpec {
        PushSpec { kind: kind.to_owned(), user: Some(user), ..PushSpec::default() }
    }

    /// Creates a push to the clients of the members of an organization.
    pub fn for_organization(kind: &str, organization: Uuid) -> PushSpec {
        PushSpec { kind: kind.to_owned(), organization: Some(organization), ..PushSpec::default() }
    }

    /// Creates a push to all clients, if the hub serves this installation.
    pub fn for_installation(kind: &str, installation: Uuid) -> PushSpec {
        PushSpec { kind: kind.to_owned(), installation: Some(installation), ..PushSpec::default() }
    }

    /// Sets the id of the device that caused the push and ignores it.
    pub fn with_context_id(self, context_id: &str) -> PushSpec {
        PushSpec { context_id: Some(context_id.to_owned()), ..self }
    }

    /// Restricts the push to a client type.
    pub fn with_client_type(self, client_type: ClientType) -> PushSpec {
        PushSpec { client_type: Some(client_type.name().to_owned()), ..self }
    }

    /// Composes the JSON. Generates the id and dates that the push type has and the payload lacks.
    ///
    /// # Errors
    /// If the push type or the client type is unknown, or the payload is not an object.
    pub fn to_json(&self, format: PushFormat) -> Result<String, PushError> {
        let known = PushType::from_name(&self.kind);
        let number = known.map(|known| known.number).or_else(|| self.kind.parse().ok());
        let number = number.ok_or_else(|| PushError::Kind(self.kind.clone()))?;
        let mut payload = match &self.payload {
            None => Map::new(),
            Some(Value::Object(members)) => members.clone(),
            Some(_) => return Err(PushError::Payload),
        };
        let mut add = |name: &str, value: Value| {
            if !payload.keys().any(|key| key.eq_ignore_ascii_case(name)) {
                payload.insert(name.to_owned(), value);
            }
        };
        let ids = [("UserId", self.user), ("OrganizationId", self.organization), ("InstallationId", self.installation)];
        for (name, id) in ids {
            if let Some(id) = id {
                add(name, json!(id.to_string()));
            }
        }
        if let Some(name) = &self.client_type {
            let found = ClientType::VARIANTS.into_iter().find(|known| known.name().eq_ignore_ascii_case(name));
            add("ClientType", json!(found.ok_or_else(|| PushError::ClientType(name.clone()))? as u8));
        }
        for member in PushType::from_number(number).map_or(&[][..], |known| known.members) {
            match member.kind {
                FieldKind::Id if member.name == "Id" => add(member.name, json!(Uuid::new_v4().to_string())),
                FieldKind::Date | FieldKind::DateIfPresent | FieldKind::ExtraDate => {
                    add(member.name, json!(Date::now().to_string()))
                }
                _ => {}
            }
        }
        let push = json!({ "Type": number, "Payload": payload, "ContextId": self.context_id });
        Ok(escape_like_dotnet(&with_format(push, format).to_string()))
    }
}

/// Returns the value with the name case and the nulls of the format.
fn with_format(json: Value, format: PushFormat) -> Value {
    match json {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| format == PushFormat::Send || !value.is_null());
            Value::Object(kept.map(|(name, value)| (with_case(&name, format), with_format(value, format))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| with_format(item, format)).collect()),
        other => other,
    }
}

/// Returns the name with its first letter in the case of the format.
fn with_case(name: &str, format: PushFormat) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| match format {
        PushFormat::Send => first.to_ascii_lowercase(),
        PushFormat::Queue => first.to_ascii_uppercase(),
    });
    first.into_iter().chain(letters).collect()
}

/// Escapes JSON as .NET does by default. The result is ASCII, so XML, which the queue service uses, can hold it.
fn escape_like_dotnet(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&'"').is_some() => text.push_str("\\u0022"),
            '\\' => text.extend([letter].into_iter().chain(letters.next())),
            '<' | '>' | '&' | '\'' | '+' | '`' | '\u{7f}'.. => {
                let mut units = [0; 2];
                letter.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04X}")));
            }
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification;

    #[test]
    fn push_to_json_every_type_can_be_read() {
        let id = Some(Uuid::new_v4());
        let text = id.map(|id| id.to_string());
        for known in PushType::all() {
            let needed = json!({ "providerId": text, "adminId": text, "targetUserId": text,
                "targetOrganizationUserId": text, "policy": { "id": text, "organizationId": text } });
            let push = PushSpec {
                kind: known.name.to_owned(),
                user: id,
                organization: id,
                payload: Some(needed),
                ..PushSpec::default()
            };
            for format in [PushFormat::Send, PushFormat::Queue] {
                let text = push.to_json(format).expect("a known type");
                let read = notification::read(text.as_bytes()).expect(&text).expect("a push");
                assert_eq!(read.kind, known.number);
            }
        }
    }

    #[test]
    fn push_to_json_changes_only_name_case_and_nulls_of_the_payload() {
        let payload = Some(json!({ "USERID": "x", "a": { "b": null, "C": [null] } }));
        let push = PushSpec { payload, ..PushSpec::for_user("99", Uuid::nil()) };
        let expected = r#"{"type":99,"payload":{"uSERID":"x","a":{"b":null,"c":[null]}},"contextId":null}"#;
        assert_eq!(push.to_json(PushFormat::Send).as_deref(), Ok(expected));
        let expected = r#"{"Type":99,"Payload":{"USERID":"x","A":{"C":[null]}},"ContextId":"d"}"#;
        assert_eq!(push.with_context_id("d").to_json(PushFormat::Queue).as_deref(), Ok(expected));
    }

    #[test]
    fn push_to_json_escapes_like_dotnet() {
        let payload = Some(json!({ "Title": "a\"<>&'+`\\u{e4}\u{1f511}\u{ffff}\u{1}\n\\" }));
        let push =
            PushSpec { payload, ..PushSpec::for_installation("99", Uuid::nil()).with_client_type(ClientType::Web) };
        let text = push.to_json(PushFormat::Queue).expect("fine");
        let title = r#""a\u0022\u003C\u003E\u0026\u0027\u002B\u0060\\u{e4}\uD83D\uDD11\uFFFF\u0001\n\\""#;
        assert!(text.contains(title), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["Payload"]["ClientType"], 1);
    }

    #[test]
    fn push_to_json_invalid_push_is_an_error() {
        let kind = |kind: &str| PushSpec { kind: kind.to_owned(), ..PushSpec::default() };
        assert_eq!(kind("256").to_json(PushFormat::Send), Err(PushError::Kind("256".to_owned())));
        assert_eq!(kind("Sync").to_json(PushFormat::Send), Err(PushError::Kind("Sync".to_owned())));
        let client_type = Some("Fridge".to_owned());
        assert!(matches!(
            PushSpec { client_type, ..kind("20") }.to_json(PushFormat::Send),
            Err(PushError::ClientType(_))
        ));
        assert_eq!(
            PushSpec { payload: Some(json!([])), ..kind("5") }.to_json(PushFormat::Send),
            Err(PushError::Payload)
        );
    }
}
