//! Verifies tokens on a thread of its own: a signature costs more than everything else in a connect, and deliveries must
//! not wait behind a storm of them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use crate::reactor::command::{CommandSender, ReactorCommand, VerifyResult};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::auth::bearer::BearerToken;
use crate::auth::{Authenticator, Policy};

/// The most tokens that may wait for newer keys at once.
const MAX_DEFERRED: usize = 1024;

/// A handle of the verification thread, which ends when this is dropped.
pub(crate) struct Verification {
    tokens: Sender<VerifyRequest>,
}

struct VerifyRequest {
    slot: u32,
    request_id: u64,
    token: BearerToken,
}

impl Verification {
    /// Starts the thread. Results are sent to `sender`. Tokens that need newer keys wait for them on `runtime`, so that they do
    /// not delay other tokens.
    pub(crate) fn start(
        authenticator: Arc<Authenticator>,
        sender: CommandSender,
        runtime: Handle,
    ) -> io::Result<Verification> {
        let (tokens, requests) = mpsc::channel::<VerifyRequest>();
        let deferred_permits = Arc::new(Semaphore::new(MAX_DEFERRED));
        std::thread::Builder::new().name("verification".to_owned()).spawn(move || {
            for VerifyRequest { slot, request_id, token } in requests {
                let claims = authenticator.verifier.verify(&token, Policy::Application);
                match claims {
                    Err(rejection) if authenticator.should_refresh_keys(&token, rejection) => {
                        // Forged tokens name unknown keys too: only so many wait at once.
                        let Ok(permit) = deferred_permits.clone().try_acquire_owned() else {
                            sender.send(ReactorCommand::TokenVerified(VerifyResult {
                                slot,
                                request_id,
                                claims,
                                deferred: false,
                            }));
                            continue;
                        };
                        let (authenticator, sender) = (authenticator.clone(), sender.clone());
                        sender.send(ReactorCommand::TokenDeferred);
                        runtime.spawn(async move {
                            let claims = authenticator.verify_after_refresh(&token, Policy::Application).await;
                            sender.send(ReactorCommand::TokenVerified(VerifyResult {
                                slot,
                                request_id,
                                claims,
                                deferred: true,
                            }));
                            drop(permit);
                        });
                    }
                    claims => sender.send(ReactorCommand::TokenVerified(VerifyResult {
                        slot,
                        request_id,
                        claims,
                        deferred: false,
                    })),
                }
            }
        })?;
        Ok(Verification { tokens })
    }

    /// Submits a token for verification.
    pub(crate) fn submit(&self, slot: u32, request_id: u64, token: BearerToken) {
        // The thread ends only after this side is gone.
        let _ = self.tokens.send(VerifyRequest { slot, request_id, token });
    }
}
