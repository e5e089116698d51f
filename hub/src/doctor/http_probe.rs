//! Requests on the public way, each on a connection of its own to one address, as a client sends them.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Method};
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response};
use tokio::time::timeout;

use super::http_answer::{Fault, HttpAnswer};
use super::public_url::PublicUrl;
use super::tls;
use crate::net::trusted_roots;

/// The timeout of an answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest part of a body that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

const PAGE: &str = "docs/proxies.md";

/// Sends requests to one address of the host.
pub(super) struct HttpProbe {
    client: Client,
    base: String,
}

impl HttpProbe {
    /// Creates a probe.
    ///
    /// # Errors
    /// If TLS cannot be initialized.
    pub(super) fn new(url: &PublicUrl, address: SocketAddr) -> Result<HttpProbe, Fault> {
        let client = trusted_roots::client_builder()
            .resolve(&url.host, address)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .http1_only()
            .no_proxy()
            .tls_info(true);
        let client = client.build().map_err(|error| describe_error(&error))?;
        Ok(HttpProbe { client, base: url.to_string() })
    }

    /// Sends a request, and returns the response when its head has arrived.
    ///
    /// # Errors
    /// If there is no response.
    pub(super) async fn send(&self, method: Method, path: &str, headers: HeaderMap) -> Result<Response, Fault> {
        let request = self.client.request(method, format!("{}{path}", self.base)).headers(headers);
        match timeout(ANSWER_TIMEOUT, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(describe_error(&error)),
            Err(_) => Err(no_answer()),
        }
    }

    /// Sends a request, and returns the answer with the first part of its body.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) async fn request(&self, method: Method, path: &str, headers: HeaderMap) -> Result<HttpAnswer, Fault> {
        Ok(read_answer(self.send(method, path, headers).await?).await)
    }
}

/// Reads the first part of the body. A body that ends early counts as it is.
pub(super) async fn read_answer(mut response: Response) -> HttpAnswer {
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(ANSWER_TIMEOUT, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            break;
        }
    }
    let certificate = response.extensions().get::<TlsInfo>().and_then(|info| info.peer_certificate());
    HttpAnswer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
        certificate: certificate.map(<[u8]>::to_vec),
    }
}

fn no_answer() -> Fault {
    Fault::new(
        format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()),
        "a server accepts connections and does not answer",
        "check that a web server listens on this port, and that it reaches the hub",
        PAGE,
    )
}

/// Returns the fault of a request without a response. Contains no URL.
fn describe_error(error: &reqwest::Error) -> Fault {
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        if let Some(error) = find_tls_error(cause) {
            return tls::describe_error(error);
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>().filter(|error| error.is_parse()) {
            return Fault::new(
                error.to_string(),
                "the port does not speak HTTP",
                "let the host name lead to the proxy, and check the port in the URL",
                PAGE,
            );
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    Fault::new(
        cause.to_string(),
        "the server ended the connection without an answer",
        "read the log of the proxy",
        PAGE,
    )
}

/// Returns the error of TLS that an error is or wraps. The source of an [`io::Error`] leaves out the error that it wraps.
fn find_tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| find_tls_error(error.downcast_ref::<io::Error>()?.get_ref()?))
}
