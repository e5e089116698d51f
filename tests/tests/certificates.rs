//! An identity server with TLS, whose certificate is signed by a private CA.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::http;
use notification_hub_tests::issuer::Issuer;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::process::Process;
use notification_hub_tests::{listener, programs, token, wait};
use serde_json::json;

const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output()?;
    ensure!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Creates a CA in `authority/own.crt`, and a certificate of it for 127.0.0.1 in `server.crt`.
fn create_certificates(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder.join("authority"))?;
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n")?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout own.key -out authority/own.crt -days 2 -subj /CN=own-authority"),
    )?;
    openssl(folder, &format!("req {key} -keyout server.key -out server.csr -subj /CN=identity"))?;
    let signing = "-CA authority/own.crt -CAkey own.key -CAcreateserial -extfile names";
    openssl(folder, &format!("x509 -req -in server.csr {signing} -out server.crt -days 2"))
}

/// Returns the status of an empty push, which is 200 once the hub knows the identity server's keys.
fn status(hub: &Process, authorization: &str) -> Result<u16> {
    let internal = hub.listening("internal", WAIT_TIMEOUT)?;
    Ok(http::request(internal, "POST", "/send", &[("Authorization", authorization)], b"")?.status)
}

#[test]
fn ssl_cert_dir_authority_is_trusted_for_identity_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    create_certificates(folder.path())?;
    let key = SigningKey::rs256()?;
    let issuer = Issuer::start(Some(&key.jwks))?;
    let port = issuer.url().rsplit(':').next().context("no port")?.to_owned();
    let mut tls = Command::new("node");
    tls.arg(listener::script().with_file_name("tls.mjs")).args(["--port", &port]);
    tls.arg("--certificate").arg(folder.path().join("server.crt")).arg("--key").arg(folder.path().join("server.key"));
    let tls = Process::start(&tls)?;
    let port = tls.json("port", WAIT_TIMEOUT, |line| line.get("port").is_some())?["port"].clone();

    // The discovery document has plain HTTP addresses. Only the document itself is fetched over TLS.
    let start = |authorities: &Path| {
        let mut command = Command::new(programs::find("notification-hub")?);
        for listener in ["--listen-public", "--listen-internal", "--listen-admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.env("NOTIFICATION_HUB__AUTH__AUTHORITY", format!("https://127.0.0.1:{port}"));
        command.env("SSL_CERT_DIR", authorities);
        Process::start(&command)
    };
    let mut claims = token::internal();
    claims["iss"] = json!(issuer.issuer());
    let authorization = format!("Bearer {}", key.signer()?.sign(&claims)?);

    let with_ca = start(&folder.path().join("authority"))?;
    wait::until("the keys are loaded", WAIT_TIMEOUT, || {
        let status = status(&with_ca, &authorization)?;
        ensure!(status == 200, "{status}");
        Ok(())
    })?;
    let authorities = tempfile::tempdir()?;
    let without_ca = start(authorities.path())?;
    wait::until("it says why it has no keys", WAIT_TIMEOUT, || {
        ensure!(without_ca.printed().contains("cannot fetch the discovery document"), "{}", without_ca.printed());
        Ok(())
    })?;
    ensure!(status(&without_ca, &authorization)? == 503);
    // The hub trusts the CA once its file exists.
    std::fs::copy(folder.path().join("authority/own.crt"), authorities.path().join("own.crt"))?;
    wait::until("the keys are loaded", Duration::from_secs(60), || {
        let status = status(&without_ca, &authorization)?;
        ensure!(status == 200, "{status}");
        Ok(())
    })?;
    Ok(())
}
