//! A SignalR client over WebSockets, for the subcommands `listen` and `doctor` and for tests.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
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
use crate::signalr::protocol::{self, Protocol, handshake, json, messagepack};

/// The interval of pings (`keepAliveIntervalInMilliseconds` of SignalR clients).
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long the server may send nothing (`serverTimeoutInMilliseconds` of SignalR clients).
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server may take to answer a WebSocket Ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// Size of the read and the write buffer of the WebSocket. Messages are small.
const BUFFER_BYTES: usize = 8 * 1024;

/// The reason why a client could not connect or was disconnected. Its texts do not contain the token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not valid. It is not quoted, because its query may contain a token.
    #[error(
        "the URL is not the URL of a hub; give http://HOST:PORT or https://HOST, with a path if needed, without a query"
    )]
    Url,
    /// The token is not valid in a header.
    #[error("the token contains invalid characters")]
    Token,
    /// The hub answered the upgrade request with another status than 101.
    #[error("the hub answered {status}{}", .explanation.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// The message of the hub, if the answer has one.
        explanation: Option<String>,
    },
    /// The hub rejected the handshake.
    #[error("the hub rejected the handshake: {0}")]
    Handshake(String),
    /// The connection failed or could not be opened.
    #[error("the connection failed: {0}")]
    Connection(#[source] Box<tungstenite::Error>),
    /// The hub sent nothing for 30 seconds.
    #[error("the hub has sent nothing for {} s", SERVER_TIMEOUT.as_secs())]
    ServerTimeout,
    /// The hub did not answer a WebSocket Ping.
    #[error("the hub has not answered a ping for {} s", PONG_TIMEOUT.as_secs())]
    NoPong,
    /// The hub sent something that is not a SignalR message.
    #[error("the hub sent something that is not a SignalR message")]
    InvalidMessage,
}

/// The identity that a client connects with, which decides the hub.
#[derive(Debug, Clone)]
pub enum ClientIdentity {
    /// The token of a user, for the main hub.
    User(BearerToken),
    /// The id of a login request, for the anonymous hub.
    Anonymous(String),
}

/// An invocation that a hub sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedInvocation {
    /// The name of the client method.
    pub target: String,
    /// The arguments, an array.
    pub arguments: Value,
}

/// A connected client. `S` is the upgraded connection.
pub struct Client<S = MaybeTlsStream<TcpStream>> {
    socket: WebSocketStream<S>,
    protocol: Protocol,
    /// Received bytes that are not decoded yet, as a stream of framed messages.
    received: Vec<u8>,
    ping_due: Instant,
}

