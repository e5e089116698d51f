//! Trusted certificate authorities of all clients in this process: those of the system, and those that a deployment adds as
//! Bitwarden's images do. The state is global, like the environment variables that name the files. [`RootsWatcher`] reloads
//! changed files; new connections then use them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use std::{fs, io};

use reqwest::{Certificate, Client, ClientBuilder};

use crate::net::file_watch::{ReloadTrigger, watch_files};

/// The folder where Bitwarden's deployments mount their own authorities.
const BITWARDEN_CA_DIR: &str = "/etc/bitwarden/ca-certificates";

/// The variable that names more folders, separated by colons.
const CERT_DIR_VAR: &str = "SSL_CERT_DIR";

/// The variable that names the system's bundle of certificates.
const CERT_FILE_VAR: &str = "SSL_CERT_FILE";

/// The default path of the bundle, as on Debian and in images based on it.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The interval of checks. There may be hundreds of files, and kubelets take a minute or two to update them anyway.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The extensions of certificate files.
const CERT_EXTENSIONS: [&str; 3] = ["crt", "pem", "cer"];

/// The files in use. `None` until [`RootsWatcher::open`]; then each client reads the files itself.
static CURRENT_ROOTS: RwLock<Option<Arc<RootFiles>>> = RwLock::new(None);

/// The number of changes of [`CURRENT_ROOTS`].
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Why certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file or folder could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file is not PEM.
    #[error("{path}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        source: reqwest::Error,
    },
    /// A file has no certificate.
    #[error("{0}: no certificate; add one in PEM")]
    Empty(PathBuf),
}

/// A file's path and its bytes.
type CertFile = (PathBuf, Vec<u8>);

/// The contents of the certificate files.
#[derive(Debug, Default, PartialEq, Eq)]
struct RootFiles {
    /// The system's bundle. `None` if it does not exist, or if TLS libraries load it themselves.
    bundle: Option<CertFile>,
    /// The files in the folders.
    added: Vec<CertFile>,
    /// Files that replace all other authorities for one connection, such as `backplane.redis.ca_file`.
    named: Vec<CertFile>,
}

/// Reloads the certificate files when they change.
pub struct RootsWatcher {
    named: Vec<PathBuf>,
    /// The versions of folders and files when they were read.
    versions: Vec<Option<FileVersion>>,
    files: Arc<RootFiles>,
}

impl RootsWatcher {
    /// Loads the files in the folders and the named files, and puts them into use. Invalid files are logged and skipped.
    pub fn open(named: Vec<PathBuf>) -> RootsWatcher {
        let versions = file_versions(&named);
        let files = RootFiles::load_valid(&named);
        install(files.clone());
        RootsWatcher { named, versions, files }
    }

    /// Checks the files until the task is dropped. An invalid file keeps the previous certificates in use. Without SIGHUP, the
    /// files are read only if a folder, the bundle or a named file has another version.
    pub async fn run(self, trigger: ReloadTrigger) {
        let RootsWatcher { named, versions, files } = self;
        let last_read = Mutex::new((versions, files.clone()));
        let read = move |requested: bool| -> Result<Arc<RootFiles>, TrustError> {
            let mut last_read = last_read.lock().unwrap_or_else(PoisonError::into_inner);
            // Before the files are read, so that the next check notices a change during the reading.
            let versions = file_versions(&named);
            if requested || last_read.0 != versions {
                *last_read = (versions, Arc::new(RootFiles::read(&named)?));
            }
            Ok(last_read.1.clone())
        };
        let apply = |files: &Arc<RootFiles>| {
            files.check()?;
            tracing::info!("trusted certificate authorities changed");
            install(files.clone());
            Ok(())
        };
        watch_files("certificates", trigger.with_interval(CHECK_INTERVAL), files, read, apply, || {}).await;
    }
}

