//! A push of the benchmark: whom it is for and when it was due, as the hub reads it and as the controls do.

use std::net::SocketAddr;

use uuid::Uuid;

use super::population::{self, uuid};

/// The bytes of a stamp: `@` and sixteen hexadecimal digits, which no push of the benchmark holds elsewhere.
pub const STAMP: usize = 17;

/// Of how many users one is in the group: 500 of 9,000.
const ONE_OF: usize = 18;

/// Whom a push is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every client.
    Everybody,
    /// One client of eighteen.
    Group,
    /// The client with this number.
    User(usize),
}

/// A push.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    /// Whom it is for.
    pub audience: Audience,
    /// Nanoseconds on the load generator's clock at which it was due, if that matters.
    pub stamp: Option<u64>,
}

impl Audience {
    /// The organisation of everybody or of the group.
    pub fn organization(self) -> Option<Uuid> {
        match self {
            Self::Everybody => Some(uuid(4, 0)),
            Self::Group => Some(uuid(4, 1)),
            Self::User(_) => None,
        }
    }

    /// Whether the client with this number is among them.
    pub fn holds(self, index: usize) -> bool {
        match self {
            Self::Everybody => true,
            Self::Group => index.is_multiple_of(ONE_OF),
            Self::User(user) => user == index,
        }
    }

    /// What [`Push::for_control`] writes as a path.
    pub fn from_path(path: &str) -> Option<Self> {
        match path {
            "/everybody" => Some(Self::Everybody),
            "/group" => Some(Self::Group),
            _ => path.strip_prefix("/user/")?.parse().ok().map(Self::User),
        }
    }

    fn path(self) -> String {
        match self {
            Self::Everybody => "/everybody".to_owned(),
            Self::Group => "/group".to_owned(),
            Self::User(user) => format!("/user/{user}"),
        }
    }
}

impl Push {
    /// A push that nobody times.
    pub fn to(audience: Audience) -> Self {
        Self { audience, stamp: None }
    }

    /// The request as the hub reads it; `authorization` is the value of that header.
    pub fn for_hub(&self, host: SocketAddr, authorization: &str) -> Vec<u8> {
        let context = self.stamp.map_or_else(|| "null".to_owned(), |stamp| format!("\"{}\"", written(stamp)));
        let (number, payload) = match (self.audience, self.audience.organization()) {
            (Audience::User(user), _) => {
                (5, format!(r#"{{"userId":"{}","date":"2026-01-01T00:00:00Z"}}"#, population::user(user)))
            }
            (_, organization) => {
                (18, format!(r#"{{"organizationId":"{}","enabled":true}}"#, organization.unwrap_or_default()))
            }
        };
        let body = format!(r#"{{"type":{number},"payload":{payload},"contextId":{context}}}"#);
        let more = format!("Authorization: {authorization}\r\nContent-Type: application/json\r\n");
        post("/send", host, &more, &body)
    }

    /// The request as controls read it.
    pub fn for_control(&self, host: SocketAddr) -> Vec<u8> {
        post(&self.audience.path(), host, "", &self.stamp.map(written).unwrap_or_default())
    }
}

fn written(stamp: u64) -> String {
    format!("@{stamp:016x}")
}

fn post(path: &str, host: SocketAddr, more: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audience_group_holds_500_of_9000_users() {
        assert_eq!((0..9_000).filter(|index| Audience::Group.holds(*index)).count(), 500);
    }

    #[test]
    fn audience_path_round_trips() {
        for audience in [Audience::Everybody, Audience::Group, Audience::User(8_999)] {
            assert_eq!(Audience::from_path(&audience.path()), Some(audience));
        }
        assert_eq!(Audience::from_path("/user/joe"), None);
    }

    #[test]
    fn stamp_written_has_the_declared_length() {
        assert_eq!(written(u64::MAX).len(), STAMP);
    }
}