impl Client {
    /// Connects and performs the handshake. Appends `/hub` or `/anonymous-hub` to the base URL `url` unless it ends with it.
    ///
    /// # Errors
    /// If the hub cannot be reached, refuses the client, or does not speak SignalR.
    pub async fn connect(url: &str, identity: &ClientIdentity, protocol: Protocol) -> Result<Client, ClientError> {
        let mut request =
            websocket_url(url, identity).and_then(|url| url.into_client_request().ok()).ok_or(ClientError::Url)?;
        if let ClientIdentity::User(token) = identity {
            let header = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut header = header.map_err(|_| ClientError::Token)?;
            header.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
        let (socket, _) =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true).await.map_err(connect_error)?;
        Client::start(socket, protocol).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Performs the handshake on an upgraded connection.
    ///
    /// # Errors
    /// If the connection fails, or the hub rejects the handshake.
    pub async fn start(socket: WebSocketStream<S>, protocol: Protocol) -> Result<Client<S>, ClientError> {
        let ping_due = Instant::now() + KEEP_ALIVE_INTERVAL;
        let mut client = Client { socket, protocol, received: Vec::new(), ping_due };
        client.perform_handshake().await?;
        Ok(client)
    }

    async fn perform_handshake(&mut self) -> Result<(), ClientError> {
        let request = format!("{{\"protocol\":\"{}\",\"version\":1}}\u{1e}", self.protocol.name());
        self.socket.send(Message::text(request)).await.map_err(connection_error)?;
        let end = loop {
            match self.received.iter().position(|byte| *byte == json::SEPARATOR) {
                Some(end) => break end,
                None if self.receive().await? => {}
                None => return Err(ClientError::Handshake("the hub closed the connection".to_owned())),
            }
        };
        let response: Vec<u8> = self.received.drain(..=end).collect();
        match handshake::parse_response(&response[..end]).ok_or(ClientError::InvalidMessage)? {
            Some(error) => Err(ClientError::Handshake(error)),
            None => Ok(()),
        }
    }

    /// Returns the next invocation, or `None` after the hub has closed the connection.
    ///
    /// # Errors
    /// If the connection fails, the server times out, or the hub sends something that is not a SignalR message.
    pub async fn next(&mut self) -> Result<Option<ReceivedInvocation>, ClientError> {
        loop {
            while let Some(body) = self.take_message()? {
                let invocation = match self.protocol {
                    Protocol::Json => json::decode_invocation(&body),
                    Protocol::MessagePack => messagepack::decode_invocation(&body),
                };
                if let Some((target, arguments)) = invocation {
                    return Ok(Some(ReceivedInvocation { target, arguments }));
                }
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    /// Sends a WebSocket Ping and waits for its Pong.
    ///
    /// # Errors
    /// If the connection fails or there is no Pong within 10 seconds.
    pub async fn ping(&mut self) -> Result<(), ClientError> {
        self.socket.send(Message::Ping(Vec::new().into())).await.map_err(connection_error)?;
        let deadline = Instant::now() + PONG_TIMEOUT;
        loop {
            match timeout_at(deadline, self.socket.next()).await {
                Err(_) => return Err(ClientError::NoPong),
                Ok(Some(Ok(Message::Pong(_)))) => return Ok(()),
                Ok(Some(Ok(Message::Close(_))) | None) => {
                    return Err(connection_error(tungstenite::Error::ConnectionClosed));
                }
                Ok(Some(Ok(message))) => self.keep(message),
                Ok(Some(Err(error))) => return Err(connection_error(error)),
            }
        }
    }

    /// Sends nothing for a time. Returns `false` if the connection was closed before.
    pub async fn wait_idle(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match timeout_at(deadline, self.socket.next()).await {
                Err(_) => return true,
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return false,
                Ok(Some(Ok(message))) => self.keep(message),
            }
        }
    }

    /// Keeps the bytes of a message until they are decoded.
    fn keep(&mut self, message: Message) {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            self.received.extend_from_slice(&message.into_data());
        }
    }

    /// Sends a WebSocket Close frame.
    ///
    /// # Errors
    /// If the connection has failed.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.socket.close(None).await.map_err(connection_error)
    }

    /// Takes the next whole message from the received bytes and returns it without its framing. Returns `None` if there is none.
    fn take_message(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let message = protocol::split_message(self.protocol, &self.received, usize::MAX)
            .map_err(|_| ClientError::InvalidMessage)?;
        let Some((body, taken)) = message.map(|(body, taken)| (body.to_vec(), taken)) else { return Ok(None) };
        self.received.drain(..taken);
        Ok(Some(body))
    }

    /// Waits for a WebSocket message and sends pings meanwhile. Returns false after the connection was closed.
    async fn receive(&mut self) -> Result<bool, ClientError> {
        let deadline = Instant::now() + SERVER_TIMEOUT;
        loop {
            match timeout_at(self.ping_due.min(deadline), self.socket.next()).await {
                Err(_) if Instant::now() >= deadline => return Err(ClientError::ServerTimeout),
                Err(_) => {
                    self.ping_due = Instant::now() + KEEP_ALIVE_INTERVAL;
                    let ping = self.protocol.ping();
                    let message = match self.protocol {
                        Protocol::Json => Message::text(String::from_utf8_lossy(ping).into_owned()),
                        Protocol::MessagePack => Message::binary(ping),
                    };
                    self.socket.send(message).await.map_err(connection_error)?;
                }
                Ok(None | Some(Ok(Message::Close(_)))) => return Ok(false),
                Ok(Some(Ok(message))) => {
                    self.keep(message);
                    return Ok(true);
                }
                Ok(Some(Err(error))) => return Err(connection_error(error)),
            }
        }
    }
}

fn connection_error(error: tungstenite::Error) -> ClientError {
    ClientError::Connection(Box::new(error))
}

/// Converts an error of the connection attempt. Reads the hub's message from an HTTP answer.
fn connect_error(error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Http(response) => {
            let body: Option<Value> = response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
            let message = body.and_then(|body| body.get("message")?.as_str().map(str::to_owned));
            let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let explanation = message.or_else(|| challenge.and_then(challenge::error_description));
            ClientError::Refused { status: response.status().as_u16(), explanation }
        }
        other => connection_error(other),
    }
}

/// Returns the WebSocket URL of a hub, or `None` if `url` is not a base URL.
fn websocket_url(url: &str, identity: &ClientIdentity) -> Option<String> {
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
    fn websocket_url_appends_hub_path_to_base_url() {
        let user = ClientIdentity::User(BearerToken::from("x"));
        for url in ["http://a:1", "http://a:1/", "ws://a:1/hub", "HTTP://a:1/hub/"] {
            assert_eq!(websocket_url(url, &user).as_deref(), Some("ws://a:1/hub"), "{url}");
        }
        assert_eq!(websocket_url("https://v/notifications", &user).as_deref(), Some("wss://v/notifications/hub"));
        let anonymous = ClientIdentity::Anonymous("d".to_owned());
        assert_eq!(websocket_url("http://a", &anonymous).as_deref(), Some("ws://a/anonymous-hub?Token=d"));
        for url in ["a:1", "ftp://a", "http://", "http://a/hub?access_token=x"] {
            assert_eq!(websocket_url(url, &user), None, "{url}");
        }
    }
}
