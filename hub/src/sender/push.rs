//! Composes the text of a push as Bitwarden's API writes it. No I/O but new ids and the clock.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::notification::{ClientType, Date, FieldKind, PushType};

/// What a push is to say.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// The type, by name or number.
    pub kind: String,
    /// For whom.
    pub user: Option<Uuid>,
    /// For whose members.
    pub organization: Option<Uuid>,
    /// For whose users.
    pub installation: Option<Uuid>,
    /// For which kind of client, by name.
    pub client_type: Option<String>,
    /// The device that caused it and will ignore it.
    pub context_id: Option<String>,
    /// Members of the payload, over those that are made up.
    pub payload: Option<Value>,
}

/// Why a push could not be composed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PushError {
    /// No such type.
    #[error("{0:?} is no type of push: give a number from 0 to 255 or a name such as SyncVault")]
    Kind(String),
    /// No such kind of client.
    #[error("{0:?} is no kind of client: give All, Web, Browser, Desktop, Mobile or Cli")]
    ClientType(String),
    /// The payload is no object.
    #[error("the payload has to be a JSON object")]
    Payload,
}

/// How a sender writes (`bitwarden.md` 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For `POST /send`: names in camel case, nulls written.
    Send,
    /// For a queue: names in Pascal case, nulls left out.
    Queue,
}

impl Push {
    /// A push to a user's clients.
    pub fn to_user(kind: &str, user: Uuid) -> Push {
        Push { kind: kind.to_owned(), user: Some(user), ..Push::default() }
    }

    /// A push to the clients of an organisation's members.
    pub fn to_organization(kind: &str, organization: Uuid) -> Push {
        Push { kind: kind.to_owned(), organization: Some(organization), ..Push::default() }
    }

    /// A push to everybody, if the hub serves this installation.
    pub fn to_installation(kind: &str, installation: Uuid) -> Push {
        Push { kind: kind.to_owned(), installation: Some(installation), ..Push::default() }
    }

    /// The same, but the device that caused it ignores it.
    pub fn excluding(self, context_id: &str) -> Push {
        Push { context_id: Some(context_id.to_owned()), ..self }
    }

    /// The same, to one kind of client only.
    pub fn only_client_type(self, client_type: ClientType) -> Push {
        Push { client_type: Some(client_type.name().to_owned()), ..self }
    }

    /// The text. What the type requires and nobody gave, a new id or the present date, is made up.
    ///
    /// # Errors
    /// If there is no such type or kind of client, or the payload is no object.
    pub fn text(&self, style: Style) -> Result<String, PushError> {
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
        Ok(escaped(&styled(push, style).to_string()))
    }
}

/// The same JSON with its members' names and nulls as the style has them.
fn styled(json: Value, style: Style) -> Value {
    match json {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| style == Style::Send || !value.is_null());
            Value::Object(kept.map(|(name, value)| (cased(&name, style), styled(value, style))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| styled(item, style)).collect()),
        other => other,
    }
}

fn cased(name: &str, style: Style) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| match style {
        Style::Send => first.to_ascii_lowercase(),
        Style::Queue => first.to_ascii_uppercase(),
    });
    first.into_iter().chain(letters).collect()
}

/// JSON as .NET escapes it by default. What is left is ASCII, and can stand in XML, which not every letter can.
fn escaped(json: &str) -> String {
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
    fn push_text_of_every_type_can_be_read() {
        let id = Some(Uuid::new_v4());
        let text = id.map(|id| id.to_string());
        for known in PushType::all() {
            let needed = json!({ "providerId": text, "adminId": text, "targetUserId": text,
                "targetOrganizationUserId": text, "policy": { "id": text, "organizationId": text } });
            let push = Push {
                kind: known.name.to_owned(),
                user: id,
                organization: id,
                payload: Some(needed),
                ..Push::default()
            };
            for style in [Style::Send, Style::Queue] {
                let text = push.text(style).expect("a known type");
                let read = notification::read(text.as_bytes()).expect(&text).expect("a push");
                assert_eq!(read.kind, known.number);
            }
        }
    }

    #[test]
    fn push_text_keeps_payload_except_name_case_and_nulls() {
        let payload = Some(json!({ "USERID": "x", "a": { "b": null, "C": [null] } }));
        let push = Push { payload, ..Push::to_user("99", Uuid::nil()) };
        let expected = r#"{"type":99,"payload":{"uSERID":"x","a":{"b":null,"c":[null]}},"contextId":null}"#;
        assert_eq!(push.text(Style::Send).as_deref(), Ok(expected));
        let expected = r#"{"Type":99,"Payload":{"USERID":"x","A":{"C":[null]}},"ContextId":"d"}"#;
        assert_eq!(push.excluding("d").text(Style::Queue).as_deref(), Ok(expected));
    }

    #[test]
    fn push_text_escapes_like_dotnet() {
        let payload = Some(json!({ "Title": "a\"<>&'+`\\u{e4}\u{1f511}\u{ffff}\u{1}\n\\" }));
        let push = Push { payload, ..Push::to_installation("99", Uuid::nil()).only_client_type(ClientType::Web) };
        let text = push.text(Style::Queue).expect("fine");
        let title = r#""a\u0022\u003C\u003E\u0026\u0027\u002B\u0060\\u{e4}\uD83D\uDD11\uFFFF\u0001\n\\""#;
        assert!(text.contains(title), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["Payload"]["ClientType"], 1);
    }

    #[test]
    fn push_text_of_invalid_push_is_an_error() {
        let kind = |kind: &str| Push { kind: kind.to_owned(), ..Push::default() };
        assert_eq!(kind("256").text(Style::Send), Err(PushError::Kind("256".to_owned())));
        assert_eq!(kind("Sync").text(Style::Send), Err(PushError::Kind("Sync".to_owned())));
        let client_type = Some("Fridge".to_owned());
        assert!(matches!(Push { client_type, ..kind("20") }.text(Style::Send), Err(PushError::ClientType(_))));
        assert_eq!(Push { payload: Some(json!([])), ..kind("5") }.text(Style::Send), Err(PushError::Payload));
    }
}
