//! Self-signed certificates.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cluster::run;

/// Writes the files `key` and `certificate` for a name such as `IP:127.0.0.1`, and `authority`, a copy for clients that trust it.
pub fn make(folder: &Path, name: &str) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "key", "-out", "certificate"]);
    openssl.args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")]);
    run(openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]))?;
    std::fs::copy(folder.join("certificate"), folder.join("authority"))?;
    Ok(())
}
