//! Whose certificates are believed by the clients of this process: the system's authorities, and those that a deployment
//! adds, as Bitwarden's images know them. What is in force is one for the process, as the variables that name it are; a hub
//! looks at the files and takes changes over, for connections that are made from then on.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use std::{fs, io};

use reqwest::{Certificate, Client, ClientBuilder};

use crate::net::file_watch::{ReloadTrigger, watch_files};

/// Where Bitwarden's deployments mount their own authorities.
const BITWARDEN_CA_DIR: &str = "/etc/bitwarden/ca-certificates";

/// The variable that names folders of more, separated by colons.
const CERT_DIR_VAR: &str = "SSL_CERT_DIR";

/// The variable that names the system's bundle.
const CERT_FILE_VAR: &str = "SSL_CERT_FILE";

/// Where Debian, and the images that come of it, keep that bundle.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How often the files are looked at: there may be hundreds, and kubelets need a minute or two to change them.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// What a file of certificates is called.
const CERT_EXTENSIONS: [&str; 3] = ["crt", "pem", "cer"];

/// What is in force, once somebody looks at the files; until then, they are read when they are needed.
static CURRENT_ROOTS: RwLock<Option<Arc<RootFiles>>> = RwLock::new(None);

/// How often that has changed.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Why files of certificates are not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file or folder could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("{path}: {source}")]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        source: reqwest::Error,
    },
    /// A file has nothing that is of use.
    #[error("{0}: there is no certificate in it")]
    Empty(PathBuf),
}

/// A file's path and its bytes.
type CertFile = (PathBuf, Vec<u8>);

/// Files of certificates, as they were read.
#[derive(Debug, Default, PartialEq, Eq)]
struct RootFiles {
    /// The system's bundle, if it is needed and there is one.
    bundle: Option<CertFile>,
    /// Those of the folders.
    added: Vec<CertFile>,
    /// Those that stand for one connection's authorities.
    named: Vec<CertFile>,
}

/// Looks at the files.
pub struct RootsWatcher {
    named: Vec<PathBuf>,
    /// Of when the files were read.
    stamps: Vec<Option<FileVersion>>,
    files: Arc<RootFiles>,
}

impl RootsWatcher {
    /// Puts the files in force as they are, those of the folders and those that are named; what is wrong is told and left out.
    pub fn open(named: Vec<PathBuf>) -> RootsWatcher {
        let stamps = stamps(&named);
        let files = RootFiles::load_valid(&named);
        install(files.clone());
        RootsWatcher { named, stamps, files }
    }

    /// Goes on for ever. What can't be read leaves the old certificates in force. When nobody asked, the files are read only if
    /// a folder, the bundle or a named file has changed.
    pub async fn run(self, trigger: ReloadTrigger) {
        let RootsWatcher { named, stamps: before, files } = self;
        let last = Mutex::new((before, files.clone()));
        let read = move |asked: bool| -> Result<Arc<RootFiles>, TrustError> {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            // Before the files: what changes meanwhile is seen at the next look.
            let now = stamps(&named);
            if asked || last.0 != now {
                *last = (now, Arc::new(RootFiles::read(&named)?));
            }
            Ok(last.1.clone())
        };
        let take = |files: &Arc<RootFiles>| {
            files.check()?;
            tracing::info!("the authorities that are believed have changed");
            install(files.clone());
            Ok(())
        };
        watch_files("certificates", trigger.with_interval(CHECK_INTERVAL), files, read, take, || {}).await;
    }
}

fn install(files: Arc<RootFiles>) {
    *CURRENT_ROOTS.write().unwrap_or_else(PoisonError::into_inner) = Some(files);
    GENERATION.fetch_add(1, Ordering::Release);
}

fn current() -> Arc<RootFiles> {
    let files = CURRENT_ROOTS.read().unwrap_or_else(PoisonError::into_inner).clone();
    files.unwrap_or_else(|| RootFiles::load_valid(&[]))
}

/// What every HTTP client of this process begins with.
pub fn client() -> ClientBuilder {
    let files = current();
    let mut certificates: Vec<Certificate> = files.added.iter().flat_map(usable).collect();
    if folders().is_some() && std::env::var_os(CERT_FILE_VAR).is_none() {
        // A folder of one's own adds to the system's authorities; the library would take it instead of them.
        certificates.extend(files.bundle.iter().flat_map(usable));
    }
    let builder = Client::builder();
    if certificates.is_empty() { builder } else { builder.tls_certs_merge(certificates) }
}

