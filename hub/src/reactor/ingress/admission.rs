//! Accepts the client of an upgrade request whose token is verified, or refuses it: connection token, limits. Runs on the first
//! reactor's thread.

use std::sync::Arc;

use super::capacity::Capacity;
use super::refusal::Refusal;
use crate::auth::Principal;
use crate::http::headers;
use crate::http::request_kind::Upgrade;
use crate::reactor::Shared;
use crate::reactor::command::{AcceptReply, PendingConnection};
use crate::reactor::connection_limits::LimitReached;
use crate::reactor::sockets::Sockets;
use crate::reactor::sockets::pending_request::PendingRequest;
use crate::reactor::status::OwnStatus;
use crate::signalr::Transport;

/// A client that was accepted. Its socket was taken out of the slot.
pub(crate) struct AcceptedClient {
    pub(crate) slot: u32,
    pub(crate) connection: PendingConnection,
}

/// The admission of clients with WebSockets.
pub(super) struct UpgradeAdmission {
    shared: Arc<Shared>,
    status: OwnStatus,
    capacity: Arc<Capacity>,
}

impl UpgradeAdmission {
    /// Creates the admission of the public port.
    pub(super) fn new(shared: Arc<Shared>, status: OwnStatus, capacity: Arc<Capacity>) -> UpgradeAdmission {
        UpgradeAdmission { shared, status, capacity }
    }

    /// Accepts the client whose request is in a slot. Returns `None` if the request is gone.
    ///
    /// # Errors
    /// If its connection token may not open a WebSocket, or a limit is reached.
    pub(super) fn admit(
        &self,
        sockets: &mut Sockets,
        slot: u32,
        upgrade: &Upgrade,
        principal: Principal,
    ) -> Result<Option<AcceptedClient>, Refusal> {
        let redeem = |id: &str| self.shared.connection_tokens.redeem(id, principal.hub(), Transport::WebSockets);
        if let Some(refusal) = upgrade.id.as_deref().map(redeem).and_then(Refusal::of_token_state) {
            return Err(refusal);
        }
        if self.status.connections() >= self.capacity.max_connections() {
            self.capacity.warn_exhausted();
            return Err(LimitReached::Total.into());
        }
        let Some(request) = sockets.request(slot) else { return Ok(None) };
        let permit = self.shared.admission.admit(&self.shared.config.limits, request.peer, &upgrade.forwarded)?;
        let Some(request) = sockets.take_request(slot) else { return Ok(None) };
        let PendingRequest { socket, head: read_ahead, maybe_readable, .. } = request;
        let cors_headers = self.shared.cors.headers(upgrade.origin.as_deref());
        let reply = AcceptReply::Upgrade(headers::switching_protocols(&upgrade.accept, &cors_headers));
        let transport = Transport::WebSockets;
        let connection = PendingConnection { socket, read_ahead, maybe_readable, principal, transport, permit, reply };
        Ok(Some(AcceptedClient { slot, connection }))
    }
}
