//! Keys of an identity server: discovery, rotation and outages.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::issuer::Issuer;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::{http, token, wait};
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

fn sign(key: &SigningKey, issuer: &str, claims: Value) -> Result<String> {
    let mut claims = claims;
    claims["iss"] = json!(issuer);
    key.signer()?.sign(&claims)
}

fn user_token(key: &SigningKey, issuer: &Issuer) -> Result<String> {
    sign(key, &issuer.issuer(), token::user(USER, &[], "ChromeBrowser", "test-device"))
}

/// Waits until an upgrade with a token is answered with a status.
fn wait_status(hub: &LocalHub, token: &str, status: u16) -> Result<()> {
    wait::until(&status.to_string(), WAIT_TIMEOUT, || {
        let (response, _) = hub.upgrade(Some(token))?;
        ensure!(response.status == status, "{}", response.status);
        Ok(())
    })
}

#[test]
fn discovered_keys_are_refreshed_on_an_unknown_key_id() -> Result<()> {
    let (old, new) = (SigningKey::rs256()?, SigningKey::rs256()?);
    let issuer = Issuer::start(Some(&old.jwks))?;
    let hub = LocalHub::start_with_authority(&issuer.url(), "")?;
    wait_status(&hub, &user_token(&old, &issuer)?, 101)?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &user_token(&old, &issuer)?, "json", &[])?;

    issuer.set_keys(Some(&new.jwks));
    wait_status(&hub, &user_token(&new, &issuer)?, 101)?;
    wait_status(&hub, &user_token(&old, &issuer)?, 401)?;
    // Connected clients stay, and senders are verified with the same keys.
    let authorization = format!("Bearer {}", sign(&new, &issuer.issuer(), token::internal())?);
    let push = json!({ "type": 11, "payload": { "userId": USER } }).to_string();
    let response = http::request(hub.internal, "POST", "/send", &[("Authorization", &authorization)], push.as_bytes())?;
    ensure!(response.status == 200, "{}", response.status);
    client.notification(|push| push["type"] == 11)?;

    // The issuer is that of the discovery document, which has no port.
    let foreign = sign(&new, &issuer.url(), token::user(USER, &[], "ChromeBrowser", "test-device"))?;
    ensure!(hub.upgrade(Some(&foreign))?.0.status == 401);
    ensure!(hub.metric(r#"notification_hub_auth_failures_total{reason="issuer"}"#)? == 1.0);
    Ok(())
}

#[test]
fn forged_tokens_at_once_cause_at_most_two_fetches() -> Result<()> {
    let (key, forged) = (SigningKey::rs256()?, SigningKey::rs256()?);
    let issuer = Issuer::start(Some(&key.jwks))?;
    let hub = LocalHub::start_with_authority(&issuer.url(), "")?;
    wait_status(&hub, &user_token(&key, &issuer)?, 101)?;
    let token = user_token(&forged, &issuer)?;
    let before = issuer.fetch_count();
    std::thread::scope(|scope| {
        let tries: Vec<_> = (0..50).map(|_| scope.spawn(|| Ok(hub.upgrade(Some(&token))?.0.status))).collect();
        for each in tries {
            let status: Result<u16> = each.join().unwrap_or_else(|_| Ok(0));
            ensure!(status? == 401);
        }
        Ok(())
    })?;
    // Simultaneous tokens cause one fetch. A second one may be due by then.
    ensure!(issuer.fetch_count() - before <= 2, "{} fetches", issuer.fetch_count() - before);
    Ok(())
}

#[test]
fn identity_server_outage_keeps_the_last_good_keys() -> Result<()> {
    let key = SigningKey::rs256()?;
    let issuer = Issuer::start(None)?;
    let hub = LocalHub::start_with_authority(&issuer.url(), "")?;
    let token = user_token(&key, &issuer)?;
    let (response, _) = hub.upgrade(Some(&token))?;
    ensure!((response.status, response.header("retry-after")) == (503, Some("5")), "{response:?}");
    let authorization = format!("Bearer {}", sign(&key, &issuer.issuer(), token::internal())?);
    let response = http::request(hub.internal, "POST", "/send", &[("Authorization", &authorization)], b"{}")?;
    ensure!((response.status, response.header("retry-after")) == (503, Some("5")), "{response:?}");
    // Missing keys do not make the hub unready.
    ensure!(http::get(hub.admin, "/readyz")?.status == 200);

    issuer.set_keys(Some(&key.jwks));
    wait_status(&hub, &token, 101)?;
    issuer.set_keys(None);
    let failed = r#"notification_hub_key_reloads_total{result="failed"}"#;
    let before = hub.metric(failed)?;
    let unknown = user_token(&SigningKey::rs256()?, &issuer)?;
    wait::until("the hub fetches the keys again", WAIT_TIMEOUT, || {
        ensure!(hub.upgrade(Some(&unknown))?.0.status == 401);
        ensure!(hub.metric(failed)? > before);
        Ok(())
    })?;
    ensure!(hub.upgrade(Some(&token))?.0.status == 101, "the last good keys stay");
    ensure!(http::get(hub.admin, "/readyz")?.status == 200);
    Ok(())
}

#[test]
fn keys_from_files_and_identity_server_are_both_accepted() -> Result<()> {
    let key = SigningKey::es256()?;
    let issuer = Issuer::start(Some(&key.jwks))?;
    let hub = LocalHub::start(&format!("auth.authority = '{}'", issuer.url()))?;
    wait_status(&hub, &user_token(&key, &issuer)?, 101)?;
    // For keys from files, any issuer is accepted. Keys of the identity server are bound to its issuer.
    ensure!(hub.upgrade(Some(&hub.token(USER, &[])?))?.0.status == 101);
    let elsewhere = sign(&key, "http://elsewhere", token::user(USER, &[], "ChromeBrowser", "test-device"))?;
    ensure!(hub.upgrade(Some(&elsewhere))?.0.status == 401);
    Ok(())
}
