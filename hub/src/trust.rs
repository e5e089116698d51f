//! Whose certificates are believed by the clients of this process: the system's authorities, and those that a deployment
//! adds, as Bitwarden's images know them.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client, ClientBuilder};

/// Where Bitwarden's deployments mount their own authorities.
const BITWARDEN: &str = "/etc/bitwarden/ca-certificates";

/// The variable that names folders of more, separated by colons.
const FOLDERS: &str = "SSL_CERT_DIR";

/// The variable that names the system's bundle.
const BUNDLE: &str = "SSL_CERT_FILE";

/// Where Debian, and the images that come of it, keep that bundle.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a file of certificates is called.
const ENDINGS: [&str; 3] = ["crt", "pem", "cer"];

/// What every HTTP client of this process begins with.
pub fn client() -> ClientBuilder {
    let folders = std::env::var_os(FOLDERS).filter(|folders| !folders.is_empty());
    let named = folders.iter().flat_map(std::env::split_paths);
    let mut certificates: Vec<Certificate> =
        named.chain([PathBuf::from(BITWARDEN)]).flat_map(|path| of(&path)).collect();
    if folders.is_some() && std::env::var_os(BUNDLE).is_none() {
        // A folder of one's own adds to the system's authorities; the library would take it instead of them.
        certificates.extend(read(Path::new(SYSTEM)));
    }
    let builder = Client::builder();
    if certificates.is_empty() { builder } else { builder.tls_certs_merge(certificates) }
}

/// An HTTP client with nothing else to say about it.
pub fn plain_client() -> Client {
    client().build().unwrap_or_else(|error| {
        tracing::warn!(%error, "the added certificates can't be used");
        Client::new()
    })
}

/// The certificates in a folder; a folder that is not there has none.
fn of(folder: &Path) -> Vec<Certificate> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_certificate = |path: &PathBuf| {
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
    };
    entries.filter(is_certificate).flat_map(|path| read(&path)).collect()
}

fn read(file: &Path) -> Vec<Certificate> {
    let certificates = fs::read(file).map(|bytes| Certificate::from_pem_bundle(&bytes));
    match certificates {
        Ok(Ok(certificates)) => certificates,
        Ok(Err(error)) => {
            tracing::warn!(file = %file.display(), %error, "the file holds no certificates");
            Vec::new()
        }
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the certificates can't be read");
            Vec::new()
        }
    }
}
