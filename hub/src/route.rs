//! Where a push goes (`bitwarden.md` 5.2 and 5.3). Pure: a notification in, a delivery out.

use std::time::Instant;

use uuid::Uuid;

use crate::delivery::{Audience, Delivery};
use crate::notification::{ClientType, Notification, Target, Value};
use crate::protocol::{self, RECEIVE_MESSAGE, ServerMessage};
use crate::transport::websocket::Frame;

/// Finds the audience of a push and encodes it for both protocols.
pub fn route(notification: &Notification, since: Instant) -> Delivery {
    let collapsible = notification.push_type().is_some_and(|push_type| push_type.collapsible);
    let message = ServerMessage::Push { target: RECEIVE_MESSAGE, notification };
    Delivery::new(audience(notification), notification.kind, collapsible, since, |protocol| {
        Frame::new(protocol, &protocol::encode(protocol, message))
    })
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
        // The anonymous hub is not served yet.
        Some(Target::LoginRequest) => Audience::Nobody,
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
