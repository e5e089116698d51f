//! Checks the upgrade to a WebSocket, SignalR's handshake, pings, and with `--idle` how long a quiet connection lasts.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Upgraded;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use uuid::Uuid;

use super::http_answer::{Fault, HttpAnswer};
use super::http_probe::{HttpProbe, read_answer};
use super::report::{Advice, Finding, Report};
use crate::auth::bearer::BearerToken;
use crate::client::{Client, ClientError};
use crate::signalr::protocol::Protocol;

const NGINX: &str = "docs/proxies.md#nginx";
const PROXIES: &str = "docs/proxies.md";
const CLIENTS: &str = "docs/troubleshooting.md#clients";

/// The times for which the connection is quiet with `--idle`.
const IDLE_TIMES: [u64; 4] = [20, 40, 70, 130];

/// Returns the path of the hub and the headers of its clients: of the main hub with a token, otherwise of the anonymous hub for a
/// login request that does not exist.
pub(super) fn hub_path(token: Option<&BearerToken>) -> (&'static str, String, HeaderMap) {
    let mut headers = HeaderMap::new();
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {}", token.reveal())).ok());
    match value {
        Some(mut value) => {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            ("/hub", String::new(), headers)
        }
        None => ("/anonymous-hub", format!("?Token={}", Uuid::new_v4()), headers),
    }
}

/// Connects, performs the handshake and sends a ping.
pub(super) async fn check(probe: &HttpProbe, token: Option<&BearerToken>, idle: bool, report: &mut Report<'_>) {
    let upgraded = match upgrade(probe, token).await {
        Ok(upgraded) => upgraded,
        Err(Fault { seen, advice }) => {
            report.add(Finding::fail("websocket", seen, advice));
            return;
        }
    };
    report.add(Finding::ok("websocket", "the connection is upgraded"));
    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let mut client = match Client::start(socket, Protocol::MessagePack).await {
        Ok(client) => client,
        Err(error) => {
            report.add(lost("handshake", &error));
            return;
        }
    };
    report.add(Finding::ok("handshake", "the hub accepts the protocol messagepack"));
    if report.add(ping(&mut client).await) && idle {
        check_idle(&mut client, report).await;
    }
    // The hub may have closed the connection already.
    let _ = client.close().await;
}

async fn upgrade(probe: &HttpProbe, token: Option<&BearerToken>) -> Result<Upgraded, Fault> {
    let (path, query, mut headers) = hub_path(token);
    let key = BASE64_STANDARD.encode(Uuid::new_v4().as_bytes());
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.extend(HeaderValue::from_str(&key).map(|key| (SEC_WEBSOCKET_KEY, key)));
    let response = probe.send(Method::GET, &format!("{path}{query}"), headers).await?;
    if response.status().as_u16() != 101 {
        return Err(judge_refusal(&read_answer(response).await));
    }
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Fault::new(
            "status 101 with a wrong Sec-WebSocket-Accept",
            "a proxy answers the upgrade itself",
            "forward the upgrade to the hub",
            NGINX,
        ));
    }
    response.upgrade().await.map_err(|error| {
        Fault::new(error.without_url().to_string(), "the connection ended", "read the log of the proxy", PROXIES)
    })
}

/// Returns the fault of an answer other than 101.
fn judge_refusal(answer: &HttpAnswer) -> Fault {
    let message = answer.hub_message();
    if let Some(message) = message.filter(|message| message.contains("WebSocket endpoint")) {
        return Fault::new(
            message,
            "the proxy does not pass the upgrade on, or speaks HTTP/1.0 to the hub",
            "set proxy_http_version 1.1, and forward the headers Upgrade and Connection",
            NGINX,
        );
    }
    if answer.is_refusal_of_hub() {
        return token_fault(answer);
    }
    match answer.status {
        426 | 501 => Fault::new(
            format!("status {}", answer.status),
            "the proxy does not support WebSockets here",
            "allow WebSockets in the proxy",
            PROXIES,
        ),
        429 => Fault::new(
            "status 429",
            "the hub or a proxy limits the connections of this address",
            "raise limits.max_connections_per_ip, and name the proxy in limits.trusted_proxies",
            CLIENTS,
        ),
        200 | 204 => Fault::new(
            format!("status {} instead of 101", answer.status),
            "another server or a cache answers the upgrade",
            "forward this path to the hub, with the headers Upgrade and Connection",
            NGINX,
        ),
        _ => answer.wrong_responder(),
    }
}

