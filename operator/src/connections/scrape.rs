//! Scrapes the metrics of a pod by one request on a new connection, with limits on time and size.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::parse_client_count;

/// Timeout of a scrape.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum length of the metrics, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Error of a scrape.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The pod did not answer in time.
    #[error("no answer within {} s", SCRAPE_TIMEOUT.as_secs())]
    Timeout,
    /// The connection could not be opened.
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    /// The connection failed, or its data is not HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The status of the response is not a success.
    #[error("the response has status {0}")]
    Status(http::StatusCode),
    /// The body is too long or incomplete.
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The metrics are not those of a hub.
    #[error("the response has no metrics of a hub")]
    NotAHub,
}

/// Returns the number of clients of the hub whose admin port has this address.
pub async fn scrape(address: SocketAddr) -> Result<i64, ScrapeError> {
    match tokio::time::timeout(SCRAPE_TIMEOUT, read(address)).await {
        Ok(result) => result,
        Err(_) => Err(ScrapeError::Timeout),
    }
}

/// Reads the metrics on a new connection, without a timeout.
async fn read(address: SocketAddr) -> Result<i64, ScrapeError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let response = async {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = http::Uri::from_static("/metrics");
        let host = http::HeaderValue::try_from(address.to_string()).unwrap_or(http::HeaderValue::from_static("hub"));
        request.headers_mut().insert(http::header::HOST, host);
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(ScrapeError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await.map_err(ScrapeError::Body)?;
        parse_client_count(&String::from_utf8_lossy(&body.to_bytes())).ok_or(ScrapeError::NotAHub)
    };
    // The connection must be polled while the response is read. It is dropped with the response.
    let connection = std::pin::pin!(async {
        match connection.await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    });
    tokio::select! {
        count = response => count,
        error = connection => Err(error.into()),
    }
}
