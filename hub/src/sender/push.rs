//! Composes the text of a push as Bitwarden's API writes it. Pure, but for new ids and the clock.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::notification::{ClientType, Date, Kind, PushType};

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

impl Push {
    /// The text. What the type requires and nobody gave, a new id or the present date, is made up.
    ///
    /// # Errors
    /// If there is no such type or kind of client, or the payload is no object.
    pub fn text(&self) -> Result<String, PushError> {
        let known = PushType::named(&self.kind);
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
        let ids = [("userId", self.user), ("organizationId", self.organization), ("installationId", self.installation)];
        for (name, id) in ids {
            if let Some(id) = id {
                add(name, json!(id.to_string()));
            }
        }
        if let Some(name) = &self.client_type {
            let found = ClientType::EVERY.into_iter().find(|known| known.name().eq_ignore_ascii_case(name));
            add("clientType", json!(found.ok_or_else(|| PushError::ClientType(name.clone()))? as u8));
        }
        for member in PushType::of(number).map_or(&[][..], |known| known.members) {
            let name = format!("{}{}", member.name[..1].to_ascii_lowercase(), &member.name[1..]);
            match member.kind {
                Kind::Id if member.name == "Id" => add(&name, json!(Uuid::new_v4().to_string())),
                Kind::Date | Kind::GivenDate => add(&name, json!(Date::now().to_string())),
                _ => {}
            }
        }
        Ok(json!({ "type": number, "payload": payload, "contextId": self.context_id }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification;

    #[test]
    fn every_type_to_a_user_or_an_organization_can_be_read_again() {
        let id = Some(Uuid::new_v4());
        let text = id.map(|id| id.to_string());
        for known in PushType::every() {
            let needed = json!({ "providerId": text, "adminId": text, "targetUserId": text,
                "targetOrganizationUserId": text, "policy": { "id": text, "organizationId": text } });
            let push = Push {
                kind: known.name.to_owned(),
                user: id,
                organization: id,
                payload: Some(needed),
                ..Push::default()
            };
            let text = push.text().expect("a known type");
            let read = notification::read(text.as_bytes()).expect(&text).expect("a push");
            assert_eq!(read.kind, known.number);
        }
    }

    #[test]
    fn what_is_given_stays() {
        let payload = Some(json!({ "USERID": "x", "a": 1 }));
        let push = Push { kind: "99".to_owned(), user: Some(Uuid::nil()), payload, ..Push::default() };
        assert_eq!(push.text().as_deref(), Ok(r#"{"type":99,"payload":{"USERID":"x","a":1},"contextId":null}"#));
    }

    #[test]
    fn errors_say_what_is_possible() {
        let kind = |kind: &str| Push { kind: kind.to_owned(), ..Push::default() };
        assert_eq!(kind("256").text(), Err(PushError::Kind("256".to_owned())));
        assert_eq!(kind("Sync").text(), Err(PushError::Kind("Sync".to_owned())));
        let client_type = Some("Fridge".to_owned());
        assert!(matches!(Push { client_type, ..kind("20") }.text(), Err(PushError::ClientType(_))));
        assert_eq!(Push { payload: Some(json!([])), ..kind("5") }.text(), Err(PushError::Payload));
    }
}
