//! Reads keys from files and folders: `*.pem`, `*jwks.json` and `*.secret`.

use std::fs;
use std::path::{Path, PathBuf};

use super::jwk_set::JwkSet;
use super::key::{Key, KeyError};

/// The reason why key files cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyFilesError {
    /// A file or folder cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file has no usable key.
    #[error("{path}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error in it.
        source: KeyError,
    },
    /// The name of a configured file has no known ending.
    #[error("{0}: unknown kind of key file; use a name that ends in .pem, jwks.json or .secret")]
    UnknownKind(PathBuf),
    /// There is no key, so that no client could connect.
    #[error("no key; give a file or a folder with *.pem, *.jwks.json or *.secret, or set auth.authority")]
    None,
}

/// The bytes of each key file, in the order of the paths. Two readings are compared to detect a change.
pub type KeyFileContents = Vec<(PathBuf, Vec<u8>)>;

enum KeyFileKind {
    Pem,
    Jwks,
    Secret,
}

impl KeyFileKind {
    /// Returns the kind of a file by its name, or `None` if the name has no known ending.
    fn from_path(path: &Path) -> Option<KeyFileKind> {
        let name = path.file_name()?.to_str()?;
        match () {
            () if name.ends_with(".pem") => Some(KeyFileKind::Pem),
            () if name.ends_with("jwks.json") => Some(KeyFileKind::Jwks),
            () if name.ends_with(".secret") => Some(KeyFileKind::Secret),
            () => None,
        }
    }
}

/// Reads key files. Of a folder, reads the files of a known kind that are not hidden: Kubernetes keeps hidden links in a mounted
/// Secret.
pub fn read(paths: &[PathBuf]) -> Result<KeyFileContents, KeyFilesError> {
    let mut contents = KeyFileContents::new();
    for path in paths {
        let unreadable = |source| KeyFilesError::Unreadable { path: path.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let file = entry.map_err(unreadable)?.path();
                let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !hidden && KeyFileKind::from_path(&file).is_some() {
                    files.push(file);
                }
            }
            files.sort();
            for file in files {
                let bytes =
                    fs::read(&file).map_err(|source| KeyFilesError::Unreadable { path: file.clone(), source })?;
                contents.push((file, bytes));
            }
        } else if KeyFileKind::from_path(path).is_some() {
            contents.push((path.clone(), fs::read(path).map_err(unreadable)?));
        } else {
            return Err(KeyFilesError::UnknownKind(path.clone()));
        }
    }
    Ok(contents)
}

/// The keys of all files.
pub struct ParsedKeys {
    /// The usable keys, at least one.
    pub keys: Vec<Key>,
    /// The skipped entries of JWK sets: file, key and reason of each.
    pub skipped: Vec<String>,
}

/// Parses the contents of key files.
///
/// # Errors
/// Returns an error for the first malformed file, or if there is no key.
pub fn parse(contents: &KeyFileContents) -> Result<ParsedKeys, KeyFilesError> {
    let mut parsed = ParsedKeys { keys: Vec::new(), skipped: Vec::new() };
    for (path, bytes) in contents {
        let malformed = |source| KeyFilesError::Malformed { path: path.clone(), source };
        match KeyFileKind::from_path(path) {
            Some(KeyFileKind::Pem) => parsed.keys.push(Key::from_pem(bytes).map_err(malformed)?),
            Some(KeyFileKind::Secret) => parsed.keys.push(Key::from_secret(bytes).map_err(malformed)?),
            Some(KeyFileKind::Jwks) => {
                let set = JwkSet::parse(bytes).map_err(malformed)?;
                parsed.keys.extend(set.keys);
                parsed.skipped.extend(set.skipped.iter().map(|key| format!("{}, {key}", path.display())));
            }
            None => return Err(KeyFilesError::UnknownKind(path.clone())),
        }
    }
    if parsed.keys.is_empty() { Err(KeyFilesError::None) } else { Ok(parsed) }
}
