//! The version of a file: metadata that differs after a change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The metadata that changes when a file or folder changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the version of the file or folder behind a path, following links, or `None` if it cannot be read.
    pub(super) fn read(path: &Path) -> Option<FileVersion> {
        let metadata = fs::metadata(path).ok()?;
        Some(FileVersion {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_version_differs_after_every_kind_of_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        let link = folder.path().join("link");
        let versions = || [FileVersion::read(folder.path()), FileVersion::read(&file), FileVersion::read(&link)];
        let mut before = versions();
        let mut assert_changed = |change: &str, index: usize| {
            let now = versions();
            assert_ne!(now[index], before[index], "{change}");
            before = now;
        };
        fs::write(&file, "one").expect("writes");
        assert_changed("a new file changes its folder", 0);
        fs::write(&file, "three").expect("writes");
        assert_changed("an edit in place changes the file", 1);
        fs::write(&other, "other").expect("writes");
        std::os::unix::fs::symlink(&file, &link).expect("links");
        assert_changed("a new link leads to the file", 2);
        std::os::unix::fs::symlink(&other, folder.path().join("new")).expect("links");
        fs::rename(folder.path().join("new"), &link).expect("renames");
        assert_changed("a replaced link leads to another file", 2);
        fs::remove_file(&file).expect("removes");
        assert_changed("a removed file has no version", 1);
    }
}