/// An HTTP client with nothing else to say about it.
pub fn default_client() -> Client {
    client().build().unwrap_or_else(|error| {
        tracing::warn!(%error, "the added certificates can't be used");
        Client::new()
    })
}

/// An HTTP client that is made anew when others are believed; what is under way goes on.
#[derive(Debug)]
pub struct ReloadingHttpClient {
    settings: fn(ClientBuilder) -> ClientBuilder,
    /// After how many changes it was made.
    made: RwLock<(u64, Client)>,
}

impl ReloadingHttpClient {
    /// With settings of its own.
    ///
    /// # Errors
    /// If there is no TLS.
    pub fn new(settings: fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<ReloadingHttpClient> {
        let changes = GENERATION.load(Ordering::Acquire);
        Ok(ReloadingHttpClient { settings, made: RwLock::new((changes, settings(client()).build()?)) })
    }

    /// The client for the next request.
    pub fn get(&self) -> Client {
        let changes = GENERATION.load(Ordering::Acquire);
        let (made, old) = self.made.read().unwrap_or_else(PoisonError::into_inner).clone();
        if made == changes {
            return old;
        }
        let new = (self.settings)(client()).build().unwrap_or_else(|error| {
            tracing::warn!(%error, "the changed certificates can't be used");
            old
        });
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = (changes, new.clone());
        new
    }
}

/// In PEM, whom a connection believes that names a file or not; nothing is the system's authorities.
///
/// # Errors
/// If the file was never read and can't be now.
pub fn authorities(file: Option<&Path>) -> io::Result<Option<Vec<u8>>> {
    match current().authorities(file) {
        None => file.map(fs::read).transpose(),
        known => Ok(known),
    }
}

impl RootFiles {
    /// Reads all of them, whatever they hold.
    fn read(named: &[PathBuf]) -> Result<RootFiles, TrustError> {
        let paths = added()?;
        let bundle = bundle(&paths);
        let all = |paths: &[PathBuf]| paths.iter().map(read).collect::<Result<Vec<CertFile>, TrustError>>();
        Ok(RootFiles { bundle: bundle.map(|path| read(&path)).transpose()?, added: all(&paths)?, named: all(named)? })
    }

    /// The first that holds no certificates is an error.
    fn check(&self) -> Result<(), TrustError> {
        self.bundle.iter().chain(&self.added).chain(&self.named).try_for_each(|file| parse(file).map(drop))
    }

    /// In PEM, whom a connection believes that names a file or not; nothing if it is not known here.
    fn authorities(&self, file: Option<&Path>) -> Option<Vec<u8>> {
        let all: Vec<&CertFile> = match file {
            Some(file) => self.named.iter().filter(|(path, _)| path == file).collect(),
            None if self.added.is_empty() => Vec::new(),
            // What is given to the connection stands instead of the system's.
            None => self.bundle.iter().chain(&self.added).collect(),
        };
        (!all.is_empty()).then(|| all.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>().join(&b'\n'))
    }

