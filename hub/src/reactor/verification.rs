//! Verifies tokens on a thread of its own: a signature costs more than everything else in a connect, and deliveries must
//! not wait behind a storm of them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use super::mailbox::{Mail, Mailbox, Verdict};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::auth::bearer::Bearer;
use crate::auth::{Authenticator, Policy};

/// How many tokens may wait for newer keys at once.
const MOST_WAITING: usize = 1024;

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
    /// Tokens that need newer keys wait for them on `runtime`, and nobody behind them.
    pub(super) fn start(
        authenticator: Arc<Authenticator>,
        mailbox: Mailbox,
        runtime: Handle,
    ) -> io::Result<Verification> {
        let (tokens, questions) = mpsc::channel::<Question>();
        let waiting = Arc::new(Semaphore::new(MOST_WAITING));
        std::thread::Builder::new().name("verification".to_owned()).spawn(move || {
            for Question { slot, ticket, token } in questions {
                let claims = authenticator.verifier.verify(&token, Policy::Application);
                match claims {
                    Err(rejection) if authenticator.newer_keys_may_help(&token, rejection) => {
                        // Forged tokens name unknown keys too: only so many wait at once.
                        let Ok(place) = waiting.clone().try_acquire_owned() else {
                            mailbox.send(Mail::Verified(Verdict { slot, ticket, claims, late: false }));
                            continue;
                        };
                        let (authenticator, mailbox) = (authenticator.clone(), mailbox.clone());
                        mailbox.send(Mail::KeysAwaited);
                        runtime.spawn(async move {
                            let claims = authenticator.with_newer_keys(&token, Policy::Application).await;
                            mailbox.send(Mail::Verified(Verdict { slot, ticket, claims, late: true }));
                            drop(place);
                        });
                    }
                    claims => mailbox.send(Mail::Verified(Verdict { slot, ticket, claims, late: false })),
                }
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
