//! nginx in front of a hub, with the documented configuration.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cluster::folder;
use crate::process::Process;
use crate::{certificate, wait};

/// The timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The subject of the certificate.
const NAME: &str = "IP:127.0.0.1";

/// The configuration around the documented one: one process in the foreground that writes into one folder.
const NGINX_CONF: &str = "\
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

/// A running nginx with a self-signed certificate.
pub struct Nginx {
    /// The base URL for clients.
    pub url: String,
    folder: TempDir,
    _process: Process,
}

impl Nginx {
    /// Starts nginx with `docs/nginx/notifications.conf` in front of hubs. Only addresses and paths are changed.
    pub fn start(hubs: &[SocketAddr]) -> Result<Self> {
        Self::start_changed(hubs, |folder| certificate::make(folder, NAME), &[])
    }

    /// Starts nginx with a certificate that `make_certificate` writes like [`certificate::make`]. In the documented configuration
    /// it replaces the first text of each pair by the second.
    pub fn start_changed(
        hubs: &[SocketAddr],
        make_certificate: impl Fn(&Path) -> Result<()>,
        changes: &[(&str, &str)],
    ) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let path = files.path().to_str().context("a path that is not UTF-8")?.to_owned();
        make_certificate(files.path())?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let documented = folder().join("../docs/nginx/notifications.conf");
        let mut text = std::fs::read_to_string(documented)?;
        let servers: String = hubs.iter().map(|hub| format!("server {hub};")).collect();
        let listen = format!("listen {address} ssl;");
        let (certificate, key) = (format!("{path}/certificate;"), format!("{path}/key;"));
        let here = [
            ("server notifications:5000;", servers.as_str()),
            ("listen 443 ssl;", &listen),
            ("/etc/nginx/tls/tls.crt;", &certificate),
            ("/etc/nginx/tls/tls.key;", &key),
            ("/var/log/nginx/", &format!("{path}/")),
        ];
        for (documented, replaced) in here.into_iter().chain(changes.iter().copied()) {
            ensure!(text.contains(documented), "docs/nginx/notifications.conf has no {documented}");
            text = text.replace(documented, replaced);
        }
        std::fs::write(files.path().join("notifications.conf"), text)?;
        std::fs::write(files.path().join("nginx.conf"), NGINX_CONF)?;
        let mut command = Command::new("nginx");
        command.args(["-p", &path, "-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::start(&command)?;
        wait::until("nginx listens", START_TIMEOUT, || {
            TcpStream::connect(address).with_context(|| process.printed()).map(drop)
        })?;
        Ok(Self { url: format!("https://{address}/notifications"), folder: files, _process: process })
    }

    /// Returns the certificate that clients must trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("authority")
    }

    /// Returns the access log so far.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("notifications.log"))?)
    }
}
