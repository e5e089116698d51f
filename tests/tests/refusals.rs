//! Invalid input at the public and the internal port gets the specified response, and does not affect the hub.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey};
use notification_hub_tests::frames::frame;
use notification_hub_tests::http;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// Returns a user's claims with changes.
fn claims(changes: Value) -> Value {
    let mut claims = token::user(USER, &[], "ChromeBrowser", "test-device");
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn invalid_token_is_answered_401_and_never_logged() -> Result<()> {
    let hub = LocalHub::start("")?;
    let rsa = SigningKey::rs256()?;
    std::fs::write(hub.keys().join("identity.pem"), &rsa.public_pem)?;
    wait::until("the new key is in force", Duration::from_secs(20), || {
        let token = rsa.signer()?.sign(&claims(json!({})))?;
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        Ok(())
    })?;

    let good = hub.token(USER, &[])?;
    let now = token::now();
    let unsigned = {
        use base64::Engine;
        let encode = |json: Value| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", encode(json!({ "alg": "none", "typ": "at+jwt" })), encode(claims(json!({}))))
    };
    // Algorithm confusion: the public key is used as an HMAC secret.
    let confused = Signer::new(Algorithm::HS256, EncodingKey::from_secret(rsa.public_pem.as_bytes()));
    let unknown = SigningKey::es256()?;
    let expired = claims(json!({ "exp": now - 360, "nbf": now - 7200 }));
    let early = claims(json!({ "nbf": now + 360 }));
    let bad = [
        ("malformed", "not-a-token".to_owned()),
        ("malformed", format!("{good}.more")),
        ("signature", unsigned),
        ("signature", confused.sign(&claims(json!({})))?),
        ("signature", Signer::secret(&[b'x'; 40]).sign(&claims(json!({})))?),
        ("signature", SigningKey::rs256()?.signer()?.sign(&claims(json!({})))?),
        ("unknown_key", unknown.signer()?.sign(&claims(json!({})))?),
        ("expired", hub.signer().sign(&expired)?),
        ("not_yet", hub.signer().sign(&early)?),
        ("type", hub.signer().with_type("JWT").sign(&claims(json!({})))?),
        ("malformed", hub.signer().sign(&claims(json!({ "iat": "soon" })))?),
        ("malformed", hub.signer().sign(&claims(json!({ "nbf": null })))?),
        ("malformed", hub.signer().sign(&claims(json!({ "exp": 1e308 })))?),
        ("malformed", hub.signer().sign(&claims(json!({ "sub": [[USER]] })))?),
        ("malformed", hub.signer().sign(&claims(json!({ "jti": 7 })))?),
        ("malformed", hub.signer().sign_with_header(&json!({ "crit": [] }), &claims(json!({})))?),
        ("malformed", hub.signer().sign_with_header(&json!({ "crit": ["b64"], "b64": false }), &claims(json!({})))?),
        ("malformed", hub.signer().sign_with_header(&json!({ "x5t": 7 }), &claims(json!({})))?),
    ];
    let with_members = json!({ "cty": "JWT", "x5t": "eA", "x5t#S256": 7, "more": [1] });
    let unusual = hub.signer().sign_with_header(&with_members, &claims(json!({ "iat": "7", "jti": null })))?;
    ensure!(hub.upgrade(Some(&unusual))?.0.status == 101);
    for (reason, token) in &bad {
        let series = format!("notification_hub_auth_failures_total{{reason=\"{reason}\"}}");
        let before = hub.metric(&series)?;
        let (response, _) = hub.upgrade(Some(token))?;
        ensure!(response.status == 401, "{reason}: {}", response.status);
        let challenge = response.header("www-authenticate").unwrap_or_default();
        ensure!(challenge.starts_with("Bearer error=\"invalid_token\""), "{reason}: {challenge}");
        ensure!(hub.metric(&series)? == before + 1.0, "{reason} is not counted");
    }
    let (response, _) = hub.upgrade(None)?;
    ensure!((response.status, response.header("www-authenticate")) == (401, Some("Bearer")));
    ensure!(hub.upgrade(Some(&hub.signer().sign(&token::internal())?))?.0.status == 403);
    ensure!(hub.upgrade(Some(&good))?.0.status == 101);

    let exp = format!("\"exp\":{}", now - 360);
    for (reason, detail) in
        [("expired", &*exp), ("unknown_key", &*unknown.id), ("not_yet", "\"iss\":\"http://localhost\"")]
    {
        let reason = format!("\"reason\":\"{reason}\"");
        wait::until("the rejection is logged", Duration::from_secs(20), || {
            let log = hub.process.printed();
            let is_logged =
                log.lines().any(|line| [&reason, "token rejected", detail].iter().all(|part| line.contains(*part)));
            ensure!(is_logged, "{reason} with {detail} is not in\n{log}");
            Ok(())
        })?;
    }
    let log = hub.process.printed();
    ensure!(log.contains("client rejected"), "nothing was logged:\n{log}");
    for token in bad.iter().map(|(_, token)| token).chain([&good]) {
        let signature = token.rsplit('.').next().filter(|part| part.len() > 8).unwrap_or(token);
        ensure!(!log.contains(signature), "a token is in the log:\n{log}");
    }
    Ok(())
}

#[test]
fn key_of_every_supported_format_verifies_its_tokens() -> Result<()> {
    let hub = LocalHub::start("")?;
    let (rsa, ec) = (SigningKey::rs256()?, SigningKey::es256()?);
    for (file, text, key) in [
        ("a.pem", &rsa.public_pem, &rsa),
        ("b.jwks.json", &rsa.jwks, &rsa),
        ("c.pem", &ec.public_pem, &ec),
        ("d.jwks.json", &ec.jwks, &ec),
        ("e.pem", &ec.private_pem, &ec),
    ] {
        let token = key.signer()?.sign(&claims(json!({})))?;
        let path = hub.keys().join(file);
        let answers = |status: u16| {
            wait::until(file, Duration::from_secs(20), || {
                let (response, _) = hub.upgrade(Some(&token))?;
                ensure!(response.status == status, "{}", response.status);
                Ok(())
            })
        };
        std::fs::write(&path, text)?;
        answers(101)?;
        std::fs::remove_file(path)?;
        answers(401)?;
    }
    Ok(())
}

#[test]
fn jwk_for_another_use_is_ignored_and_logged() -> Result<()> {
    let hub = LocalHub::start("")?;
    let (good, encrypts) = (SigningKey::rs256()?, SigningKey::es256()?);
    let mut set: Value = serde_json::from_str(&good.jwks)?;
    let mut other: Value = serde_json::from_str(&encrypts.jwks)?;
    other["keys"][0]["key_ops"] = json!(["encrypt"]);
    set["keys"].as_array_mut().context("no keys")?.push(other["keys"][0].clone());
    std::fs::write(hub.keys().join("set.jwks.json"), set.to_string())?;
    wait::until("the set is in force", Duration::from_secs(20), || {
        let token = good.signer()?.sign(&claims(json!({})))?;
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        Ok(())
    })?;
    let token = encrypts.signer()?.sign(&claims(json!({})))?;
    ensure!(hub.upgrade(Some(&token))?.0.status == 401);
    wait::until("the warning", Duration::from_secs(20), || {
        let log = hub.process.printed();
        let is_warning = |line: &str| line.contains("JWK set keys skipped") && line.contains(&encrypts.id);
        ensure!(log.lines().any(is_warning), "{log}");
        Ok(())
    })
}

#[test]
fn send_invalid_push_is_rejected_and_not_delivered() -> Result<()> {
    let hub = LocalHub::start("")?;
    let message = |response: &http::Response| response.json().map(|body| body["message"].to_string());
    for (body, says) in [
        ("{", "EOF"),
        ("[]", "must be an object"),
        (r#"{"type":"11","payload":{}}"#, "push.Type"),
        (r#"{"type":11}"#, "push.Payload"),
        (r#"{"type":11,"payload":{"userId":7}}"#, "push.Payload.UserId"),
        (r#"{"type":11,"payload":{"userId":"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c"},}"#, "trailing comma"),
        (r#"{"type":300,"payload":{}}"#, "push.Type"),
    ] {
        let response = hub.post(body.as_bytes())?;
        ensure!(response.status == 400, "{body}: {}", response.status);
        ensure!(message(&response)?.contains(says), "{body}: {}", response.text());
    }
    let response = hub.post(&vec![b'x'; 10 * 1024 * 1024])?;
    ensure!(response.status == 413, "{}", response.status);
    ensure!(message(&response)?.contains("1048576"), "{}", response.text());
    ensure!(hub.post(b" \r\n")?.status == 200);

    let user_token = format!("Bearer {}", hub.token(USER, &[])?);
    let as_user = http::request(hub.internal, "POST", "/send", &[("Authorization", &user_token)], b"{}")?;
    ensure!(as_user.status == 403, "{}", as_user.status);
    ensure!(http::request(hub.internal, "POST", "/send", &[], b"{}")?.status == 401);
    ensure!(http::request(hub.internal, "GET", "/send", &[], b"")?.status == 405);
    ensure!(hub.metric("notification_hub_frames_delivered_total")? == 0.0);
    hub.push(&json!({ "type": 5, "payload": { "userId": USER } }))
}

#[test]
fn send_member_missing_is_logged_once_per_type_and_member() -> Result<()> {
    let hub = LocalHub::start("")?;
    for kind in [7, 7, 8, 7] {
        hub.push(&json!({ "type": kind, "payload": { "userId": USER } }))?;
    }
    hub.push(&json!({ "type": 27, "payload": { "userId": USER } }))?;
    notification_hub_tests::wait::until("the last push is logged", std::time::Duration::from_secs(20), || {
        let log = hub.process.printed();
        ensure!(log.contains("Premium"), "{log}");
        // Id and RevisionDate of both types, and Premium.
        ensure!(log.matches("push lacks a member").count() == 5, "{log}");
        Ok(())
    })
}

#[test]
fn hub_request_without_upgrade_names_the_missing_header() -> Result<()> {
    let hub = LocalHub::start("")?;
    for (headers, says) in [
        (&[][..], "'Connection: Upgrade' is missing"),
        (&[("Connection", "Upgrade")][..], "'Upgrade: websocket' is missing"),
    ] {
        let response = http::request(hub.public, "GET", "/notifications/hub", headers, b"")?;
        ensure!(response.status == 400, "{}", response.status);
        ensure!(response.text().contains(says), "{}", response.text());
    }
    // The public port does not serve senders.
    ensure!(http::request(hub.public, "POST", "/send", &[], b"{}")?.status == 404);
    ensure!(http::get(hub.public, "/alive")?.status == 200);
    Ok(())
}

/// Sends bytes after an upgrade, and returns all bytes from the hub until it closes the connection.
fn conversation(hub: &LocalHub, said: &[u8]) -> Result<Vec<u8>> {
    let (response, mut connection) = hub.upgrade(Some(&hub.token(USER, &[])?))?;
    ensure!(response.status == 101, "{}", response.status);
    // The write fails if the hub closes the connection early.
    let _ = connection.write(said);
    let (mut stream, mut received) = connection.into_parts();
    stream.read_to_end(&mut received).context("the hub did not close the connection")?;
    Ok(received)
}

#[test]
fn invalid_client_messages_get_the_specified_error() -> Result<()> {
    let hub = LocalHub::start("signalr.handshake_timeout = '2s'")?;
    let (response, bystander) = hub.upgrade(Some(&hub.token(USER, &[])?))?;
    ensure!(response.status == 101);
    let (mut bystander, _) = bystander.into_parts();
    let shake = frame(1, b"{\"protocol\":\"json\",\"version\":1}\x1e");
    std::io::Write::write_all(&mut bystander, &shake)?;

    for (what, said, answer) in [
        ("no JSON", frame(1, b"hello\x1e"), "An unexpected error occurred during connection handshake."),
        (
            "an unknown protocol",
            frame(1, b"{\"protocol\":\"xml\",\"version\":1}\x1e"),
            "The protocol 'xml' is not supported.",
        ),
        (
            "a version from the future",
            frame(1, b"{\"protocol\":\"json\",\"version\":3}\x1e"),
            "The server does not support version 3 of the 'json' protocol.",
        ),
        ("a handshake of 1 MB", frame(1, &vec![b' '; 1 << 20]), "Handshake was canceled."),
        ("silence", Vec::new(), "Handshake was canceled."),
        (
            "a message that is no JSON",
            [shake.clone(), frame(1, b"{]\x1e")].concat(),
            "Connection closed with an error.",
        ),
        (
            "a message that is too large",
            [shake.clone(), frame(1, &vec![b'x'; 40_000])].concat(),
            "Connection closed with an error.",
        ),
    ] {
        let received = String::from_utf8_lossy(&conversation(&hub, &said)?).into_owned();
        ensure!(received.contains(answer), "{what}: {received:?}");
        ensure!(received.contains("\u{fffd}\u{2}\u{3}\u{fffd}"), "{what}: no close 1000 in {received:?}");
    }
    for (what, said) in [
        ("no WebSocket at all", vec![0xff; 64]),
        ("an unmasked frame", b"\x81\x02hi".to_vec()),
        ("a control frame of 1 MB", frame(9, &vec![0; 1 << 20])),
    ] {
        let received = conversation(&hub, &said)?;
        ensure!(received == b"\x88\x02\x03\xea", "{what}: {received:x?}");
    }

    hub.push(&json!({ "type": 5, "payload": { "userId": USER } }))?;
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("ReceiveMessage") {
        let mut buffer = [0; 4096];
        let count = bystander.read(&mut buffer).context("the bystander received nothing")?;
        ensure!(count > 0, "the bystander was disconnected");
        received.extend_from_slice(&buffer[..count]);
    }
    ensure!(hub.metric(r#"notification_hub_handshake_failures_total{reason="timeout"}"#)? == 1.0);
    Ok(())
}
