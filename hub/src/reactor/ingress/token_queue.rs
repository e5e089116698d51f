//! The tokens that are being verified, a limited number at once, and those that wait for that. Each belongs to an upgrade request,
//! which waits in its slot. Runs on the first reactor's thread.

use std::collections::VecDeque;

use super::token_verifier::Verification;
use crate::auth::bearer::BearerToken;
use crate::http::request_kind::Upgrade;
use crate::reactor::sockets::Sockets;
use crate::reactor::sockets::pending_request::PendingRequest;

/// The tokens on their way to a result.
pub(super) struct TokenQueue {
    verification: Verification,
    /// The most tokens that are verified at once.
    max_verifying: usize,
    verifying: usize,
    /// Slots and request ids of the tokens that wait. The tokens are in the upgrades of these slots.
    pending: VecDeque<(u32, u64)>,
    last_request_id: u64,
}

impl TokenQueue {
    /// Creates an empty queue of the verification thread.
    pub(super) fn new(verification: Verification, max_verifying: usize) -> TokenQueue {
        TokenQueue { verification, max_verifying, verifying: 0, pending: VecDeque::new(), last_request_id: 0 }
    }

    /// Submits the token of the request in a slot, or queues it. The request keeps the upgrade until [`take_upgrade`].
    pub(super) fn push(&mut self, request: &mut PendingRequest, slot: u32, token: BearerToken, mut upgrade: Upgrade) {
        self.last_request_id += 1;
        if self.verifying < self.max_verifying {
            self.verifying += 1;
            self.verification.submit(slot, self.last_request_id, token);
        } else {
            upgrade.token = Some(token);
            self.pending.push_back((slot, self.last_request_id));
        }
        request.awaiting_token = Some(Box::new((self.last_request_id, upgrade)));
    }

    /// Submits the next token that waits, in place of one that is verified or deferred. Skips those whose requests are gone.
    pub(super) fn start_next(&mut self, sockets: &mut Sockets) {
        self.verifying -= 1;
        while let Some((slot, request_id)) = self.pending.pop_front() {
            let upgrade = pending_upgrade(sockets, slot, request_id);
            if let Some(token) = upgrade.and_then(|upgrade| upgrade.token.take()) {
                self.verifying += 1;
                self.verification.submit(slot, request_id, token);
                break;
            }
        }
    }
}

/// Takes the upgrade that waits in a slot for this verification. Returns `None` if the slot holds something else by now.
pub(super) fn take_upgrade(sockets: &mut Sockets, slot: u32, request_id: u64) -> Option<Upgrade> {
    pending_upgrade(sockets, slot, request_id)?;
    sockets.request(slot)?.awaiting_token.take().map(|waiting| waiting.1)
}

/// Returns the upgrade that waits in a slot for this verification, or `None` if the slot holds something else by now.
fn pending_upgrade(sockets: &mut Sockets, slot: u32, request_id: u64) -> Option<&mut Upgrade> {
    match sockets.request(slot)?.awaiting_token.as_deref_mut() {
        Some((id, upgrade)) if *id == request_id => Some(upgrade),
        _ => None,
    }
}