/// Puts files into use for connections that are opened from now on.
fn install(files: Arc<RootFiles>) {
    *CURRENT_ROOTS.write().unwrap_or_else(PoisonError::into_inner) = Some(files);
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Returns the files in use.
fn current_roots() -> Arc<RootFiles> {
    let files = CURRENT_ROOTS.read().unwrap_or_else(PoisonError::into_inner).clone();
    files.unwrap_or_else(|| RootFiles::load_valid(&[]))
}

/// Returns the builder of an HTTP client with the trusted roots.
fn client_builder() -> ClientBuilder {
    let files = current_roots();
    let mut roots: Vec<Certificate> = files.added.iter().flat_map(certificates).collect();
    if cert_dir_var().is_some() && std::env::var_os(CERT_FILE_VAR).is_none() {
        // Folders add to the system's authorities here. For the TLS library, they replace these.
        roots.extend(files.bundle.iter().flat_map(certificates));
    }
    let builder = Client::builder();
    if roots.is_empty() { builder } else { builder.tls_certs_merge(roots) }
}

/// Returns an HTTP client with the trusted roots and default settings.
pub fn default_client() -> Client {
    client_builder().build().unwrap_or_else(|error| {
        tracing::warn!(%error, "added certificate authorities unusable; only the system's are trusted");
        Client::new()
    })
}

/// An HTTP client that is rebuilt when the trusted roots change. Requests in progress are not interrupted.
#[derive(Debug)]
pub struct ReloadingHttpClient {
    configure: fn(ClientBuilder) -> ClientBuilder,
    /// The value of [`GENERATION`] when the client was built, and the client.
    built: RwLock<(u64, Client)>,
}

impl ReloadingHttpClient {
    /// Creates a client with the settings that `configure` adds.
    ///
    /// # Errors
    /// If TLS cannot be initialized.
    pub fn new(configure: fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<ReloadingHttpClient> {
        let generation = GENERATION.load(Ordering::Acquire);
        Ok(ReloadingHttpClient { configure, built: RwLock::new((generation, configure(client_builder()).build()?)) })
    }

    /// Returns the client for the next request.
    pub fn get(&self) -> Client {
        let current = GENERATION.load(Ordering::Acquire);
        let (generation, old) = self.built.read().unwrap_or_else(PoisonError::into_inner).clone();
        if generation == current {
            return old;
        }
        let new = (self.configure)(client_builder()).build().unwrap_or_else(|error| {
            tracing::warn!(%error, "changed certificate authorities unusable; the previous ones stay trusted");
            old
        });
        *self.built.write().unwrap_or_else(PoisonError::into_inner) = (current, new.clone());
        new
    }
}

/// Returns the authorities of a connection in PEM: those in `file`, or without it all trusted roots. `None` means the system's.
///
/// # Errors
/// If the file is not known to the watcher and cannot be read.
pub fn root_pem(file: Option<&Path>) -> io::Result<Option<Vec<u8>>> {
    match current_roots().root_pem(file) {
        None => file.map(fs::read).transpose(),
        known => Ok(known),
    }
}

impl RootFiles {
    /// Reads all files without parsing them.
    fn read(named: &[PathBuf]) -> Result<RootFiles, TrustError> {
        let paths = added_paths()?;
        let bundle = needed_bundle(&paths);
        let read_all = |paths: &[PathBuf]| paths.iter().map(read).collect::<Result<Vec<CertFile>, TrustError>>();
        Ok(RootFiles {
            bundle: bundle.map(|path| read(&path)).transpose()?,
            added: read_all(&paths)?,
            named: read_all(named)?,
        })
    }

    /// Checks that each file has certificates.
    fn check(&self) -> Result<(), TrustError> {
        self.bundle.iter().chain(&self.added).chain(&self.named).try_for_each(|file| parse(file).map(drop))
    }

    /// Returns the authorities of a connection in PEM. `None` means the system's, or that the file is not among the named ones.
    fn root_pem(&self, file: Option<&Path>) -> Option<Vec<u8>> {
        let files: Vec<&CertFile> = match file {
            Some(file) => self.named.iter().filter(|(path, _)| path == file).collect(),
            None if self.added.is_empty() => Vec::new(),
            // The bundle is included, because the connection uses these instead of the system's.
            None => self.bundle.iter().chain(&self.added).collect(),
        };
        (!files.is_empty()).then(|| files.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>().join(&b'\n'))
    }

    /// Reads the files that have certificates, and logs the others.
    fn load_valid(named: &[PathBuf]) -> Arc<RootFiles> {
        let read_valid = |path: &PathBuf| {
            let file = read(path).and_then(|file| parse(&file).map(|_| file));
            file.inspect_err(|error| tracing::warn!(%error, "certificate file skipped")).ok()
        };
        let added = added_paths().inspect_err(|error| tracing::warn!(%error, "certificate folders skipped"));
        let added = added.unwrap_or_default();
        Arc::new(RootFiles {
            bundle: needed_bundle(&added).as_ref().and_then(read_valid),
            added: added.iter().filter_map(read_valid).collect(),
            named: named.iter().filter_map(read_valid).collect(),
        })
    }
}

/// The metadata that changes when a file or folder changes.
#[derive(Debug, PartialEq, Eq)]
struct FileVersion {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the version of the file or folder behind a path, following links, or `None` if it cannot be read.
    fn read(path: &Path) -> Option<FileVersion> {
        let metadata = fs::metadata(path).ok()?;
        Some(FileVersion {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Returns the versions of the folders, the bundle and the named files. The files in a folder are not checked, as there may be
/// hundreds. A file that is added, removed or replaced changes the folder, and so does an update of a mounted Secret or
/// ConfigMap. An edit in place does not.
fn file_versions(named: &[PathBuf]) -> Vec<Option<FileVersion>> {
    let folders = cert_dirs();
    folders.iter().chain([&bundle_path()]).chain(named).map(|path| FileVersion::read(path)).collect()
}

/// Returns the value of `SSL_CERT_DIR`, or `None` if it is unset or empty.
fn cert_dir_var() -> Option<std::ffi::OsString> {
    std::env::var_os(CERT_DIR_VAR).filter(|folders| !folders.is_empty())
}

/// Returns the folders of added certificates, which may not exist.
fn cert_dirs() -> Vec<PathBuf> {
    let folders = cert_dir_var();
    folders.iter().flat_map(std::env::split_paths).chain([PathBuf::from(BITWARDEN_CA_DIR)]).collect()
}

/// Returns the path of the system's bundle, which may not exist.
fn bundle_path() -> PathBuf {
    std::env::var_os(CERT_FILE_VAR).map_or_else(|| SYSTEM_BUNDLE.into(), PathBuf::from)
}

/// Returns the path of the system's bundle if it exists and there are additions to it. Otherwise the TLS libraries load it.
fn needed_bundle(added: &[PathBuf]) -> Option<PathBuf> {
    Some(bundle_path()).filter(|path| (cert_dir_var().is_some() || !added.is_empty()) && path.exists())
}

/// Returns the certificate files in all folders, sorted within each folder. A missing folder counts as empty.
fn added_paths() -> Result<Vec<PathBuf>, TrustError> {
    let mut files = Vec::new();
    for folder in cert_dirs() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(TrustError::Unreadable { path: folder, source }),
        };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_certificate(path)).collect();
        paths.sort();
        files.extend(paths);
    }
    Ok(files)
}

/// Returns whether a path has the extension of a certificate file.
fn is_certificate(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| CERT_EXTENSIONS.contains(&extension))
}

/// Reads a file.
fn read(path: &PathBuf) -> Result<CertFile, TrustError> {
    let bytes = fs::read(path).map_err(|source| TrustError::Unreadable { path: path.clone(), source })?;
    Ok((path.clone(), bytes))
}

/// Parses the certificates of a file, of which there must be at least one.
fn parse((path, bytes): &CertFile) -> Result<Vec<Certificate>, TrustError> {
    let certificates =
        Certificate::from_pem_bundle(bytes).map_err(|source| TrustError::Malformed { path: path.clone(), source })?;
    if certificates.is_empty() { Err(TrustError::Empty(path.clone())) } else { Ok(certificates) }
}

/// Returns the certificates of a file that [`RootFiles::check`] accepted.
fn certificates(file: &CertFile) -> Vec<Certificate> {
    parse(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> CertFile {
        (name.into(), name.as_bytes().to_vec())
    }

    #[test]
    fn file_version_differs_after_every_kind_of_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        let link = folder.path().join("link");
        let versions = || [FileVersion::read(folder.path()), FileVersion::read(&file), FileVersion::read(&link)];
        let mut before = versions();
        let mut assert_changed = |change: &str, index: usize| {
            let now = versions();
            assert_ne!(now[index], before[index], "{change}");
            before = now;
        };
        fs::write(&file, "one").expect("writes");
        assert_changed("a new file changes its folder", 0);
        fs::write(&file, "three").expect("writes");
        assert_changed("an edit in place changes the file", 1);
        fs::write(&other, "other").expect("writes");
        std::os::unix::fs::symlink(&file, &link).expect("links");
        assert_changed("a new link leads to the file", 2);
        std::os::unix::fs::symlink(&other, folder.path().join("new")).expect("links");
        fs::rename(folder.path().join("new"), &link).expect("renames");
        assert_changed("a replaced link leads to another file", 2);
        fs::remove_file(&file).expect("removes");
        assert_changed("a removed file has no version", 1);
    }

    #[test]
    fn added_authorities_extend_and_named_file_replaces_system_bundle() {
        let named = Path::new("named");
        let mut files = RootFiles { bundle: Some(file("system")), added: Vec::new(), named: vec![file("named")] };
        assert_eq!(files.root_pem(None), None);
        files.added = vec![file("one"), file("two")];
        assert_eq!(files.root_pem(None).as_deref(), Some(b"system\none\ntwo".as_slice()));
        assert_eq!(files.root_pem(Some(named)).as_deref(), Some(b"named".as_slice()));
        assert_eq!(files.root_pem(Some(Path::new("other"))), None);
    }

    #[test]
    fn ca_file_without_a_certificate_is_rejected_by_name() {
        let files = RootFiles { named: vec![file("named")], ..RootFiles::default() };
        let error = files.check().expect_err("no certificate").to_string();
        assert_eq!(error, "named: no certificate; add one in PEM");
    }
}