    /// Those that hold certificates; of the others it is told what is wrong.
    fn load_valid(named: &[PathBuf]) -> Arc<RootFiles> {
        let told = |path: &PathBuf| {
            let file = read(path).and_then(|file| parse(&file).map(|_| file));
            file.inspect_err(|error| tracing::warn!(%error, "a file of certificates is left out")).ok()
        };
        let added = added().inspect_err(|error| tracing::warn!(%error, "a folder of certificates is left out"));
        let added = added.unwrap_or_default();
        Arc::new(RootFiles {
            bundle: bundle(&added).as_ref().and_then(told),
            added: added.iter().filter_map(told).collect(),
            named: named.iter().filter_map(told).collect(),
        })
    }
}

/// What tells one state of a file or folder from another.
#[derive(Debug, PartialEq, Eq)]
struct FileVersion {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the stamp of what a path leads to, links followed, or `None` if nothing is there.
    fn read(path: &Path) -> Option<FileVersion> {
        let file = fs::metadata(path).ok()?;
        Some(FileVersion {
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// Returns the stamps of each folder, of the bundle and of the named files. A folder may hold hundreds of files, which are not
/// looked at: one that comes, goes or is replaced changes the folder, and so does the link of a mounted Secret or ConfigMap.
/// One that is written in place does not.
fn stamps(named: &[PathBuf]) -> Vec<Option<FileVersion>> {
    let folders = folder_paths();
    folders.iter().chain([&bundle_path()]).chain(named).map(|path| FileVersion::read(path)).collect()
}

/// The variable with folders of one's own, if it is set.
fn folders() -> Option<std::ffi::OsString> {
    std::env::var_os(CERT_DIR_VAR).filter(|folders| !folders.is_empty())
}

/// The folders that may hold more, whether they are there or not.
fn folder_paths() -> Vec<PathBuf> {
    let folders = folders();
    folders.iter().flat_map(std::env::split_paths).chain([PathBuf::from(BITWARDEN_CA_DIR)]).collect()
}

/// Where the system's bundle is, if it is there.
fn bundle_path() -> PathBuf {
    std::env::var_os(CERT_FILE_VAR).map_or_else(|| SYSTEM_BUNDLE.into(), PathBuf::from)
}

/// The system's bundle, if it is there and has to be read here: without additions, the libraries do.
fn bundle(added: &[PathBuf]) -> Option<PathBuf> {
    Some(bundle_path()).filter(|path| (folders().is_some() || !added.is_empty()) && path.exists())
}

/// The files of all folders; a folder that is not there has none.
fn added() -> Result<Vec<PathBuf>, TrustError> {
    let mut files = Vec::new();
    for folder in folder_paths() {
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

fn is_certificate(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| CERT_EXTENSIONS.contains(&ending))
}

fn read(path: &PathBuf) -> Result<CertFile, TrustError> {
    let bytes = fs::read(path).map_err(|source| TrustError::Unreadable { path: path.clone(), source })?;
    Ok((path.clone(), bytes))
}

fn parse((path, bytes): &CertFile) -> Result<Vec<Certificate>, TrustError> {
    let certificates =
        Certificate::from_pem_bundle(bytes).map_err(|source| TrustError::Malformed { path: path.clone(), source })?;
    if certificates.is_empty() { Err(TrustError::Empty(path.clone())) } else { Ok(certificates) }
}

/// The certificates of a file that was checked.
fn usable(file: &CertFile) -> Vec<Certificate> {
    parse(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> CertFile {
        (name.into(), name.as_bytes().to_vec())
    }

    #[test]
    fn stamp_differs_after_every_way_a_file_is_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, beside) = (folder.path().join("file"), folder.path().join("beside"));
        let link = folder.path().join("link");
        let stamp = || [FileVersion::read(folder.path()), FileVersion::read(&file), FileVersion::read(&link)];
        let mut before = stamp();
        let mut changes = |what: &str, place: usize| {
            let now = stamp();
            assert_ne!(now[place], before[place], "{what}");
            before = now;
        };
        fs::write(&file, "one").expect("writes");
        changes("a new file changes its folder", 0);
        fs::write(&file, "three").expect("writes");
        changes("an edit in place changes the file", 1);
        fs::write(&beside, "other").expect("writes");
        std::os::unix::fs::symlink(&file, &link).expect("links");
        changes("a new link leads to the file", 2);
        std::os::unix::fs::symlink(&beside, folder.path().join("new")).expect("links");
        fs::rename(folder.path().join("new"), &link).expect("renames");
        changes("a link that was replaced leads to another file", 2);
        fs::remove_file(&file).expect("removes");
        changes("a file that is gone has no stamp", 1);
    }

    #[test]
    fn added_authorities_extend_and_named_file_replaces_system_bundle() {
        let named = Path::new("named");
        let mut files = RootFiles { bundle: Some(file("system")), added: Vec::new(), named: vec![file("named")] };
        assert_eq!(files.authorities(None), None);
        files.added = vec![file("one"), file("two")];
        assert_eq!(files.authorities(None).as_deref(), Some(b"system\none\ntwo".as_slice()));
        assert_eq!(files.authorities(Some(named)).as_deref(), Some(b"named".as_slice()));
        assert_eq!(files.authorities(Some(Path::new("other"))), None);
    }

    #[test]
    fn ca_file_without_a_certificate_is_rejected_by_name() {
        let files = RootFiles { named: vec![file("named")], ..RootFiles::default() };
        let error = files.check().expect_err("no certificate").to_string();
        assert_eq!(error, "named: there is no certificate in it");
    }
}
