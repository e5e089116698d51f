//! The channels: their names (`signalr.md` 9.1), and the audiences of a client. No I/O.

use std::iter;

use uuid::Uuid;

use crate::delivery::Audience;
use crate::notification::ClientType;
use crate::reactor::Recipient;
use crate::signalr::Hub;

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The channel of pushes to an audience.
    To(Audience),
    /// The channel of commands between servers, about the groups of connections on a hub.
    GroupCommands(Hub),
}

/// The channels of one deployment. All names begin with its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    prefix: String,
}

const HUBS: [Hub; 2] = [Hub::Main, Hub::Anonymous];

impl Channels {
    /// Creates the channels with a prefix, which is prepended without a separator. Bitwarden's prefix is `Notifications`.
    pub fn new(prefix: impl Into<String>) -> Channels {
        Channels { prefix: prefix.into() }
    }

    /// Returns the name of the channel of an audience, or `None` for [`Audience::None`].
    pub fn name_for(&self, audience: Audience) -> Option<String> {
        use ClientType::All;
        let main = |suffix: String| Some(self.name(Hub::Main, &suffix));
        match audience {
            Audience::None => None,
            Audience::All(hub) => Some(self.name(hub, "all")),
            Audience::User(id, All) => main(format!("user:{id}")),
            Audience::User(id, narrowed) => main(format!("group:UserClientType_{id}_{}", narrowed.name())),
            Audience::Organization(id, All) => main(format!("group:Organization_{id}")),
            Audience::Organization(id, narrowed) => {
                main(format!("group:OrganizationClientType_{id}_{}", narrowed.name()))
            }
            Audience::Installation(id, All) => main(format!("group:Installation_{id}")),
            Audience::Installation(id, narrowed) => {
                main(format!("group:Installation_ClientType_{id}_{}", narrowed.name()))
            }
            Audience::LoginRequest(id) => Some(self.name(Hub::Anonymous, &format!("group:{id}"))),
        }
    }

    /// Returns the name of the channel of group commands.
    pub fn group_commands(&self, hub: Hub) -> String {
        self.name(hub, "internal:groups")
    }

    /// Returns the names of the channels that a replica is always subscribed to.
    pub fn always_subscribed(&self) -> Vec<String> {
        let names = |hub| [self.name_for(Audience::All(hub)), Some(self.group_commands(hub))];
        HUBS.into_iter().flat_map(names).flatten().collect()
    }

    /// Parses the name of a channel, or returns `None` if it is not one of this hub's. GUIDs must be in lower case.
    pub fn read(&self, name: &str) -> Option<Channel> {
        let name = name.strip_prefix(&self.prefix)?;
        let hub =
            HUBS.into_iter().find_map(|hub| Some((hub, name.strip_prefix(hub_class_name(hub))?.strip_prefix(':')?)));
        match hub? {
            (hub, "all") => Some(Channel::To(Audience::All(hub))),
            (hub, "internal:groups") => Some(Channel::GroupCommands(hub)),
            (Hub::Main, suffix) => parse_main_audience(suffix).map(Channel::To),
            (Hub::Anonymous, suffix) => {
                parse_id(suffix.strip_prefix("group:")?).map(Audience::LoginRequest).map(Channel::To)
            }
        }
    }

    fn name(&self, hub: Hub, suffix: &str) -> String {
        format!("{}{}:{suffix}", self.prefix, hub_class_name(hub))
    }
}

/// Returns the name of a hub's class in the upstream service.
fn hub_class_name(hub: Hub) -> &'static str {
    match hub {
        Hub::Main => "Bit.Notifications.NotificationsHub",
        Hub::Anonymous => "Bit.Notifications.AnonymousNotificationsHub",
    }
}

