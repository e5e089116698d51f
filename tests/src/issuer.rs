//! A local identity server with an OpenID Connect discovery document and a JWKS that a test can replace or take away.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

/// The state that the server's threads share.
struct State {
    address: SocketAddr,
    /// The JWKS, or `None` during an outage.
    keys: Mutex<Option<String>>,
    /// The header `Date` of its responses, or `None` if they have none.
    date: Mutex<Option<String>>,
    /// The number of requests for the JWKS.
    fetches: AtomicUsize,
}

/// A running identity server. Its threads end with the process.
pub struct Issuer(Arc<State>);

impl Issuer {
    /// Starts a server with a JWKS, or with an outage if `None`.
    pub fn start(jwks: Option<&str>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let keys = Mutex::new(jwks.map(str::to_owned));
        let state = Arc::new(State { address, keys, date: Mutex::default(), fetches: AtomicUsize::new(0) });
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // An error means that the client has closed the connection.
                std::thread::spawn(move || _ = serving.answer(stream));
            }
        });
        Ok(Self(state))
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Returns the issuer of its discovery document: its URL without the port, as with Bitwarden.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.0.address.ip())
    }

    /// Replaces the JWKS. `None` begins an outage.
    pub fn set_keys(&self, jwks: Option<&str>) {
        *self.0.keys.lock().unwrap_or_else(PoisonError::into_inner) = jwks.map(str::to_owned);
    }

    /// Sets the header `Date` of its responses.
    pub fn set_date(&self, date: &str) {
        *self.0.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.to_owned());
    }

    /// Returns how often the JWKS was requested.
    pub fn fetch_count(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }
}

impl State {
    fn answer(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = format!("http://{}", self.address);
        let issuer = format!("http://{}", self.address.ip());
        let (status, body) = match (request.split(' ').nth(1), keys) {
            (_, None) => ("500 Internal Server Error", "outage".to_owned()),
            (Some("/.well-known/openid-configuration"), Some(_)) => {
                ("200 OK", json!({ "issuer": issuer, "jwks_uri": format!("{base}/keys") }).to_string())
            }
            (Some("/keys"), Some(keys)) => {
                self.fetches.fetch_add(1, Ordering::Relaxed);
                ("200 OK", keys)
            }
            _ => ("404 Not Found", String::new()),
        };
        let date = self.date.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\n{date}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        Ok(())
    }
}
