//! A SignalR client over WebSockets: for `listen` and for tests.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::auth::bearer::BearerToken;
use crate::auth::challenge;
use crate::signalr;
use crate::signalr::protocol::{self, Protocol, handshake, json, messagepack};

/// After how long without sending anything a ping is due.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After how long without hearing anything the server is gone.
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// Buffers are small: messages are.
const BUFFER: usize = 8 * 1024;

/// Why a client could not connect or did not stay connected. No text of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is none that a client could connect to. It is not quoted: a token may stand in its query.
    #[error(
        "the URL is not that of a hub; give http://HOST:PORT, https://HOST or the same with a path, without a query"
    )]
    Url,
    /// The token can't be sent in a header.
    #[error("the token has characters that no token has")]
    Token,
    /// The server answered the upgrade with something else.
    #[error("the hub answered {status}{}", .explanation.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        explanation: Option<String>,
    },
    /// The handshake was refused.
    #[error("the hub refused the handshake: {0}")]
    Handshake(String),
    /// The connection broke or never came to be.
    #[error("the connection failed: {0}")]
    Connection(#[source] Box<tungstenite::Error>),
    /// The server has gone silent.
    #[error("the hub has sent nothing for {} s", SERVER_TIMEOUT.as_secs())]
    Silent,
    /// What the server sent is no SignalR.
    #[error("the hub sent something that is no SignalR message")]
    InvalidMessage,
}

/// Who connects.
#[derive(Debug, Clone)]
pub enum ClientIdentity {
    /// A user, to the main hub.
    User(BearerToken),
    /// Who waits for the answer to a login request, to the anonymous hub.
    Anonymous(String),
}

/// What a hub calls at its client.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedInvocation {
    /// The method.
    pub target: String,
    /// Its arguments.
    pub arguments: Value,
}

/// A connected client.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    protocol: Protocol,
    /// What was received and is not taken yet, as a stream of messages.
    received: Vec<u8>,
    ping_due: Instant,
}

impl Client {
    /// Connects and shakes hands. `url` is a base: `/hub` or `/anonymous-hub` is appended unless it ends so.
    ///
    /// # Errors
    /// If the hub can't be reached, refuses, or speaks something else.
    pub async fn connect(url: &str, identity: &ClientIdentity, protocol: Protocol) -> Result<Client, ClientError> {
        let mut request =
            address(url, identity).and_then(|address| address.into_client_request().ok()).ok_or(ClientError::Url)?;
        if let ClientIdentity::User(token) = identity {
            let header = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut header = header.map_err(|_| ClientError::Token)?;
            header.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
        let (socket, _) =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true).await.map_err(refused)?;
        let ping_due = Instant::now() + KEEP_ALIVE;
        let mut client = Client { socket, protocol, received: Vec::new(), ping_due };
        client.perform_handshake().await?;
        Ok(client)
    }

    async fn perform_handshake(&mut self) -> Result<(), ClientError> {
        let hello = format!("{{\"protocol\":\"{}\",\"version\":1}}\u{1e}", self.protocol.name());
        self.socket.send(Message::text(hello)).await.map_err(broken)?;
        let end = loop {
            match self.received.iter().position(|byte| *byte == json::SEPARATOR) {
                Some(end) => break end,
                None if self.receive().await? => {}
                None => return Err(ClientError::Handshake("it closed the connection".to_owned())),
            }
        };
        let answer: Vec<u8> = self.received.drain(..=end).collect();
        match handshake::parse_response(&answer[..end]).ok_or(ClientError::InvalidMessage)? {
            Some(error) => Err(ClientError::Handshake(error)),
            None => Ok(()),
        }
    }

    /// The next call; nothing once the hub has closed the connection.
    ///
    /// # Errors
    /// If the connection breaks or goes silent.
    pub async fn next(&mut self) -> Result<Option<ReceivedInvocation>, ClientError> {
        loop {
            while let Some(body) = self.message()? {
                let call = match self.protocol {
                    Protocol::Json => json::decode_invocation(&body),
                    Protocol::MessagePack => messagepack::decode_invocation(&body),
                };
                if let Some((target, arguments)) = call {
                    return Ok(Some(ReceivedInvocation { target, arguments }));
                }
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    /// Says good-bye.
    ///
    /// # Errors
    /// If the connection is broken already.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.socket.close(None).await.map_err(broken)
    }

    /// The next whole message that was received, without its framing.
    fn message(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let message = protocol::split_message(self.protocol, &self.received, usize::MAX)
            .map_err(|_| ClientError::InvalidMessage)?;
        let Some((body, taken)) = message.map(|(body, taken)| (body.to_vec(), taken)) else { return Ok(None) };
        self.received.drain(..taken);
        Ok(Some(body))
    }

    /// Waits for more bytes and pings meanwhile; false once the connection is closed.
    async fn receive(&mut self) -> Result<bool, ClientError> {
        let silent = Instant::now() + SERVER_TIMEOUT;
        loop {
            match timeout_at(self.ping_due.min(silent), self.socket.next()).await {
                Err(_) if Instant::now() >= silent => return Err(ClientError::Silent),
                Err(_) => {
                    self.ping_due = Instant::now() + KEEP_ALIVE;
                    let ping = signalr::ping(self.protocol);
                    let message = match self.protocol {
                        Protocol::Json => Message::text(String::from_utf8_lossy(ping).into_owned()),
                        Protocol::MessagePack => Message::binary(ping),
                    };
                    self.socket.send(message).await.map_err(broken)?;
                }
                Ok(None | Some(Ok(Message::Close(_)))) => return Ok(false),
                Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                    self.received.extend_from_slice(&message.into_data());
                    return Ok(true);
                }
                Ok(Some(Ok(_))) => return Ok(true),
                Ok(Some(Err(error))) => return Err(broken(error)),
            }
        }
    }
}

fn broken(error: tungstenite::Error) -> ClientError {
    ClientError::Connection(Box::new(error))
}

fn refused(error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Http(response) => {
            let body: Option<Value> = response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
            let message = body.and_then(|body| body.get("message")?.as_str().map(str::to_owned));
            let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let explanation = message.or_else(|| challenge.and_then(challenge::error_description));
            ClientError::Refused { status: response.status().as_u16(), explanation }
        }
        other => broken(other),
    }
}

/// The WebSocket's address from a base.
fn address(url: &str, identity: &ClientIdentity) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return None,
    };
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix("/hub").or_else(|| rest.strip_suffix("/anonymous-hub")).unwrap_or(rest);
    if rest.is_empty() || rest.contains(['?', '#']) {
        return None;
    }
    Some(match identity {
        ClientIdentity::User(_) => format!("{scheme}://{rest}/hub"),
        ClientIdentity::Anonymous(request) => format!("{scheme}://{rest}/anonymous-hub?Token={request}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_address_appends_hub_path_to_base_url() {
        let user = ClientIdentity::User(BearerToken::from("x"));
        for url in ["http://a:1", "http://a:1/", "ws://a:1/hub", "HTTP://a:1/hub/"] {
            assert_eq!(address(url, &user).as_deref(), Some("ws://a:1/hub"), "{url}");
        }
        assert_eq!(address("https://v/notifications", &user).as_deref(), Some("wss://v/notifications/hub"));
        let anonymous = ClientIdentity::Anonymous("d".to_owned());
        assert_eq!(address("http://a", &anonymous).as_deref(), Some("ws://a/anonymous-hub?Token=d"));
        for url in ["a:1", "ftp://a", "http://", "http://a/hub?access_token=x"] {
            assert_eq!(address(url, &user), None, "{url}");
        }
    }
}
