//! The certificate authorities in use: a global, which the watcher replaces.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use super::root_files::RootFiles;

/// The files in use. `None` until [`install`]; then each client reads the files itself.
static CURRENT_ROOTS: RwLock<Option<Arc<RootFiles>>> = RwLock::new(None);

/// The number of changes of [`CURRENT_ROOTS`].
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Puts files into use for connections that are opened from now on.
pub(super) fn install(files: Arc<RootFiles>) {
    *CURRENT_ROOTS.write().unwrap_or_else(PoisonError::into_inner) = Some(files);
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Returns the files in use.
pub(super) fn current_roots() -> Arc<RootFiles> {
    let files = CURRENT_ROOTS.read().unwrap_or_else(PoisonError::into_inner).clone();
    files.unwrap_or_else(|| RootFiles::load_valid(&[]))
}

/// Returns the number of changes so far.
pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
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
