//! Requests that no client would make: refused as the front door's contract says, and never taken for something else.

use anyhow::{Context, Result, ensure};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// A good upgrade, to be spoiled.
fn upgrade(hub: &LocalHub) -> Result<String> {
    let authorization = format!("Authorization: Bearer {}\r\n", hub.token(USER, &[])?);
    Ok(http::upgrade("/hub", "hub", &authorization))
}

/// The status of the answer to some bytes, after which the connection has to end.
fn status(hub: &LocalHub, request: &[u8]) -> Result<u16> {
    let mut connection = Connection::open(hub.public)?;
    // A hub that refuses early does not take all of it.
    let _ = connection.write(request);
    let response = connection.response()?;
    if response.status != 101 {
        // In HTTP/1.0 that goes without saying.
        let old = request.windows(8).any(|bytes| bytes == b"HTTP/1.0");
        ensure!(old || response.header("connection") == Some("close"), "the connection may go on: {response:?}");
        ensure!(connection.ended()?, "the connection goes on behind {response:?}");
    }
    Ok(response.status)
}

#[test]
fn an_upgrade_that_is_spoiled_is_refused() -> Result<()> {
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
        ("a body of an unknown coding", "Host: hub", "Host: hub\r\nTransfer-Encoding: identity", 400),
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
        ("an absolute target", "/hub", "http://hub/hub", 400),
        ("a target that is an authority", "/hub", "hub:80", 404),
        ("a path in percents", "/hub", "/%68ub", 404),
        ("a slash in percents", "/hub", "/notifications%2fhub", 404),
        ("dots", "/hub", "/x/../hub", 404),
        ("two slashes", "/hub", "//hub", 404),
        ("a null byte in percents", "/hub", "/hub%00", 404),
        ("a fragment", "/hub", "/hub#x", 400),
        ("another method", "GET", "POST", 400),
        ("a method in lower case", "GET", "get", 405),
        ("no method", "GET ", " ", 400),
    ] {
        let request = good.replacen(from, to, 1);
        ensure!(request != good, "{what} spoils nothing");
        // What stands for bytes that are no UTF-8.
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
fn a_query_of_any_bytes_is_a_query() -> Result<()> {
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
        let found = status(&hub, http::upgrade(&format!("/hub?{query}"), "hub", "").as_bytes())?;
        ensure!(found == expected, "{}: {found} instead of {expected}", query.replace(&token, "TOKEN"));
    }
    Ok(())
}

#[test]
fn what_is_no_http_1_is_told_so() -> Result<()> {
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
fn a_head_has_a_size_and_so_many_headers() -> Result<()> {
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
fn nothing_behind_a_request_is_taken_for_another() -> Result<()> {
    let hub = LocalHub::start("")?;
    let good = upgrade(&hub)?;
    let alive = "GET /alive HTTP/1.1\r\nHost: hub\r\n\r\n";
    for (what, first, expected) in [
        ("a request", alive.to_owned(), 200),
        ("a head", "HEAD /alive HTTP/1.1\r\nHost: hub\r\n\r\n".to_owned(), 200),
        ("a request of HTTP/1.0", "GET /alive HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), 200),
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
            "an upgrade with a body",
            good.replacen("Host: hub", "Host: hub\r\nContent-Length: 4", 1) + "GET ",
            400,
        ),
        (
            "an upgrade of something else",
            good.replacen("/hub", "/alive", 1),
            200,
        ),
        (
            "a refused upgrade",
            http::upgrade("/hub", "hub", ""),
            401,
        ),
    ] {
        for second in [alive, &good] {
            let mut connection = Connection::open(hub.public)?;
            connection.write(format!("{first}{second}").as_bytes())?;
            let (mut stream, _) = connection.into_parts();
            let mut heard = Vec::new();
            std::io::Read::read_to_end(&mut stream, &mut heard).context(what)?;
            let heard = String::from_utf8_lossy(&heard).into_owned();
            let answers: Vec<&str> = heard.matches("HTTP/1.").collect();
            ensure!(answers.len() == 1, "{what}: {} answers: {heard}", answers.len());
            ensure!(heard.split(' ').nth(1) == Some(&expected.to_string()), "{what}: {heard}");
        }
    }
    Ok(())
}
