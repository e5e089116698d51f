//! The files of certificate authorities: their paths, contents and versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use reqwest::Certificate;

use super::file_version::FileVersion;

/// The folder where Bitwarden's deployments mount their own authorities.
const BITWARDEN_CA_DIR: &str = "/etc/bitwarden/ca-certificates";

/// The variable that names more folders, separated by colons.
const CERT_DIR_VAR: &str = "SSL_CERT_DIR";

/// The variable that names the system's bundle of certificates.
const CERT_FILE_VAR: &str = "SSL_CERT_FILE";

/// The default path of the bundle, as on Debian and in images based on it.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The extensions of certificate files.
const CERT_EXTENSIONS: [&str; 3] = ["crt", "pem", "cer"];

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
pub(super) struct RootFiles {
    /// The system's bundle. `None` if it does not exist, or if TLS libraries load it themselves.
    bundle: Option<CertFile>,
    /// The files in the folders.
    added: Vec<CertFile>,
    /// Files that replace all other authorities for one connection, such as `backplane.redis.ca_file`.
    named: Vec<CertFile>,
}

impl RootFiles {
    /// Reads all files without parsing them.
    ///
    /// # Errors
    /// If a file cannot be read, or a folder of which `previous` has files.
    pub(super) fn read(named: &[PathBuf], previous: &RootFiles) -> Result<RootFiles, TrustError> {
        let paths = changed_paths(&cert_dirs(), previous)?;
        let bundle = needed_bundle(&paths);
        let read_all = |paths: &[PathBuf]| paths.iter().map(read).collect::<Result<Vec<CertFile>, TrustError>>();
        Ok(RootFiles {
            bundle: bundle.map(|path| read(&path)).transpose()?,
            added: read_all(&paths)?,
            named: read_all(named)?,
        })
    }

    /// Checks that each file has certificates.
    pub(super) fn check(&self) -> Result<(), TrustError> {
        self.bundle.iter().chain(&self.added).chain(&self.named).try_for_each(|file| parse(file).map(drop))
    }

    /// Returns the authorities that an HTTP client trusts besides those that its TLS library loads.
    pub(super) fn http_roots(&self) -> Vec<Certificate> {
        let mut roots: Vec<Certificate> = self.added.iter().flat_map(certificates).collect();
        if cert_dir_var().is_some() && std::env::var_os(CERT_FILE_VAR).is_none() {
            // Folders add to the system's authorities here. For the TLS library, they replace these.
            roots.extend(self.bundle.iter().flat_map(certificates));
        }
        roots
    }

    /// Returns the authorities of a connection in PEM. `None` means the system's, or that the file is not among the named ones.
    pub(super) fn root_pem(&self, file: Option<&Path>) -> Option<Vec<u8>> {
        let files: Vec<&CertFile> = match file {
            Some(file) => self.named.iter().filter(|(path, _)| path == file).collect(),
            None if self.added.is_empty() => Vec::new(),
            // The bundle is included, because the connection uses these instead of the system's.
            None => self.bundle.iter().chain(&self.added).collect(),
        };
        (!files.is_empty()).then(|| files.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>().join(&b'\n'))
    }

    /// Reads the files that have certificates, and logs the others.
    pub(super) fn load_valid(named: &[PathBuf]) -> Arc<RootFiles> {
        let read_valid = |path: &PathBuf| {
            let file = read(path).and_then(|file| parse(&file).map(|_| file));
            file.inspect_err(|error| tracing::warn!(%error, "certificate file skipped")).ok()
        };
        let added = readable_paths(&cert_dirs());
        Arc::new(RootFiles {
            bundle: needed_bundle(&added).as_ref().and_then(read_valid),
            added: added.iter().filter_map(read_valid).collect(),
            named: named.iter().filter_map(read_valid).collect(),
        })
    }
}

/// Reads and parses all files. Returns the number of usable files, and the errors of the other files and folders.
pub fn inspect_files(named: &[PathBuf]) -> (usize, Vec<TrustError>) {
    let (mut paths, mut errors) = (named.to_vec(), Vec::new());
    for folder in cert_dirs() {
        match folder_paths(&folder) {
            Ok(found) => paths.extend(found),
            Err(error) => errors.push(error),
        }
    }
    let count = paths.len();
    let failed = paths.iter().filter_map(|path| read(path).and_then(|file| parse(&file)).err());
    let failed: Vec<TrustError> = failed.collect();
    let usable = count - failed.len();
    errors.extend(failed);
    (usable, errors)
}

/// Returns the versions of the folders, the bundle and the named files. The files in a folder are not checked, as there may be
/// hundreds. A file that is added, removed or replaced changes the folder, and so does an update of a mounted Secret or
/// ConfigMap. An edit in place does not.
pub(super) fn file_versions(named: &[PathBuf]) -> Vec<Option<FileVersion>> {
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

/// Returns the certificate files in the folders that can be read, and logs the others.
fn readable_paths(folders: &[PathBuf]) -> Vec<PathBuf> {
    let readable = |folder| {
        let paths = folder_paths(folder);
        paths.inspect_err(|error| tracing::warn!(%error, "certificate folder skipped; let the hub read it")).ok()
    };
    folders.iter().filter_map(readable).flatten().collect()
}

/// Returns the certificate files in the folders. A folder that cannot be read counts as empty if `previous` has no file of it.
fn changed_paths(folders: &[PathBuf], previous: &RootFiles) -> Result<Vec<PathBuf>, TrustError> {
    let is_in_use = |folder: &PathBuf| previous.added.iter().any(|(path, _)| path.starts_with(folder));
    let paths = folders.iter().map(|folder| match folder_paths(folder) {
        Err(_) if !is_in_use(folder) => Ok(Vec::new()),
        paths => paths,
    });
    Ok(paths.collect::<Result<Vec<_>, TrustError>>()?.concat())
}

/// Returns the certificate files in a folder, sorted. A missing folder counts as empty.
fn folder_paths(folder: &PathBuf) -> Result<Vec<PathBuf>, TrustError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TrustError::Unreadable { path: folder.clone(), source }),
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_certificate(path)).collect();
    paths.sort();
    Ok(paths)
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
        let missing = PathBuf::from("/missing/ca.pem");
        let (_, errors) = inspect_files(std::slice::from_ref(&missing));
        assert!(errors.iter().any(|error| matches!(error, TrustError::Unreadable { path, .. } if *path == missing)));
    }

    #[test]
    fn readable_paths_unreadable_folder_loses_only_its_own_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (readable, unreadable) = (folder.path().join("readable"), folder.path().join("unreadable"));
        fs::create_dir(&readable).expect("creates");
        fs::write(readable.join("b.crt"), "").expect("writes");
        fs::write(readable.join("a.pem"), "").expect("writes");
        fs::write(&unreadable, "a file is no folder").expect("writes");
        assert!(matches!(folder_paths(&unreadable), Err(TrustError::Unreadable { path, .. }) if path == unreadable));
        let folders = [unreadable, folder.path().join("missing"), readable.clone()];
        let expected = ["a.pem", "b.crt"].map(|name| readable.join(name));
        assert_eq!(readable_paths(&folders), expected);
        // The folder does not keep the others from changing, unless its certificates are in use.
        let mut previous = RootFiles::default();
        assert_eq!(changed_paths(&folders, &previous).expect("the other folder is read"), expected);
        previous.added.push((folders[0].join("c.crt"), Vec::new()));
        assert!(matches!(changed_paths(&folders, &previous), Err(TrustError::Unreadable { .. })));
    }
}
