//! A client of a storage queue over plain HTTP with a shared access signature, independent of the hub's code.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http::{self, Connection, Response};
use crate::wait;

/// A queue of a storage account.
pub struct StorageQueue {
    address: SocketAddr,
    path: String,
    signature: String,
}

/// A received message.
#[derive(Debug)]
pub struct QueueMessage {
    /// The text of the message.
    pub text: String,
    id: String,
    receipt: String,
}

impl StorageQueue {
    /// Returns the queue at a path of a server.
    pub fn new(address: SocketAddr, path: &str, signature: &str) -> Self {
        Self { address, path: path.to_owned(), signature: signature.to_owned() }
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the same queue at another address, such as a proxy's.
    pub fn with_address(&self, address: SocketAddr) -> Self {
        Self::new(address, &self.path, &self.signature)
    }

    /// Creates the queue.
    pub fn create(&self) -> Result<()> {
        let response = self.request("PUT", "", "", "")?;
        ensure!(response.status == 201, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// Deletes the queue with its messages.
    pub fn remove(&self) -> Result<()> {
        let response = self.request("DELETE", "", "", "")?;
        ensure!(response.status == 204, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// Puts messages with these texts, on one connection.
    pub fn put<T: AsRef<str>>(&self, texts: &[T]) -> Result<()> {
        let mut connection = Connection::open(self.address)?;
        for text in texts {
            let text = text.as_ref().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
            let headers = [("Content-Type", "application/xml")];
            let response = connection.request("POST", &self.target("/messages", ""), &headers, body.as_bytes())?;
            ensure!(response.status == 201, "{}: {}", response.status, response.text());
        }
        Ok(())
    }

    /// Returns the texts of up to 32 visible messages without receiving them.
    pub fn peek(&self) -> Result<Vec<String>> {
        let response = self.request("GET", "/messages", "peekonly=true&numofmessages=32&", "")?;
        Ok(parse_messages(&response)?.into_iter().map(|message| message.text).collect())
    }

    /// Receives at most `limit` messages on a connection. They are hidden for 30 seconds.
    pub fn receive(&self, connection: &mut Connection, limit: usize) -> Result<Vec<QueueMessage>> {
        let target = self.target("/messages", &format!("numofmessages={limit}&"));
        parse_messages(&connection.request("GET", &target, &[], b"")?)
    }

    /// Deletes a message on a connection.
    pub fn delete(&self, connection: &mut Connection, message: &QueueMessage) -> Result<()> {
        let receipt = message.receipt.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let target = self.target(&format!("/messages/{}", message.id), &format!("popreceipt={receipt}&"));
        let response = connection.request("DELETE", &target, &[], b"")?;
        ensure!(response.status == 204, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// Returns the number of messages, hidden ones included.
    pub fn depth(&self) -> Result<usize> {
        let response = self.request("GET", "", "comp=metadata&", "")?;
        let count = response.header("x-ms-approximate-messages-count");
        count.and_then(|count| count.parse().ok()).with_context(|| format!("no count: {}", response.status))
    }

    /// Waits until the queue is empty.
    pub fn wait_empty(&self, within: Duration) -> Result<()> {
        wait::until("an empty queue", within, || {
            let depth = self.depth()?;
            ensure!(depth == 0, "{depth} messages are left");
            Ok(())
        })
    }

    fn request(&self, method: &str, path: &str, query: &str, body: &str) -> Result<Response> {
        http::request(self.address, method, &self.target(path, query), &[], body.as_bytes())
    }

    fn target(&self, path: &str, query: &str) -> String {
        format!("{}{path}?{query}{}", self.path, self.signature)
    }
}

/// Parses the messages of a response.
fn parse_messages(response: &Response) -> Result<Vec<QueueMessage>> {
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    let text = response.text();
    let element = |part: &str, name: &str| {
        let inner = part.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        inner.map(|(inner, _)| unescape(inner)).unwrap_or_default()
    };
    let parts = text.split("<QueueMessage>").skip(1);
    Ok(parts
        .map(|part| QueueMessage {
            text: element(part, "MessageText"),
            id: element(part, "MessageId"),
            receipt: element(part, "PopReceipt"),
        })
        .collect())
}

fn unescape(text: &str) -> String {
    let letters = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#xD;", "\r"), ("&amp;", "&")];
    letters.iter().fold(text.to_owned(), |text, (escaped, letter)| text.replace(escaped, letter))
}
