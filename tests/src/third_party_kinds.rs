//! The CRDs of the Gateway API, the Prometheus operator and KEDA in a cluster.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::cluster::{Cluster, folder};

/// The right of one test to install the CRDs. They are deleted on drop, because a test needs a cluster without them. With the
/// current context, they stay.
pub struct ThirdPartyKinds {
    cluster: &'static Cluster,
    _lock: MutexGuard<'static, ()>,
}

impl ThirdPartyKinds {
    /// Waits until no other test of this process has the right.
    pub fn reserve(cluster: &'static Cluster) -> Self {
        static LOCK: Mutex<()> = Mutex::new(());
        Self { cluster, _lock: LOCK.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Installs the published CRDs (`tests/third-party-kinds.sh`).
    pub fn install(&self) -> Result<()> {
        // Server-side, because some CRDs are too large for the annotation of client-side apply.
        self.run(&["apply", "--server-side"])
    }

    fn run(&self, command: &[&str]) -> Result<()> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder().join("../target"), PathBuf::from);
        let definitions = target.join("third-party-kinds");
        let path = definitions.to_str().context("a path that is not UTF-8")?;
        self.cluster.kubectl(&[command, &["-f", path]].concat()).map(drop)
    }
}

impl Drop for ThirdPartyKinds {
    fn drop(&mut self) {
        if self.cluster.is_current_context() {
            return;
        }
        if let Err(error) = self.run(&["delete", "--ignore-not-found"]) {
            eprintln!("{error:#}");
        }
    }
}
