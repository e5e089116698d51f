//! Reads keys from files and folders: `*.pem`, `*.jwks.json` (or `jwks.json`), `*.secret`.

use std::fs;
use std::path::{Path, PathBuf};

use super::jwk_set::JwkSet;
use super::key::{Key, KeyError};

/// Why a set of key files could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyFilesError {
    /// A file or folder could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no key.
    #[error("{path}: {source}")]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A file that was named outright has an ending that tells no kind.
    #[error("{0}: the name has to end in .pem, jwks.json or .secret")]
    UnknownKind(PathBuf),
    /// Nobody could be let in.
    #[error(
        "there is no key: give auth.keys a file or a folder with *.pem, *.jwks.json or *.secret, or name an auth.authority"
    )]
    None,
}

/// The bytes of every key file, in the order of their paths: compared to notice a change.
pub type Contents = Vec<(PathBuf, Vec<u8>)>;

enum KeyFileKind {
    Pem,
    Jwks,
    Secret,
}

fn kind(path: &Path) -> Option<KeyFileKind> {
    let name = path.file_name()?.to_str()?;
    match () {
        () if name.ends_with(".pem") => Some(KeyFileKind::Pem),
        () if name.ends_with("jwks.json") => Some(KeyFileKind::Jwks),
        () if name.ends_with(".secret") => Some(KeyFileKind::Secret),
        () => None,
    }
}

/// Reads the key files that `paths` name; in folders, those of a known kind (hidden ones are passed over, among them
/// the links that Kubernetes keeps in a mounted Secret).
pub fn read(paths: &[PathBuf]) -> Result<Contents, KeyFilesError> {
    let mut contents = Contents::new();
    for path in paths {
        let unreadable = |source| KeyFilesError::Unreadable { path: path.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let file = entry.map_err(unreadable)?.path();
                let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !hidden && kind(&file).is_some() {
                    files.push(file);
                }
            }
            files.sort();
            for file in files {
                let bytes =
                    fs::read(&file).map_err(|source| KeyFilesError::Unreadable { path: file.clone(), source })?;
                contents.push((file, bytes));
            }
        } else if kind(path).is_some() {
            contents.push((path.clone(), fs::read(path).map_err(unreadable)?));
        } else {
            return Err(KeyFilesError::UnknownKind(path.clone()));
        }
    }
    Ok(contents)
}

/// The keys of all files.
pub struct ParsedKeys {
    /// The usable keys: at least one.
    pub keys: Vec<Key>,
    /// The entries of JWK sets that are not used: the file, the key and the reason of each.
    pub left_out: Vec<String>,
}

/// Parses what [`read`] returned.
///
/// # Errors
/// The first file that is malformed; a set of files without any key.
pub fn parse(contents: &Contents) -> Result<ParsedKeys, KeyFilesError> {
    let mut parsed = ParsedKeys { keys: Vec::new(), left_out: Vec::new() };
    for (path, bytes) in contents {
        let malformed = |source| KeyFilesError::Malformed { path: path.clone(), source };
        match kind(path) {
            Some(KeyFileKind::Pem) => parsed.keys.push(Key::from_pem(bytes).map_err(malformed)?),
            Some(KeyFileKind::Secret) => parsed.keys.push(Key::from_secret(bytes).map_err(malformed)?),
            Some(KeyFileKind::Jwks) => {
                let set = JwkSet::parse(bytes).map_err(malformed)?;
                parsed.keys.extend(set.keys);
                parsed.left_out.extend(set.left_out.iter().map(|key| format!("{}, {key}", path.display())));
            }
            None => return Err(KeyFilesError::UnknownKind(path.clone())),
        }
    }
    if parsed.keys.is_empty() { Err(KeyFilesError::None) } else { Ok(parsed) }
}
