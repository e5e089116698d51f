//! A push of the benchmark: its audience and its due time, as a request to the hub or to a control.

use std::net::SocketAddr;

use uuid::Uuid;

use super::population::{self, uuid};

/// The length of a stamp: `@` and 16 hexadecimal digits. No push of the benchmark contains `@` elsewhere.
pub const STAMP_BYTES: usize = 17;

/// One of this many users is in the group: 500 of 9,000.
const GROUP_ONE_IN: usize = 18;

/// The audience of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every client.
    Everyone,
    /// One client of eighteen.
    Group,
    /// The client with this number.
    User(usize),
}

/// A push.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    /// The audience.
    pub audience: Audience,
    /// The due time in nanoseconds since the load generator's start, or `None` if the push is not timed.
    pub stamp: Option<u64>,
}

impl Audience {
    /// Returns the shared organization, or `None` for one user.
    pub fn organization(self) -> Option<Uuid> {
        match self {
            Self::Everyone => Some(uuid(4, 0)),
            Self::Group => Some(uuid(4, 1)),
            Self::User(_) => None,
        }
    }

    /// Returns whether the audience contains a client by its number.
    pub fn contains(self, index: usize) -> bool {
        match self {
            Self::Everyone => true,
            Self::Group => index.is_multiple_of(GROUP_ONE_IN),
            Self::User(user) => user == index,
        }
    }

    /// Parses the path of a request that [`Push::for_control`] wrote.
    pub fn from_path(path: &str) -> Option<Self> {
        match path {
            "/everyone" => Some(Self::Everyone),
            "/group" => Some(Self::Group),
            _ => path.strip_prefix("/user/")?.parse().ok().map(Self::User),
        }
    }

    fn path(self) -> String {
        match self {
            Self::Everyone => "/everyone".to_owned(),
            Self::Group => "/group".to_owned(),
            Self::User(user) => format!("/user/{user}"),
        }
    }
}

impl Push {
    /// Creates a push that is not timed.
    pub fn untimed(audience: Audience) -> Self {
        Self { audience, stamp: None }
    }

    /// Returns the request for the hub. `authorization` is the value of that header.
    pub fn for_hub(&self, host: SocketAddr, authorization: &str) -> Vec<u8> {
        let context = self.stamp.map_or_else(|| "null".to_owned(), |stamp| format!("\"{}\"", format_stamp(stamp)));
        let (number, payload) = match (self.audience, self.audience.organization()) {
            (Audience::User(user), _) => {
                (5, format!(r#"{{"userId":"{}","date":"2026-01-01T00:00:00Z"}}"#, population::user_id(user)))
            }
            (_, organization) => {
                (18, format!(r#"{{"organizationId":"{}","enabled":true}}"#, organization.unwrap_or_default()))
            }
        };
        let body = format!(r#"{{"type":{number},"payload":{payload},"contextId":{context}}}"#);
        let more = format!("Authorization: {authorization}\r\nContent-Type: application/json\r\n");
        post_request("/send", host, &more, &body)
    }

    /// Returns the request for a control.
    pub fn for_control(&self, host: SocketAddr) -> Vec<u8> {
        post_request(&self.audience.path(), host, "", &self.stamp.map(format_stamp).unwrap_or_default())
    }
}

fn format_stamp(stamp: u64) -> String {
    format!("@{stamp:016x}")
}

fn post_request(path: &str, host: SocketAddr, more: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audience_group_contains_500_of_9000_users() {
        assert_eq!((0..9_000).filter(|index| Audience::Group.contains(*index)).count(), 500);
    }

    #[test]
    fn audience_path_round_trips() {
        for audience in [Audience::Everyone, Audience::Group, Audience::User(8_999)] {
            assert_eq!(Audience::from_path(&audience.path()), Some(audience));
        }
        assert_eq!(Audience::from_path("/user/joe"), None);
    }

    #[test]
    fn format_stamp_has_the_declared_length() {
        assert_eq!(format_stamp(u64::MAX).len(), STAMP_BYTES);
    }
}
