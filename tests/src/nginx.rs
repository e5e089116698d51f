//! nginx in front of a hub, with the configuration of the documentation.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cluster::{folder, run};
use crate::process::Process;
use crate::wait;

/// How long nginx may take to listen.
const START: Duration = Duration::from_secs(20);

/// What the documentation leaves to the machine: one process in the foreground that writes below one folder.
const MACHINE: &str = "\
daemon off;
master_process off;
pid pid;
error_log stderr;
events {}
http {
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include notifications.conf;
}
";

/// A running nginx with a certificate of its own.
pub struct Nginx {
    /// The base of its clients' address.
    pub url: String,
    folder: TempDir,
    _process: Process,
}

impl Nginx {
    /// Starts `docs/nginx/notifications.conf` in front of a hub, with other addresses and files and no other change.
    pub fn start(hub: SocketAddr) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let path = files.path().to_str().context("an odd path")?.to_owned();
        certify(&files)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let documented = folder().join("../docs/nginx/notifications.conf");
        let mut text = std::fs::read_to_string(documented)?;
        for (documented, here) in [
            ("server notifications:5000;", format!("server {hub};")),
            ("listen 443 ssl;", format!("listen {address} ssl;")),
            ("/etc/nginx/tls/", format!("{path}/")),
            ("/var/log/nginx/", format!("{path}/")),
        ] {
            ensure!(text.contains(documented), "the documentation has no {documented}");
            text = text.replace(documented, &here);
        }
        std::fs::write(files.path().join("notifications.conf"), text)?;
        std::fs::write(files.path().join("nginx.conf"), MACHINE)?;
        let mut command = Command::new("nginx");
        command.args(["-p", &path, "-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::start(&command)?;
        wait::until("nginx listens", START, || {
            TcpStream::connect(address).with_context(|| process.printed()).map(drop)
        })?;
        Ok(Self { url: format!("https://{address}/notifications"), folder: files, _process: process })
    }

    /// The certificate that its clients have to believe.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// The access log so far.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("notifications.log"))?)
    }
}

fn certify(folder: &TempDir) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "tls.key", "-out", "tls.crt"]);
    openssl.args(["-subj", "/CN=nginx", "-addext", "subjectAltName=IP:127.0.0.1"]);
    run(&mut openssl).map(drop)
}
