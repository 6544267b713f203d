//! Removing what a model made: any number of files, directories inside each other as deep as it liked.
//!
//! Nothing here recurses and no path grows: a directory that is not empty is moved up into a bin, and the bin is
//! emptied one directory at a time. Nobody may be at work in it meanwhile.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

/// Removes `dir` and all that is in it. `bin` is a directory that does not exist yet, on the same file system.
pub(crate) fn remove(dir: &Utf8Path, bin: &Utf8Path) -> std::io::Result<()> {
    std::fs::create_dir(bin)?;
    let mut moved = 0_u64;
    let mut place = || {
        moved += 1;
        bin.join(moved.to_string())
    };
    let first = place();
    std::fs::rename(dir, &first)?;
    let mut left: Vec<Utf8PathBuf> = vec![first];
    while let Some(dir) = left.pop() {
        // Its maker may have shut it; it has its owner in common with us, or we are root.
        std::fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        // Names need not be text.
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                std::fs::remove_file(entry.path())?;
                continue;
            }
            match std::fs::remove_dir(entry.path()) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                    let place = place();
                    std::fs::rename(entry.path(), &place)?;
                    left.push(place);
                }
                other => other?,
            }
        }
        std::fs::remove_dir(&dir)?;
    }
    std::fs::remove_dir(bin)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use camino_tempfile::Utf8TempDir;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    use super::*;

    #[test]
    fn a_hostile_tree_is_removed() {
        let dir = Utf8TempDir::new().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        // Deeper than a path or a stack can be.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut here = openat(rustix::fs::CWD, tree.as_std_path(), flags, Mode::empty()).unwrap();
        for _ in 0..1_200 {
            mkdirat(&here, "directory", Mode::from_bits_retain(0o700)).unwrap();
            here = openat(&here, "directory", flags, Mode::empty()).unwrap();
        }
        std::fs::write(tree.as_std_path().join(OsStr::from_bytes(b"\xff\n")), "x").unwrap();
        std::os::unix::fs::symlink("/usr", tree.join("link")).unwrap();
        std::fs::create_dir_all(tree.join("shut/in")).unwrap();
        std::fs::write(tree.join("shut/in/file"), "x").unwrap();
        std::fs::set_permissions(tree.join("shut"), Permissions::from_mode(0o0)).unwrap();
        remove(&tree, &dir.path().join("bin")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(Utf8Path::new("/usr/bin").is_dir());
    }
}
