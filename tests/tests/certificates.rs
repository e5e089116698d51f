//! An identity server behind TLS, whose certificate only the deployment's own authority has signed.

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

const SOON: Duration = Duration::from_secs(20);

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output()?;
    ensure!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// An authority in `authority/own.crt`, and a certificate of it for the loopback in `server.crt`.
fn certify(folder: &Path) -> Result<()> {
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

/// The status of an empty push, which a hub takes once it knows the identity server's keys.
fn status(hub: &Process, authorization: &str) -> Result<u16> {
    let internal = hub.listening("internal", SOON)?;
    Ok(http::request(internal, "POST", "/send", &[("Authorization", authorization)], b"")?.status)
}

#[test]
fn ssl_cert_dir_authority_is_trusted_for_identity_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certify(folder.path())?;
    let key = SigningKey::rs256()?;
    let issuer = Issuer::start(Some(&key.jwks))?;
    let port = issuer.url().rsplit(':').next().context("no port")?.to_owned();
    let mut tls = Command::new("node");
    tls.arg(listener::script().with_file_name("tls.mjs")).args(["--port", &port]);
    tls.arg("--certificate").arg(folder.path().join("server.crt")).arg("--key").arg(folder.path().join("server.key"));
    let tls = Process::start(&tls)?;
    let port = tls.json("port", SOON, |line| line.get("port").is_some())?["port"].clone();

    // The hub is sent to the plain address by the document; only the first step is by TLS.
    let start = |believed: &Path| {
        let mut command = Command::new(programs::find("notification-hub")?);
        for listener in ["--listen", "--internal-listen", "--admin-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.env("NOTIFICATION_HUB__AUTH__AUTHORITY", format!("https://127.0.0.1:{port}"));
        command.env("SSL_CERT_DIR", believed);
        Process::start(&command)
    };
    let mut claims = token::internal();
    claims["iss"] = json!(issuer.issuer());
    let authorization = format!("Bearer {}", key.signer()?.sign(&claims)?);

    let trusting = start(&folder.path().join("authority"))?;
    wait::until("the keys are there", SOON, || {
        let status = status(&trusting, &authorization)?;
        ensure!(status == 200, "{status}");
        Ok(())
    })?;
    let believed = tempfile::tempdir()?;
    let doubting = start(believed.path())?;
    wait::until("it says why it has no keys", SOON, || {
        ensure!(doubting.printed().contains("cannot fetch the discovery document"), "{}", doubting.printed());
        Ok(())
    })?;
    ensure!(status(&doubting, &authorization)? == 503);
    // It is believed from when it is there.
    std::fs::copy(folder.path().join("authority/own.crt"), believed.path().join("own.crt"))?;
    wait::until("the keys are there", Duration::from_secs(60), || {
        let status = status(&doubting, &authorization)?;
        ensure!(status == 200, "{status}");
        Ok(())
    })?;
    Ok(())
}
