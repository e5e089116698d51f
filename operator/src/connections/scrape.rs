//! Reads a pod's metrics: one request on a connection of its own, with limits on time and size.

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

/// Maximum size of the metrics, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Why a pod's number of clients is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No answer in time.
    #[error("no answer within {} s", SCRAPE_TIMEOUT.as_secs())]
    Timeout,
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    /// The connection ended.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// An answer without metrics.
    #[error("the answer is {0}")]
    Status(http::StatusCode),
    /// It was too long, or broke off.
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The metrics are not a hub's.
    #[error("it is no hub")]
    NotAHub,
}

/// Returns the number of clients of the hub whose admin port this is.
pub async fn scrape(address: SocketAddr) -> Result<i64, ScrapeError> {
    match tokio::time::timeout(SCRAPE_TIMEOUT, read(address)).await {
        Ok(result) => result,
        Err(_) => Err(ScrapeError::Timeout),
    }
}

async fn read(address: SocketAddr) -> Result<i64, ScrapeError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
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
    // The connection has to be driven, and is given up with the answer.
    let connection = std::pin::pin!(async {
        match connection.await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    });
    tokio::select! {
        answer = asked => answer,
        error = connection => Err(error.into()),
    }
}
