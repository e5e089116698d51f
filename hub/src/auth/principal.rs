//! Who is let in.

use std::sync::Arc;

use uuid::Uuid;

use super::{Claims, Query};
use crate::delivery::Hub;

/// Somebody who may connect.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A user, on the main hub.
    User(Arc<Claims>),
    /// Who waits for the answer to a login request, on the anonymous hub.
    Anonymous(Option<Uuid>),
}

impl Principal {
    /// Somebody who names a login request in `Token`; what is no GUID is none.
    pub fn anonymous(query: &Query<'_>) -> Principal {
        Principal::Anonymous(query.value("Token").and_then(|token| Uuid::try_parse(token.trim()).ok()))
    }

    /// The hub that it is let in to.
    pub fn hub(&self) -> Hub {
        match self {
            Principal::User(_) => Hub::Main,
            Principal::Anonymous(_) => Hub::Anonymous,
        }
    }

    /// The user or the login request, by which its reactor is found.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Principal::User(claims) => claims.user,
            Principal::Anonymous(request) => *request,
        }
    }
}
