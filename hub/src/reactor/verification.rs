//! Verifies tokens on a thread of its own: a signature costs more than everything else in a connect, and deliveries must
//! not wait behind a storm of them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use super::mailbox::{Mail, Mailbox, Verdict};
use crate::auth::bearer::Bearer;
use crate::auth::{Policy, Verifier};

/// The way to the verifying thread, which ends when this is dropped.
pub(super) struct Verification {
    tokens: Sender<Question>,
}

struct Question {
    slot: u32,
    ticket: u64,
    token: Bearer,
}

impl Verification {
    /// Starts the thread; verdicts go to `mailbox`.
    pub(super) fn start(verifier: Arc<Verifier>, mailbox: Mailbox) -> io::Result<Verification> {
        let (tokens, questions) = mpsc::channel::<Question>();
        std::thread::Builder::new().name("verification".to_owned()).spawn(move || {
            for Question { slot, ticket, token } in questions {
                let claims = verifier.verify(&token, Policy::Application);
                mailbox.send(Mail::Verified(Verdict { slot, ticket, claims }));
            }
        })?;
        Ok(Verification { tokens })
    }

    /// Asks for a verdict.
    pub(super) fn ask(&self, slot: u32, ticket: u64, token: Bearer) {
        // The thread ends only after this side is gone.
        let _ = self.tokens.send(Question { slot, ticket, token });
    }
}
