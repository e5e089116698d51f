//! CRDs of other projects.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cluster::folder;
use crate::namespace::Namespace;

/// Installs the published CRDs (`tests/third-party-kinds.sh`).
pub fn install(namespace: &Namespace) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder().join("../target"), PathBuf::from);
    let definitions = target.join("third-party-kinds");
    let path = definitions.to_str().context("a path that is not UTF-8")?;
    // Server-side, because two CRDs are too large for the annotation of client-side apply.
    namespace.cluster.kubectl(&["apply", "--server-side", "-f", path]).map(drop)
}