/// Parses the suffix of a user's or group's channel on the main hub.
fn parse_main_audience(suffix: &str) -> Option<Audience> {
    if let Some(user) = suffix.strip_prefix("user:") {
        return Some(Audience::User(parse_id(user)?, ClientType::All));
    }
    let group = suffix.strip_prefix("group:")?;
    let narrowed = |prefix: &str| {
        let (name, client_type) = group.strip_prefix(prefix)?.split_once('_')?;
        let client_type = ClientType::VARIANTS.into_iter().find(|known| known.name() == client_type);
        Some((parse_id(name)?, client_type.filter(|known| *known != ClientType::All)?))
    };
    let whole = |prefix: &str| Some((parse_id(group.strip_prefix(prefix)?)?, ClientType::All));
    let user = narrowed("UserClientType_").map(|(id, client_type)| Audience::User(id, client_type));
    let organization = || {
        let found = whole("Organization_").or_else(|| narrowed("OrganizationClientType_"));
        found.map(|(id, client_type)| Audience::Organization(id, client_type))
    };
    let installation = || {
        let found = whole("Installation_").or_else(|| narrowed("Installation_ClientType_"));
        found.map(|(id, client_type)| Audience::Installation(id, client_type))
    };
    user.or_else(organization).or_else(installation)
}

/// Parses a GUID that is hyphenated and in lower case.
fn parse_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// Returns the audiences of a client (`signalr.md` 10.2), each of which has its own channel. `installation` is the
/// installation that the hub serves.
pub fn audiences(recipient: &Recipient, installation: Option<Uuid>) -> impl Iterator<Item = Audience> {
    type Group = fn(Uuid, ClientType) -> Audience;
    let (users, request) = match recipient.hub {
        Hub::Main => (Some(recipient), None),
        Hub::Anonymous => (None, recipient.id.map(Audience::LoginRequest)),
    };
    let groups = users.into_iter().flat_map(move |recipient| {
        let user = recipient.id.map(|id| (Audience::User as Group, id));
        let installation = installation.map(|id| (Audience::Installation as Group, id));
        let organizations = recipient.organizations.iter().map(|id| (Audience::Organization as Group, *id));
        user.into_iter().chain(installation).chain(organizations)
    });
    let narrowed = (recipient.client_type != ClientType::All).then_some(recipient.client_type);
    let both = iter::once(ClientType::All).chain(narrowed);
    let groups = groups.flat_map(move |(group, id)| both.clone().map(move |kind| group(id, kind)));
    groups.chain(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_name_of_every_audience_round_trips() {
        let (channels, id) = (Channels::new("x"), Uuid::from_u128(0xabc));
        for client_type in ClientType::VARIANTS {
            for make in [Audience::User, Audience::Organization, Audience::Installation] {
                let name = channels.name_for(make(id, client_type)).expect("a channel");
                assert_eq!(channels.read(&name), Some(Channel::To(make(id, client_type))), "{name}");
            }
        }
        for audience in [Audience::LoginRequest(id), Audience::All(Hub::Main), Audience::All(Hub::Anonymous)] {
            let name = channels.name_for(audience).expect("a channel");
            assert_eq!(channels.read(&name), Some(Channel::To(audience)), "{name}");
        }
        for hub in HUBS {
            assert_eq!(channels.read(&channels.group_commands(hub)), Some(Channel::GroupCommands(hub)));
        }
        assert_eq!(channels.name_for(Audience::None), None);
    }

    #[test]
    fn channel_read_unknown_name_returns_none() {
        let channels = Channels::new("Notifications");
        for suffix in [
            "",
            "ALL",
            "all:",
            "connection:x",
            "internal:ack:HOST_0",
            "internal:return:HOST_0",
            "user:",
            "user:D2EA5B72-6D47-4D20-B5A3-B7A6E89D8E7C",
            "user:d2ea5b726d474d20b5a3b7a6e89d8e7c",
            "group:d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c",
            "group:Organization_x",
            "group:UserClientType_d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c_All",
            "group:UserClientType_d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c_web",
        ] {
            let name = format!("NotificationsBit.Notifications.NotificationsHub:{suffix}");
            assert_eq!(channels.read(&name), None, "{name}");
        }
        for name in ["Bit.Notifications.NotificationsHub:all", "Notifications__Booksleeve_MasterChanged", ""] {
            assert_eq!(channels.read(name), None, "{name}");
        }
    }
}
