//! The HTTP client of queues, which runs on the caller's runtime (`timely` in a hub): its timeouts, its retries, and errors without URLs. A URL may contain a shared access signature,
//! and the errors of the crate's own client contain the URL.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request};
use azure_core::http::{RetryOptions, Transport};

use reqwest::ClientBuilder;

use super::QueueError;
use crate::net::trusted_roots::ReloadingHttpClient;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may send no bytes of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may be idle. Less than the idle timeout of common servers, because a request on a closed connection
/// fails.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Number of short retries, for pooled connections that the server has closed. Callers implement longer backoffs.
const MAX_RETRIES: u32 = 2;
/// The delay before the first retry, in milliseconds.
const RETRY_DELAY_MS: i64 = 25;

/// Returns the options of a queue client: its transport and its retries.
///
/// # Errors
/// If the system has no trusted root certificates.
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

/// An HTTP client whose errors contain no URL.
#[derive(Debug)]
struct RedactingClient(ReloadingHttpClient);

#[async_trait]
impl HttpClient for RedactingClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.0.get().execute_request(request).await.map_err(|error| {
            let kind = error.kind().clone();
            let reqwest_error = error.into_downcast::<reqwest::Error>();
            let text = reqwest_error.map_or_else(|_| "the request could not be built".to_owned(), describe);
            azure_core::Error::with_message(kind, text)
        })
    }
}

/// Returns the root cause of an error of the client, without the URL.
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
