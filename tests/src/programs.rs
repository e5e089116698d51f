//! Finds the programs of the workspace.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Returns the path of a program that was built with the profile of this one.
pub fn find(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // Test programs are one folder below the others.
    let folders = this.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => {
            let folder = this.parent().context("no folder of programs")?;
            bail!("no {name} in or above {}: build it first, with the same profile", folder.display())
        }
    }
}
