//! Self-signed certificates.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cluster::run;

/// Writes the files `key` and `certificate` for a name such as `IP:127.0.0.1`, and `authority`, a copy for clients that trust it.
pub fn make(folder: &Path, name: &str) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "90"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "key", "-out", "certificate"]);
    openssl.args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")]);
    run(openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]))?;
    std::fs::copy(folder.join("certificate"), folder.join("authority"))?;
    Ok(())
}

/// Like [`make`], but the certificate expired in 2020.
pub fn make_expired(folder: &Path, name: &str) -> Result<()> {
    make(folder, name)?;
    let config = format!(
        "[ca]\ndefault_ca = it\n[it]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\n\
         policy = any\n[any]\ncommonName = supplied\n[names]\nsubjectAltName = {name}\n\
         basicConstraints = critical,CA:FALSE\n"
    );
    std::fs::write(folder.join("ca.cnf"), config)?;
    std::fs::write(folder.join("index"), "")?;
    let openssl = |arguments: &str| run(Command::new("openssl").current_dir(folder).args(arguments.split(' ')));
    openssl("req -new -key key -subj /CN=test -out request")?;
    let times = "-startdate 200101000000Z -enddate 200201000000Z";
    openssl(&format!(
        "ca -batch -config ca.cnf -selfsign -keyfile key -in request -out certificate -notext -extensions names {times}"
    ))?;
    std::fs::copy(folder.join("certificate"), folder.join("authority"))?;
    Ok(())
}
