//! A running hub: the binary, with the configuration of the recording.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::issuer;

/// How long a hub may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A hub process. The drop kills it.
pub(crate) struct Hub {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Hub {
    /// Starts a hub with the common settings and `settings`.
    pub(crate) fn start(settings: &str) -> Result<Hub> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("jwks.json");
        std::fs::write(&keys, issuer::key_set()?.to_string())?;
        let config = folder.path().join("hub.toml");
        let text = format!(
            "heartbeat_interval = '24h'\n\
             installation.id = 'bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb'\n\
             listen = {{ public = '127.0.0.1:0', internal = '127.0.0.1:0', admin = '127.0.0.1:0' }}\n\
             auth = {{ issuer = 'http://127.0.0.1:5600', keys = ['{}'] }}\n\
             cors.origins = ['http://vault.test', 'file://', 'bw-desktop-file://bundle']\n\
             catch_up.enabled = false\n\
             log.level = 'error'\n{settings}\n",
            keys.display()
        );
        std::fs::write(&config, text)?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_notification-hub"))
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().context("the output is piped")?);
        // Reads until the end, because a full pipe would block the hub.
        let (lines, listening) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| _ = lines.send(line)));
        let line = listening.recv_timeout(START_TIMEOUT).context("the hub does not listen");
        let address = |name: &str, line: &str| -> Result<SocketAddr> {
            let line: Value = serde_json::from_str(line)?;
            line["listening"][name].as_str().with_context(|| format!("no {name} address"))?.parse().map_err(Into::into)
        };
        let addresses = line.and_then(|line| Ok((address("public", &line)?, address("internal", &line)?)));
        match addresses {
            Ok((public, internal)) => Ok(Hub { public, internal, process, _folder: folder }),
            Err(error) => {
                process.kill()?;
                Err(error)
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The process may have ended already. Then the cases have failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
