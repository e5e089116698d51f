//! HTTP requests, each on a connection of its own, without an HTTP library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long an answer may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A request. Its headers are sent in this order.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer as the recording notes it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The headers with names in lower case, sorted, without those that the recording leaves out.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Headers that the recording leaves out.
const IGNORED_HEADERS: [&str; 8] = [
    "date",
    "server",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "sec-websocket-accept",
];

/// Headers that every answer has, and that the recording leaves out.
const SECURITY_HEADERS: [(&str, &str); 3] =
    [("x-content-type-options", "nosniff"), ("x-frame-options", "SAMEORIGIN"), ("x-xss-protection", "1; mode=block")];

impl Request {
    /// Sets a header and replaces one with the same name. The value `(absent)` removes it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if value != "(absent)" {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Sets the body.
    pub(crate) fn with_body(self, body: Vec<u8>) -> Request {
        Request { body: Some(body), ..self }
    }

    /// Sends the request and reads the answer. Returns the connection and the answer.
    pub(crate) fn exchange(&self, address: SocketAddr) -> Result<(TcpStream, Response)> {
        let mut stream = self.send(address)?;
        let response =
            self.read_response(&mut stream).with_context(|| format!("after {} {}", self.method, self.target))?;
        Ok((stream, response))
    }

    /// Sends the request on a new connection. Returns the connection.
    pub(crate) fn send(&self, address: SocketAddr) -> Result<TcpStream> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        self.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(&[text.as_bytes(), self.body.as_deref().unwrap_or_default()].concat())?;
        Ok(stream)
    }

    fn read_response(&self, stream: &mut TcpStream) -> Result<Response> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).with_context(|| format!("in the head {}", head.escape_ascii()))?;
            head.push(byte[0]);
        }
        let Head { status, headers, length, chunked } = Head::read(&head)?;
        ensure!(!chunked, "the answer is chunked");
        let mut body = Vec::new();
        match length {
            _ if self.method == "HEAD" || [101, 204].contains(&status) => {}
            Some(length) => {
                body = vec![0; length];
                stream.read_exact(&mut body).context("in the body")?;
            }
            None => _ = stream.read_to_end(&mut body)?,
        }
        Ok(Response { status, headers, body })
    }
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The headers, as in a [`Response`].
    pub(crate) headers: Vec<(String, String)>,
    /// The value of `Content-Length`, if there is one.
    pub(crate) length: Option<usize>,
    /// Whether the body is chunked.
    pub(crate) chunked: bool,
}

impl Head {
    /// Parses a whole head. Fails if it lacks a header that every answer must have.
    pub(crate) fn read(head: &[u8]) -> Result<Head> {
        let head = std::str::from_utf8(head)?;
        let mut lines = head.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).context("a status line")?;
        let status = first.get(..3).context("a status")?.parse()?;
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').context("a header")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        for (name, expected) in SECURITY_HEADERS {
            ensure!(status == 500 || value(name) == Some(expected), "{name} is missing in a {status}");
        }
        let length = value("content-length").map(str::parse).transpose()?;
        let chunked = value("transfer-encoding").is_some();
        headers.retain(|(name, _)| {
            !IGNORED_HEADERS.contains(&name.as_str()) && !SECURITY_HEADERS.iter().any(|(security, _)| name == security)
        });
        headers.sort();
        Ok(Head { status, headers, length, chunked })
    }
}
