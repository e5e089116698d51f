//! The programs of the workspace, beside the one that runs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The path of a program that was built with the same profile as this one.
pub fn find(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // Tests run one folder below the programs.
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
