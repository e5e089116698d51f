//! The authenticated client of a connection.

use std::sync::Arc;

use uuid::Uuid;

use super::{Claims, Query};
use crate::signalr::Hub;

/// An authenticated client.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A user, on the main hub.
    User(Arc<Claims>),
    /// A client that waits for the response to a login request, on the anonymous hub.
    Anonymous(Option<Uuid>),
}

impl Principal {
    /// Returns the principal of a request on the anonymous hub. It has no login request if `Token` is missing or not a GUID.
    pub fn anonymous(query: &Query<'_>) -> Principal {
        Principal::Anonymous(query.value("Token").and_then(|token| Uuid::try_parse(token.trim()).ok()))
    }

    /// Returns the hub that the client may connect to.
    pub fn hub(&self) -> Hub {
        match self {
            Principal::User(_) => Hub::Main,
            Principal::Anonymous(_) => Hub::Anonymous,
        }
    }

    /// Returns the id of the user or of the login request, which selects the reactor. `None` if there is none.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Principal::User(claims) => claims.user,
            Principal::Anonymous(request) => *request,
        }
    }
}
