//! Finds the audience of a push and encodes its frames (`bitwarden.md` 5.2 and 5.3). No I/O.

use std::time::Instant;

use uuid::Uuid;

use crate::delivery::{Audience, Delivery};
use crate::notification::{ClientType, Device, Notification, Target, Value};
use crate::signalr::protocol::{self, AUTH_REQUEST_RESPONSE, Protocol, RECEIVE_MESSAGE, ServerMessage};
use crate::websocket::Frame;

/// Finds the audience of a push and encodes it for both protocols.
pub fn route(notification: &Notification, since: Instant) -> Delivery {
    let audience = audience(notification);
    let target = match audience {
        Audience::LoginRequest(_) => AUTH_REQUEST_RESPONSE,
        _ => RECEIVE_MESSAGE,
    };
    let message = ServerMessage::Push { target, notification };
    let frame = |protocol| Frame::new(protocol, &protocol::encode(protocol, message));
    Delivery::new(audience, notification.kind, since, frame)
        .with_device(notification.context_id.as_deref().map(Device::from_id))
}

/// Returns the frame that makes a client of a user fetch everything: a `SyncVault`.
pub fn sync_frame(user: Uuid, protocol: Protocol) -> Frame {
    let notification = Notification::sync_vault(user);
    let message = ServerMessage::Push { target: RECEIVE_MESSAGE, notification: &notification };
    Frame::new(protocol, &protocol::encode(protocol, message))
}

/// Returns the audience of a push.
pub fn audience(notification: &Notification) -> Audience {
    let id = |member: &str| notification.payload.member(member).and_then(Value::as_id);
    match notification.push_type().map(|push_type| push_type.target) {
        Some(Target::User(member)) => id(member).map_or(Audience::None, |user| Audience::User(user, ClientType::All)),
        Some(Target::Organization) => most_specific([None, None, id("OrganizationId")], ClientType::All),
        Some(Target::UserOrOrganization) => most_specific([None, id("UserId"), id("OrganizationId")], ClientType::All),
        Some(Target::ByClientType) => {
            let client_type = notification.payload.member("ClientType").and_then(|value| match value {
                Value::Number(number) => ClientType::from_number(number.as_u64()?),
                _ => None,
            });
            // A client type that does not exist has no connections.
            client_type.map_or(Audience::None, |client_type| most_specific(target_ids(id), client_type))
        }
        Some(Target::LoginRequest) => id("Id").map_or(Audience::None, Audience::LoginRequest),
        None => most_specific(target_ids(id), ClientType::All),
    }
}

/// Returns the ids that may address a push: of the installation, the user and the organization.
fn target_ids(id: impl Fn(&str) -> Option<Uuid>) -> [Option<Uuid>; 3] {
    [id("InstallationId"), id("UserId"), id("OrganizationId")]
}

/// Returns the audience of the first id that is there, or [`Audience::None`].
fn most_specific([installation, user, organization]: [Option<Uuid>; 3], client_type: ClientType) -> Audience {
    match (installation, user, organization) {
        (Some(installation), _, _) => Audience::Installation(installation, client_type),
        (None, Some(user), _) => Audience::User(user, client_type),
        (None, None, Some(organization)) => Audience::Organization(organization, client_type),
        (None, None, None) => Audience::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification;
    use serde_json::{Value as Json, json};

    const USER: Uuid = Uuid::from_u128(1);
    const ORGANIZATION: Uuid = Uuid::from_u128(2);
    const INSTALLATION: Uuid = Uuid::from_u128(3);

    /// Returns the audience of a push of type 20 (`Notification`) with these members.
    fn audience_of(client_type: ClientType, members: Json) -> Audience {
        let mut payload = json!({ "id": Uuid::nil().to_string(), "global": members.as_object().is_some_and(|all| all.is_empty()),
            "clientType": client_type as u8 });
        for (name, value) in members.as_object().expect("members") {
            payload[name] = value.clone();
        }
        let text = json!({ "type": 20, "payload": payload }).to_string();
        audience(&notification::read(text.as_bytes()).expect("well-formed").expect("a push"))
    }

    #[test]
    fn audience_precedence_is_installation_user_organization() {
        let (user, organization) = (USER.to_string(), ORGANIZATION.to_string());
        for client_type in ClientType::VARIANTS {
            let audience = |members| audience_of(client_type, members);
            let installation = INSTALLATION.to_string();
            let all = json!({ "installationId": installation, "userId": user, "organizationId": organization });
            assert_eq!(audience(all), Audience::Installation(INSTALLATION, client_type));
            let both = json!({ "userId": user, "organizationId": organization });
            assert_eq!(audience(both), Audience::User(USER, client_type));
            assert_eq!(audience(json!({ "userId": user })), Audience::User(USER, client_type));
            let one = json!({ "organizationId": organization });
            assert_eq!(audience(one), Audience::Organization(ORGANIZATION, client_type));
            assert_eq!(audience(json!({})), Audience::None, "global alone names no target");
        }
    }

    #[test]
    fn audience_unknown_or_provider_type_follows_payload_ids() {
        let audience_of = |text: Json| {
            audience(&notification::read(text.to_string().as_bytes()).expect("well-formed").expect("a push"))
        };
        let all = ClientType::All;
        let (user, organization) = (USER.to_string().to_uppercase(), ORGANIZATION.to_string());
        let unknown = json!({ "type": 99, "payload": { "USERID": user, "organizationId": organization } });
        assert_eq!(audience_of(unknown), Audience::User(USER, all));
        let unknown = json!({ "type": 99, "payload": { "userId": null, "organizationId": organization } });
        assert_eq!(audience_of(unknown), Audience::Organization(ORGANIZATION, all));
        assert_eq!(audience_of(json!({ "type": 99, "payload": { "name": "x" } })), Audience::None);
        assert_eq!(audience_of(json!({ "type": 99 })), Audience::None);
        let provider = json!({ "type": 24, "payload": { "providerId": organization, "adminId": user } });
        assert_eq!(audience_of(provider), Audience::User(USER, all));
        let without_target = json!({ "type": 0, "payload": { "id": organization } });
        assert_eq!(audience_of(without_target), Audience::None);
    }
}
