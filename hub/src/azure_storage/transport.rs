//! How requests travel: our own HTTP client, with times that suit a queue and errors that tell no address. The crate's
//! would print it, and a shared access signature is part of it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request};
use azure_core::http::{RetryOptions, Transport};

use reqwest::ClientBuilder;

use super::QueueError;
use crate::net::trusted_roots::ReloadingHttpClient;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Idle connections are closed before the usual server closes them, as a request on a closed one fails.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A few short repetitions, for a connection that was closed after all. Who waits longer does so himself.
const MAX_RETRIES: u32 = 2;
const RETRY_DELAY_MS: i64 = 25;

/// Options for a client: transport and repetitions.
pub(super) fn options() -> Result<ClientOptions, QueueError> {
    let settings = |client: ClientBuilder| {
        let client =
            client.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).pool_idle_timeout(POOL_IDLE_TIMEOUT);
        client.redirect(reqwest::redirect::Policy::none())
    };
    let client = ReloadingHttpClient::new(settings).map_err(|error| QueueError::Unreachable(describe(error)))?;
    let retry = RetryOptions::exponential(ExponentialRetryOptions {
        initial_delay: azure_core::time::Duration::milliseconds(RETRY_DELAY_MS),
        max_retries: MAX_RETRIES,
        max_total_elapsed: azure_core::time::Duration::seconds(5),
        ..ExponentialRetryOptions::default()
    });
    Ok(ClientOptions {
        transport: Some(Transport::new(Arc::new(RedactingClient(client)))),
        retry,
        ..ClientOptions::default()
    })
}

/// A client whose errors tell no address.
#[derive(Debug)]
struct RedactingClient(ReloadingHttpClient);

#[async_trait]
impl HttpClient for RedactingClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.0.get().execute_request(request).await.map_err(|error| {
            let kind = error.kind().clone();
            let told = error.into_downcast::<reqwest::Error>().map_or_else(|_| "no request".to_owned(), describe);
            azure_core::Error::with_message(kind, told)
        })
    }
}

/// An error of the client with its causes, without the address.
fn describe(error: reqwest::Error) -> String {
    let timeout = error.is_timeout();
    let error = error.without_url();
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    match causes.pop() {
        Some(last) => last,
        None if timeout => "no answer in time".to_owned(),
        None => error.to_string(),
    }
}
