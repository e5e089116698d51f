//! Unusual and invalid requests to the public port: they are rejected as specified, and never interpreted differently. Valid
//! requests share kept-alive connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::frames::{frame, opcode};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::NegotiatedClient;
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient};
use notification_hub_tests::wait;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// Returns a valid upgrade request.
fn upgrade(hub: &LocalHub) -> Result<String> {
    let authorization = format!("Authorization: Bearer {}\r\n", hub.token(USER, &[])?);
    Ok(http::upgrade_request("/hub", "hub", &authorization))
}

/// Returns the status of the response to some bytes. After a response with `Connection: close`, the hub must close the
/// connection.
fn status(hub: &LocalHub, request: &[u8]) -> Result<u16> {
    status_at(hub.public, request)
}

fn status_at(address: SocketAddr, request: &[u8]) -> Result<u16> {
    let mut connection = Connection::open(address)?;
    // The write fails if the hub rejects the request early.
    let _ = connection.write(request);
    let response = connection.response()?;
    if response.header("connection") == Some("close") {
        ensure!(connection.is_closed()?, "the connection stays open after {response:?}");
    }
    Ok(response.status)
}

#[test]
fn malformed_upgrade_is_rejected() -> Result<()> {
    let hub = LocalHub::start("")?;
    let good = upgrade(&hub)?;
    ensure!(status(&hub, good.as_bytes())? == 101);
    for (what, from, to, expected) in [
        ("two hosts", "Host: hub", "Host: hub\r\nHost: other", 400),
        ("two hosts that agree", "Host: hub", "Host: hub\r\nhost: hub", 400),
        ("no host", "Host: hub\r\n", "", 400),
        ("a body", "Host: hub", "Host: hub\r\nContent-Length: 5", 400),
        ("two lengths", "Host: hub", "Host: hub\r\nContent-Length: 0\r\nContent-Length: 0", 400),
        ("a length that is a list", "Host: hub", "Host: hub\r\nContent-Length: 0, 0", 400),
        ("a length that is none", "Host: hub", "Host: hub\r\nContent-Length: -0", 400),
        ("a length with a sign", "Host: hub", "Host: hub\r\nContent-Length: +0", 400),
        ("a chunked body", "Host: hub", "Host: hub\r\nTransfer-Encoding: chunked", 400),
        ("a body of an unknown coding", "Host: hub", "Host: hub\r\nTransfer-Encoding: identity", 501),
        ("both", "Host: hub", "Host: hub\r\nContent-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("an expectation", "Host: hub", "Host: hub\r\nExpect: 100-continue", 400),
        ("an old version", "HTTP/1.1", "HTTP/1.0", 400),
        ("a version from the future", "HTTP/1.1", "HTTP/1.2", 400),
        ("an old WebSocket", "Version: 13", "Version: 8", 426),
        ("a short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400),
        (
            "two keys",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version",
            400,
        ),
        ("a bare carriage return", "Host: hub", "Host: hub\rX: y", 400),
        ("a folded header", "Host: hub", "Host: hub\r\n X: y", 400),
        ("a space before a colon", "Host: hub", "Host : hub", 400),
        ("a NUL in a value", "Host: hub", "Host: hub\0", 400),
        ("a NUL in a name", "Host: hub", "X\0: y\r\nHost: hub", 400),
        ("a NUL in the target", "/hub", "/hub?\0", 400),
        ("bytes in the target that are no UTF-8", "/hub", "/hub?\u{fffd}", 400),
        ("a space in the target", "/hub", "/hub?a b", 400),
        ("no target", "/hub ", " ", 400),
        ("an absolute target", "/hub", "http://vault.example/notifications/hub", 101),
        ("an absolute target of a user", "/hub", "http://user@hub/hub", 400),
        ("a target that is an authority", "/hub", "hub:80", 404),
        ("a path in percents", "/hub", "/%68ub", 101),
        ("a slash in percents", "/hub", "/notifications%2fhub", 404),
        ("dots", "/hub", "/x/../hub", 101),
        ("two slashes", "/hub", "//hub", 101),
        ("a null byte in percents", "/hub", "/hub%00", 404),
        ("a fragment", "/hub", "/hub#x", 400),
        ("another method", "GET", "POST", 400),
        ("a method in lower case", "GET", "get", 405),
        ("no method", "GET ", " ", 400),
    ] {
        let request = good.replacen(from, to, 1);
        ensure!(request != good, "{what} changes nothing");
        // The removed byte makes invalid UTF-8 of U+FFFD.
        let request: Vec<u8> = request.bytes().filter(|byte| !matches!(byte, 0xbf)).collect();
        let found = status(&hub, &request).context(what)?;
        ensure!(found == expected, "{what}: {found} instead of {expected}");
    }
    // Lines may end with a line feed alone (RFC 9112, 2.2), and blank ones may come first.
    ensure!(status(&hub, good.replace("\r\n", "\n").as_bytes())? == 101);
    ensure!(status(&hub, format!("\r\n\r\n{good}").as_bytes())? == 101);
    Ok(())
}

#[test]
fn upgrade_query_with_arbitrary_bytes_is_parsed() -> Result<()> {
    let hub = LocalHub::start("")?;
    let token = hub.token(USER, &[])?;
    for (query, expected) in [
        (format!("access_token={token}&%ff=%fe"), 101),
        (format!("%41ccess_token={token}"), 101),
        (format!("ACCESS_TOKEN={token}"), 101),
        (format!("&&=&a&access_token={token}&access_token=x"), 101),
        (format!("access_token=x&access_token={token}"), 401),
        (format!("access_token={token}%00"), 401),
        (format!("access_token=%ff{token}"), 401),
        (format!("access_token={token}%"), 401),
        ("access_token=%".to_owned(), 401),
        (format!("access_token={token}&id=%ff"), 404),
        (format!("access_token={token}&id="), 404),
    ] {
        let found = status(&hub, http::upgrade_request(&format!("/hub?{query}"), "hub", "").as_bytes())?;
        ensure!(found == expected, "{}: {found} instead of {expected}", query.replace(&token, "TOKEN"));
    }
    Ok(())
}

#[test]
fn request_other_than_http_1_is_rejected() -> Result<()> {
    let hub = LocalHub::start("")?;
    for (what, request, expected) in [
        ("HTTP/2", &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], 505),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("nothing but ends of lines and then nonsense", b"\r\n\r\n\r\n\x01\x02\x03\r\n\r\n", 400),
        ("zeros", &[0; 512], 400),
        ("HTTP/0.9", b"GET /alive\r\n\r\n", 400),
    ] {
        let found = status(&hub, request).context(what)?;
        ensure!(found == expected, "{what}: {found} instead of {expected}");
    }
    Ok(())
}

#[test]
fn request_head_too_large_is_answered_431() -> Result<()> {
    let hub = LocalHub::start("")?;
    let good = upgrade(&hub)?;
    let more = |headers: &str| good.replacen("Host: hub\r\n", &format!("Host: hub\r\n{headers}"), 1);
    let padding = |length: usize| format!("X: {}\r\n", "x".repeat(length));
    ensure!(status(&hub, more(&padding(60_000)).as_bytes())? == 101);
    for (what, request) in [
        ("a long header", more(&padding(66_000))),
        ("a long header that does not end", good.trim_end().to_owned() + &"x".repeat(70_000)),
        ("a long target", good.replacen("/hub", &format!("/hub?{}", "x".repeat(70_000)), 1)),
        ("a megabyte", more(&padding(1 << 20))),
        ("nothing but ends of lines", "\r\n".repeat(40_000)),
        ("too many headers", more(&"X: y\r\n".repeat(200))),
    ] {
        let found = status(&hub, request.as_bytes()).context(what)?;
        ensure!(found == 431, "{what}: {found}");
    }
    ensure!(status(&hub, b"GET /alive HTTP/1.1\r\nHost: hub\r\n\r\n")? == 200);
    Ok(())
}

#[test]
fn bytes_after_a_final_request_are_not_parsed() -> Result<()> {
    let hub = LocalHub::start("")?;
    let good = upgrade(&hub)?;
    let alive = "GET /alive HTTP/1.1\r\nHost: hub\r\n\r\n";
    for (what, first, expected) in [
        ("a request that is the last", alive.replacen("hub", "hub\r\nConnection: close", 1), 200),
        ("a request of HTTP/1.0", "GET /alive HTTP/1.0\r\n\r\n".to_owned(), 200),
        (
            "a body of two lengths",
            "POST /hub/negotiate HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a body of a length in chunks",
            "POST /anonymous-hub/negotiate HTTP/1.1\r\nHost: hub\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            200,
        ),
        (
            "a body that nobody reads",
            "POST /hub/negotiate HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n".to_owned(),
            401,
        ),
        ("an upgrade with a body", good.replacen("Host: hub", "Host: hub\r\nContent-Length: 4", 1) + "GET ", 400),
        ("a refused upgrade", http::upgrade_request("/hub", "hub", ""), 401),
    ] {
        for second in [alive, &good] {
            let mut connection = Connection::open(hub.public)?;
            connection.write(format!("{first}{second}").as_bytes())?;
            let (mut stream, _) = connection.into_parts();
            let mut received = Vec::new();
            std::io::Read::read_to_end(&mut stream, &mut received).context(what)?;
            let received = String::from_utf8_lossy(&received).into_owned();
            let answers: Vec<&str> = received.matches("HTTP/1.").collect();
            ensure!(answers.len() == 1, "{what}: {} answers: {received}", answers.len());
            ensure!(received.split(' ').nth(1) == Some(&expected.to_string()), "{what}: {received}");
        }
    }
    Ok(())
}

#[test]
fn public_connection_is_kept_alive_across_requests_and_upgrade() -> Result<()> {
    let hub = LocalHub::start("listen.send_on_public = true")?;
    let client = NegotiatedClient::new(&hub)?;
    let user = client.user.clone();
    let mut connection = Connection::open(hub.public)?;
    for (method, target) in [("GET", "/alive"), ("HEAD", "/version"), ("GET", "/nobody"), ("POST", "/hub/negotiate")] {
        let bodiless = method == "HEAD";
        let response = if bodiless {
            connection.write(b"HEAD /version HTTP/1.1\r\nHost: hub\r\n\r\n")?;
            connection.head()?
        } else {
            connection.request(method, target, &[("Authorization", &client.authorization)], b"")?
        };
        ensure!(response.header("connection").is_none(), "{method} {target}: {response:?}");
    }
    // A chunked body, as .NET's senders write it, in two parts and followed by the next request.
    let internal = hub.signer().sign(&notification_hub_tests::token::internal())?;
    let push = format!("{{\"type\":11,\"payload\":{{\"userId\":\"{user}\"}}}}");
    let head = format!(
        "POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {internal}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write(format!("{head}{:x}\r\n{push}\r\n0", push.len()).as_bytes())?;
    connection.write(b"\r\n\r\nGET /alive HTTP/1.1\r\nHost: hub\r\n\r\n")?;
    ensure!(connection.response()?.status == 200);
    ensure!(connection.response()?.text().starts_with('"'));
    // Polls and posts of a client on the same connection.
    for (method, body, answer) in
        [("GET", &b""[..], ""), ("POST", HANDSHAKE, ""), ("GET", b"", "{}\u{1e}"), ("DELETE", b"", "")]
    {
        let response = connection.request(method, &client.target, &[("Authorization", &client.authorization)], body)?;
        ensure!(matches!(response.status, 200 | 202) && response.text() == answer, "{method}: {response:?}");
    }
    connection.write(upgrade(&hub)?.as_bytes())?;
    ensure!(connection.response()?.status == 101);
    let mut client = RawClient::from(connection);
    client.send(&frame(opcode::TEXT, HANDSHAKE))?;
    client.read_until("{}")?;
    Ok(())
}

#[test]
fn kept_alive_connection_with_partial_head_times_out() -> Result<()> {
    let hub = LocalHub::start("")?;
    let half = |address| -> Result<Connection> {
        let mut connection = Connection::open(address)?;
        connection.request("GET", "/alive", &[], b"")?;
        connection.write(b"GET /alive HTTP/1.1\r\n")?;
        Ok(connection)
    };
    for mut connection in [half(hub.public)?, half(hub.internal)?, half(hub.admin)?] {
        ensure!(connection.is_closed()?);
    }
    Ok(())
}

#[test]
fn request_without_valid_host_is_rejected_on_every_port() -> Result<()> {
    let hub = LocalHub::start("")?;
    for (address, path) in
        [(hub.public, "/alive"), (hub.public, "/hub"), (hub.internal, "/send"), (hub.admin, "/healthz")]
    {
        for host in ["a b", "a/b", "user@a", "a:x", "[::1", "<x>", "a\r\nHost: a"] {
            let found = status_at(address, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
            ensure!(found == 400, "{path}, {host}: {found}");
        }
        let found = status_at(address, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())?;
        ensure!(found == 400, "{path} without a host: {found}");
        for codings in ["chunked, chunked", "gzip, chunked", "gzip"] {
            let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {codings}\r\n\r\n0\r\n\r\n");
            let found = status_at(address, request.as_bytes())?;
            ensure!(found == 501, "{path}, {codings}: {found}");
        }
    }
    Ok(())
}

#[test]
fn load_balancer_health_check_requests_are_answered_200() -> Result<()> {
    let hub = LocalHub::start("")?;
    for request in ["GET / HTTP/1.1\r\nHost: hub\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        ensure!(status(&hub, request.as_bytes())? == 200, "{request:?}");
    }
    Ok(())
}

#[test]
fn negotiate_with_non_integer_version_returns_error() -> Result<()> {
    let hub = LocalHub::start("")?;
    for version in ["2147483648", "1&negotiateVersion=0", "x"] {
        let target = format!("/anonymous-hub/negotiate?negotiateVersion={version}");
        let response = http::request(hub.public, "POST", &target, &[], b"")?;
        let expected = r#"{"error":"The client requested a non-integer protocol version."}"#;
        ensure!((response.status, response.text().as_str()) == (200, expected), "{version}: {response:?}");
    }
    Ok(())
}

/// A PROXY header (version 1).
const PROXY: &[u8] = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n";

#[test]
fn proxy_header_from_a_trusted_proxy_names_the_client() -> Result<()> {
    let hub = LocalHub::start(
        "listen.proxy_protocol = true\nlimits = { max_connections_per_ip = 1, trusted_proxies = ['127.0.0.0/8'] }",
    )?;
    let version_2 = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[198, 51, 100, 8, 10, 0, 0, 1, 0, 1, 0, 80][..]].concat();
    let good = upgrade(&hub)?;
    let open = |preface: &[u8]| -> Result<(u16, Connection)> {
        let mut connection = Connection::open(hub.public)?;
        connection.write(&[preface, good.as_bytes()].concat())?;
        Ok((connection.response()?.status, connection))
    };
    let mut inside = Vec::new();
    for preface in [PROXY, &version_2] {
        let (status, connection) = open(preface)?;
        ensure!(status == 101, "{status}");
        inside.push(connection);
        ensure!(open(preface)?.0 == 429, "the connection does not count for the client's address");
    }
    // A request that axum serves, and one without a PROXY header.
    ensure!(status(&hub, &[PROXY, b"GET /alive HTTP/1.1\r\nHost: hub\r\n\r\n"].concat())? == 200);
    ensure!(http::get(hub.public, "/alive")?.status == 200);
    Ok(())
}

#[test]
fn proxy_header_when_disabled_is_rejected_and_logged() -> Result<()> {
    let hub = LocalHub::start("")?;
    ensure!(status(&hub, &[PROXY, b"GET /alive HTTP/1.1\r\nHost: hub\r\n\r\n"].concat())? == 400);
    wait::until("the log names the setting", Duration::from_secs(20), || {
        ensure!(hub.process.printed().contains("listen.proxy_protocol"));
        Ok(())
    })
}
