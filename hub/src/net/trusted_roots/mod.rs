//! Trusted certificate authorities of all clients in this process: those of the system, and those that a deployment adds as
//! Bitwarden's images do. The state is global, like the environment variables that name the files. [`RootsWatcher`] reloads
//! changed files; new connections then use them.

mod file_version;
mod http_client;
mod root_files;
mod roots_in_use;

pub use http_client::{ReloadingHttpClient, client_builder, default_client};
pub use root_files::{TrustError, inspect_files};
pub use roots_in_use::root_pem;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::net::file_watch::{ReloadTrigger, watch_files};
use file_version::FileVersion;
use root_files::{RootFiles, file_versions};

/// The interval of checks. There may be hundreds of files, and kubelets take a minute or two to update them anyway.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

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
        roots_in_use::install(files.clone());
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
                *last_read = (versions, Arc::new(RootFiles::read(&named, &last_read.1)?));
            }
            Ok(last_read.1.clone())
        };
        let apply = |files: &Arc<RootFiles>| {
            files.check()?;
            tracing::info!("trusted certificate authorities changed");
            roots_in_use::install(files.clone());
            Ok(())
        };
        watch_files("certificates", trigger.with_interval(CHECK_INTERVAL), files, read, apply, || {}).await;
    }
}
