//! HTTP/1.1 over a blocking socket: for `/send` and `/metrics`, and for requests that no client library would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The timeout of a connect, a read and a write.
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that is kept open between requests.
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, by `Content-Length`, chunked, or up to the end of the connection.
    pub body: Vec<u8>,
}

/// Returns a request for a WebSocket. `more` holds further header lines, each with its CRLF, or is empty.
pub fn upgrade_request(target: &str, host: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

impl Connection {
    /// Connects to an address.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&address, IO_TIMEOUT).with_context(|| format!("no connection to {address}"))?;
        Self::from_stream(stream, address)
    }

    /// Wraps a connected socket.
    pub fn from_stream(stream: TcpStream, address: SocketAddr) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        Ok(Self { stream, address, read: Vec::new() })
    }

    /// Sends a request and reads the response.
    pub fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes())?;
        // A server that rejects a body answers and closes before it has read the whole body.
        let written = self.stream.write_all(body);
        let response = self.response();
        if response.is_err() {
            written.context("the body could not be written")?;
        }
        response
    }

    /// Writes bytes unchanged.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads a response. The body of a 101 is empty, because later bytes belong to the new protocol.
    pub fn response(&mut self) -> Result<Response> {
        let head = self.head()?;
        let body = if head.status == 101 || head.status == 204 {
            Vec::new()
        } else if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
            body
        } else if let Some(length) = head.header("content-length") {
            self.read_exactly(length.parse().context("bad content-length")?)?
        } else {
            while self.read_more()? > 0 {}
            std::mem::take(&mut self.read)
        };
        Ok(Response { body, ..head })
    }

    /// Reads the head of a response, without its body.
    pub fn head(&mut self) -> Result<Response> {
        let (status, headers, length) = loop {
            if let Some(head) = parse(&self.read)? {
                break head;
            }
            if self.read_more()? == 0 {
                bail!("the connection ended in the head of a response: {:?}", String::from_utf8_lossy(&self.read));
            }
        };
        self.read.drain(..length);
        Ok(Response { status, headers, body: Vec::new() })
    }

    /// Reads one chunk of a chunked body, or returns `None` at its end.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.trim(), 16).with_context(|| format!("bad chunk size {line:?}"))?;
        let chunk = self.read_exactly(size)?;
        self.line()?;
        Ok((size > 0).then_some(chunk))
    }

    /// Returns whether the server has closed the connection without further bytes.
    pub fn is_closed(&mut self) -> Result<bool> {
        Ok(self.read.is_empty() && self.read_more()? == 0)
    }

    /// Returns the socket and the bytes that were read beyond the last response.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read)
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                return Ok(String::from_utf8_lossy(&self.read_exactly(end + 1)?).into_owned());
            }
            if self.read_more()? == 0 {
                bail!("the connection ended in a line");
            }
        }
    }

    fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.read.len() < length {
            if self.read_more()? == 0 {
                bail!("the connection ended after {} of {length} bytes of a body", self.read.len());
            }
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    fn read_more(&mut self) -> Result<usize> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).context("no answer")?;
        self.read.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl Response {
    /// Returns the first header field with a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {:?}", self.text()))
    }
}

/// Sends a request on a connection of its own and returns the response.
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    Connection::open(address)?.request(method, target, headers, body)
}

/// Sends a GET on a connection of its own and returns the response.
pub fn get(address: SocketAddr, target: &str) -> Result<Response> {
    request(address, "GET", target, &[], b"")
}

/// Parses the response at the start of some bytes, or returns `None` if it is not complete. A body needs a `Content-Length`.
pub fn parse_response(bytes: &[u8]) -> Result<Option<Response>> {
    let Some((status, headers, length)) = parse(bytes)? else { return Ok(None) };
    let mut response = Response { status, headers, body: Vec::new() };
    let body = response.header("content-length").map_or(Ok(0), str::parse).context("bad content-length")?;
    let Some(body) = bytes.get(length..length + body) else { return Ok(None) };
    response.body = body.to_vec();
    Ok(Some(response))
}

type Head = (u16, Vec<(String, String)>, usize);

fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = response.parse(bytes).context("no HTTP response")? else {
        return Ok(None);
    };
    let headers = response
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    Ok(Some((response.code.unwrap_or_default(), headers, length)))
}
