//! A storage queue by plain HTTP with a shared access signature, written without the hub's own code.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http::{Connection, Response, request};
use crate::wait;

/// A queue of an account.
pub struct StorageQueue {
    address: SocketAddr,
    path: String,
    signature: String,
}

/// A message in hand.
#[derive(Debug)]
pub struct Message {
    /// Its text.
    pub text: String,
    id: String,
    receipt: String,
}

impl StorageQueue {
    /// The queue at a path of a server.
    pub fn new(address: SocketAddr, path: &str, signature: &str) -> Self {
        Self { address, path: path.to_owned(), signature: signature.to_owned() }
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same queue, reached through another address.
    pub fn through(&self, address: SocketAddr) -> Self {
        Self::new(address, &self.path, &self.signature)
    }

    /// Creates it.
    pub fn create(&self) -> Result<()> {
        let response = self.ask("PUT", "", "", "")?;
        ensure!(response.status == 201, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// Deletes it, with all that is in it.
    pub fn remove(&self) -> Result<()> {
        let response = self.ask("DELETE", "", "", "")?;
        ensure!(response.status == 204, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// Puts texts into it, on one connection.
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

    /// The texts of up to 32 messages that are visible; they stay.
    pub fn peek(&self) -> Result<Vec<String>> {
        let response = self.ask("GET", "/messages", "peekonly=true&numofmessages=32&", "")?;
        Ok(messages(&response)?.into_iter().map(|message| message.text).collect())
    }

    /// Receives up to so many messages on a connection, hidden from others for 30 seconds.
    pub fn receive(&self, connection: &mut Connection, most: usize) -> Result<Vec<Message>> {
        let target = self.target("/messages", &format!("numofmessages={most}&"));
        messages(&connection.request("GET", &target, &[], b"")?)
    }

    /// Deletes a message on a connection.
    pub fn delete(&self, connection: &mut Connection, message: &Message) -> Result<()> {
        let receipt = message.receipt.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let target = self.target(&format!("/messages/{}", message.id), &format!("popreceipt={receipt}&"));
        let response = connection.request("DELETE", &target, &[], b"")?;
        ensure!(response.status == 204, "{}: {}", response.status, response.text());
        Ok(())
    }

    /// How many messages it holds, hidden ones included.
    pub fn depth(&self) -> Result<usize> {
        let response = self.ask("GET", "", "comp=metadata&", "")?;
        let count = response.header("x-ms-approximate-messages-count");
        count.and_then(|count| count.parse().ok()).with_context(|| format!("no count: {}", response.status))
    }

    /// Waits until it is empty.
    pub fn wait_empty(&self, within: Duration) -> Result<()> {
        wait::until("an empty queue", within, || {
            let depth = self.depth()?;
            ensure!(depth == 0, "{depth} messages are left");
            Ok(())
        })
    }

    fn ask(&self, method: &str, path: &str, query: &str, body: &str) -> Result<Response> {
        request(self.address, method, &self.target(path, query), &[], body.as_bytes())
    }

    fn target(&self, path: &str, query: &str) -> String {
        format!("{}{path}?{query}{}", self.path, self.signature)
    }
}

fn messages(response: &Response) -> Result<Vec<Message>> {
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    let text = response.text();
    let element = |part: &str, name: &str| {
        let inner = part.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        inner.map(|(inner, _)| unescape(inner)).unwrap_or_default()
    };
    let parts = text.split("<QueueMessage>").skip(1);
    Ok(parts
        .map(|part| Message {
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
