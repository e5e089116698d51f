//! A small identity server: OpenID Connect's discovery, a key set that can be rotated, outages.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

/// What it answers, and what it was asked.
struct State {
    address: SocketAddr,
    /// Nothing during an outage.
    keys: Mutex<Option<String>>,
    fetched: AtomicUsize,
}

/// A running identity server; it ends with the process.
pub struct Issuer(Arc<State>);

impl Issuer {
    /// Starts one with a key set, or with an outage.
    pub fn start(jwks: Option<&str>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let keys = Mutex::new(jwks.map(str::to_owned));
        let state = Arc::new(State { address, keys, fetched: AtomicUsize::new(0) });
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // A client that hangs up is no fault of the server's.
                std::thread::spawn(move || _ = serving.answer(stream));
            }
        });
        Ok(Self(state))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The issuer that its discovery document names: without the port, as Bitwarden's is.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.0.address.ip())
    }

    /// From now on it has this key set; none is an outage.
    pub fn set(&self, jwks: Option<&str>) {
        *self.0.keys.lock().unwrap_or_else(PoisonError::into_inner) = jwks.map(str::to_owned);
    }

    /// How often its key set was asked for.
    pub fn fetched(&self) -> usize {
        self.0.fetched.load(Ordering::Relaxed)
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
            (_, None) => ("500 Internal Server Error", "not today".to_owned()),
            (Some("/.well-known/openid-configuration"), Some(_)) => {
                ("200 OK", json!({ "issuer": issuer, "jwks_uri": format!("{base}/keys") }).to_string())
            }
            (Some("/keys"), Some(keys)) => {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                ("200 OK", keys)
            }
            _ => ("404 Not Found", String::new()),
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        Ok(())
    }
}
