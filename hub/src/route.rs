//! Where a push goes (`bitwarden.md` 5.2 and 5.3). Pure: a notification in, a delivery out.

use std::time::Instant;

use uuid::Uuid;

use crate::delivery::{Audience, Delivery};
use crate::notification::{ClientType, Device, Notification, Target, Value};
use crate::protocol::{self, AUTH_REQUEST_RESPONSE, RECEIVE_MESSAGE, ServerMessage};
use crate::transport::websocket::Frame;

/// Finds the audience of a push and encodes it for both protocols.
pub fn route(notification: &Notification, since: Instant) -> Delivery {
    let audience = audience(notification);
    let target = match audience {
        Audience::LoginRequest(_) => AUTH_REQUEST_RESPONSE,
        _ => RECEIVE_MESSAGE,
    };
    let message = ServerMessage::Push { target, notification };
    let frame = |protocol| Frame::new(protocol, &protocol::encode(protocol, message));
    Delivery::new(audience, notification.kind, since, frame).by(notification.context_id.as_deref().map(Device::of))
}

/// For whom a push is.
pub fn audience(notification: &Notification) -> Audience {
    let id = |member: &str| notification.payload.member(member).and_then(Value::as_id);
    let everywhere = ClientType::All;
    match notification.push_type().map(|push_type| push_type.target) {
        Some(Target::User(member)) => id(member).map_or(Audience::Nobody, |user| Audience::User(user, everywhere)),
        Some(Target::Organization) => first([None, None, id("OrganizationId")], everywhere),
        Some(Target::UserOrOrganization) => first([None, id("UserId"), id("OrganizationId")], everywhere),
        Some(Target::Narrowed) => {
            let client_type = notification.payload.member("ClientType").and_then(|value| match value {
                Value::Number(number) => ClientType::from_number(number.as_u64()?),
                _ => None,
            });
            // A kind of client that does not exist has no connections.
            client_type.map_or(Audience::Nobody, |client_type| first(every(id), client_type))
        }
        Some(Target::LoginRequest) => id("Id").map_or(Audience::Nobody, Audience::LoginRequest),
        None => first(every(id), everywhere),
    }
}

/// The three ids by which pushes are addressed, the strongest first.
fn every(id: impl Fn(&str) -> Option<Uuid>) -> [Option<Uuid>; 3] {
    [id("InstallationId"), id("UserId"), id("OrganizationId")]
}

fn first([installation, user, organization]: [Option<Uuid>; 3], client_type: ClientType) -> Audience {
    match (installation, user, organization) {
        (Some(installation), _, _) => Audience::Installation(installation, client_type),
        (None, Some(user), _) => Audience::User(user, client_type),
        (None, None, Some(organization)) => Audience::Organization(organization, client_type),
        (None, None, None) => Audience::Nobody,
    }
}
