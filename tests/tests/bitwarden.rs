//! A hub that is configured only by the environment of Bitwarden's own deployments (`bitwarden.md` 3).

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::issuer::Issuer;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::process::Process;
use notification_hub_tests::{programs, token, wait};
use serde_json::json;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const INSTALLATION: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the environment of Bitwarden's pods, from the ConfigMap and the Secrets of the self-host chart.
fn environment(identity: &str) -> Vec<(&'static str, String)> {
    let text = |(name, value): (&'static str, &str)| (name, value.to_owned());
    let mut all: Vec<_> = [
        ("ASPNETCORE_ENVIRONMENT", "Production"),
        ("ASPNETCORE_URLS", "http://127.0.0.1:0"),
        ("LOCAL_UID", "1000"),
        ("LOCAL_GID", "1000"),
        ("globalSettings__selfHosted", "true"),
        ("globalSettings__projectName", "Notifications"),
        ("globalSettings__baseServiceUri__vault", "https://vault.example"),
        ("globalSettings__baseServiceUri__internalNotifications", "http://vault-notifications:5000"),
        ("globalSettings__baseServiceUri__internalApi", "http://vault-api:5000"),
        ("globalSettings__pushRelayBaseUri", "https://push.example"),
        ("globalSettings__installation__id", INSTALLATION),
        ("globalSettings__installation__key", "aaaaaaaaaaaaaaaaaaaa"),
        ("globalSettings__internalIdentityKey", "bbbbbbbbbbbbbbbbbbbb"),
        ("globalSettings__oidcIdentityClientKey", "cccccccccccccccccccc"),
        ("globalSettings__duo__aKey", "dddddddddddddddddddd"),
        ("globalSettings__sqlServer__connectionString", "Data Source=tcp:mssql,1433;Password=eeeeeeeeee;"),
        ("globalSettings__distributedCache__redis__connectionString", "redis:6379,password=ffffffffff"),
        ("globalSettings__mail__smtp__host", "smtp.example"),
        ("globalSettings__logDirectory", "/nowhere/that/can/be/written"),
        ("globalSettings__disableUserRegistration", "false"),
    ]
    .map(text)
    .into();
    all.push(("globalSettings__baseServiceUri__internalIdentity", identity.to_owned()));
    all
}

#[test]
fn self_host_environment_starts_hub_and_serves_its_senders() -> Result<()> {
    let key = SigningKey::rs256()?;
    let identity = Issuer::start(Some(&key.jwks))?;
    let mut command = Command::new(programs::find("notification-hub")?);
    // The upstream service has only one port. The kernel chooses the others.
    command.args(["--listen-internal", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"]);
    command.env_clear().envs(environment(&identity.url()));
    let hub = Process::start(&command)?;
    let public = hub.listening("public", WAIT_TIMEOUT)?;

    let mut claims = token::user(USER, &[], "ChromeBrowser", "test-device");
    claims["iss"] = json!(identity.issuer());
    let user_token = key.signer()?.sign(&claims)?;
    // A sender uses its token for some minutes after it expired.
    let mut claims = token::internal();
    claims["iss"] = json!(identity.issuer());
    (claims["nbf"], claims["exp"]) = (json!(token::now() - 86_640), json!(token::now() - 240));
    let authorization = format!("Bearer {}", key.signer()?.sign(&claims)?);

    let url = format!("http://{public}/notifications");
    wait::until("the keys are loaded", WAIT_TIMEOUT, || {
        ensure!(http::request(public, "POST", "/send", &[("Authorization", &authorization)], b"")?.status == 200);
        Ok(())
    })?;
    let client = Listener::connect(Command::new("node"), &url, &user_token, "messagepack", &[])?;

    // Like the .NET sender: camelCase, nulls, a chunked body, one connection for all pushes.
    let mut sender = Connection::open(public)?;
    let body = json!({ "type": 11, "payload": { "userId": USER, "reason": null }, "contextId": null }).to_string();
    let head = format!(
        "POST /send HTTP/1.1\r\nHost: vault-notifications:5000\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    sender.write(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes())?;
    let response = sender.response()?;
    ensure!((response.status, response.body.len()) == (200, 0), "{response:?}");
    let push = client.notification(|push| push["Type"] == 11)?;
    ensure!(push == json!({ "Type": 11, "Payload": { "UserId": USER, "Reason": null }, "ContextId": null }), "{push}");

    // A push to the installation reaches all clients.
    let body = json!({ "type": 20, "payload": { "id": USER, "priority": 0, "global": true, "clientType": 0,
        "installationId": INSTALLATION, "creationDate": "2026-01-02T03:04:05Z", "revisionDate": "2026-01-02T03:04:05Z" },
        "contextId": null });
    let body = body.to_string();
    let response = http::request(public, "POST", "/SEND/", &[("Authorization", &authorization)], body.as_bytes())?;
    ensure!(response.status == 200, "{response:?}");
    client.notification(|push| push["Payload"]["InstallationId"] == INSTALLATION)?;

    for path in ["/alive", "/now", "/version", "/notifications/alive"] {
        let response = http::get(public, path)?;
        ensure!(response.status == 200 && response.json()?.is_string(), "{path}: {response:?}");
    }
    let printed = hub.printed();
    for (name, secret) in environment(&identity.url()) {
        let is_secret = ["ey", "Key", "onnectionString"].iter().any(|part| name.ends_with(part));
        ensure!(!is_secret || !printed.contains(&secret), "{name} is in the log:\n{printed}");
    }
    ensure!(!printed.contains("WARN") && !printed.contains("ERROR"), "warnings or errors:\n{printed}");
    Ok(())
}

/// The upstream service starts with these too.
#[test]
fn invalid_known_proxies_are_skipped_and_the_hub_starts() -> Result<()> {
    let key = SigningKey::rs256()?;
    let identity = Issuer::start(Some(&key.jwks))?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["--listen-internal", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"]);
    command.env_clear().envs(environment(&identity.url()));
    command.env("globalSettings__knownProxies", "nginx,10.0.0.1;10.0.0.2,[::1]");
    command.env("ASPNETCORE_URLS", "HTTP://bitwarden-notifications:0");
    let hub = Process::start(&command)?;
    let public = hub.listening("public", WAIT_TIMEOUT)?;
    ensure!(public.ip().is_unspecified(), "{public}");
    ensure!(http::get(public, "/alive")?.status == 200);
    for item in ["nginx", "10.0.0.1;10.0.0.2"] {
        let warning =
            format!("globalSettings__knownProxies: \\\"{item}\\\" is not an address or network and is skipped");
        ensure!(hub.printed().contains(&warning), "{warning}:\n{}", hub.printed());
    }
    Ok(())
}

#[test]
fn tls_only_aspnetcore_urls_exits_2_with_reason() -> Result<()> {
    let output = Command::new(programs::find("notification-hub")?)
        .env_clear()
        .env("globalSettings__selfHosted", "true")
        .env("ASPNETCORE_URLS", "https://+:5001")
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(stderr.contains("listen.public (ASPNETCORE_URLS)") && stderr.contains("TLS"), "{stderr}");
    Ok(())
}