/// Returns the fault that the hub refused the token.
pub(super) fn token_fault(answer: &HttpAnswer) -> Fault {
    let challenge = answer.header(http::header::WWW_AUTHENTICATE);
    match crate::auth::challenge::error_description(challenge) {
        Some(description) => Fault::new(
            format!("status 401: {description}"),
            "the hub refuses the token",
            "run doctor with --token-file on the hub's machine, which names the reason",
            CLIENTS,
        ),
        None if challenge.contains("invalid_token") => Fault::new(
            "status 401: invalid_token",
            "the hub refuses the token",
            "run doctor with --token-file on the hub's machine, which names the reason",
            CLIENTS,
        ),
        None => Fault::new(
            "status 401 without an error",
            "the hub did not receive the token",
            "let the proxy forward the header Authorization",
            PROXIES,
        ),
    }
}

async fn ping(client: &mut Client<Upgraded>) -> Finding {
    let started = Instant::now();
    match client.ping().await {
        Ok(()) => Finding::ok("ping", format!("answered in {} ms", started.elapsed().as_millis())),
        Err(error) => lost("ping", &error),
    }
}

fn lost(check: &'static str, error: &ClientError) -> Finding {
    let advice = Advice {
        meaning: "the proxy upgrades the connection, but does not pass messages on",
        remedy: "turn buffering and inspection of WebSockets off in the proxy",
        page: PROXIES,
    };
    Finding::fail(check, error.to_string(), advice)
}

/// Sends nothing for each of the times, with a ping behind it.
async fn check_idle(client: &mut Client<Upgraded>, report: &mut Report<'_>) {
    for seconds in IDLE_TIMES {
        let started = Instant::now();
        let is_open = client.wait_idle(Duration::from_secs(seconds)).await;
        if !is_open || client.ping().await.is_err() {
            report.add(cut(seconds, started.elapsed()));
            return;
        }
        report.add(Finding::ok("idle", format!("open after {seconds} s without a message of the client")));
    }
}

fn cut(seconds: u64, after: Duration) -> Finding {
    let advice = Advice {
        meaning: "an idle timeout on the way ends quiet connections, and clients reconnect again and again",
        remedy: "set the read and idle timeouts of proxies and load balancers above that time (proxy_read_timeout)",
        page: PROXIES,
    };
    let seen = format!("closed after {} s of {seconds} s without a message of the client", after.as_secs());
    Finding::fail("idle", seen, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_upgrade_names_the_hop() {
        for (recorded, expected) in [
            (
                "HTTP/1.1 400 Bad Request\nContent-Type: application/json\n\n{\"message\":\"Connection ID required; the header \
                 'Upgrade: websocket' is missing: this is a WebSocket endpoint, and a proxy\"}",
                "does not pass the upgrade on",
            ),
            ("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer\n\n", "did not receive the token"),
            (
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"The token \
                 expired\"\n\n",
                "refuses the token",
            ),
            ("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer error=\"invalid_token\"\n\n", "refuses the token"),
            ("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=\"vault\"\n\n", "asks for a login"),
            ("HTTP/1.1 429 Too Many Requests\n\n", "limits the connections"),
            ("HTTP/1.1 426 Upgrade Required\n\n", "does not support WebSockets"),
            ("HTTP/1.1 200 OK\n\nok", "answers the upgrade"),
            ("HTTP/1.1 301 Moved\nLocation: https://other.example.com/hub\n\n", "do not follow redirects"),
            ("HTTP/1.0 502 Bad Gateway\n\n", "does not reach the hub"),
        ] {
            let fault = judge_refusal(&HttpAnswer::from_recorded(recorded));
            assert!(fault.advice.meaning.contains(expected), "{recorded}: {fault:?}");
        }
    }
}
