//! How much is in a directory, and whether that is too much.
//!
//! What is measured was made by a model that may want to hide it: links are not followed, not even one that takes a
//! directory's place at the wrong moment, and what can not be looked into counts as too much.

use camino::Utf8Path;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, statvfs};
use rustix::io::Errno;

/// What a directory holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Size {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

/// What a workspace may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files, directories and links.
    pub files: u64,
    /// Bytes that must stay free on the file system, whoever uses them.
    pub free: u64,
}

/// What was too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Exceeded {
    /// More bytes than the workspace may hold.
    #[error("the workspace holds more than {0} bytes")]
    Bytes(u64),
    /// More files than the workspace may hold.
    #[error("the workspace holds more than {0} files")]
    Files(u64),
    /// Directories inside each other.
    #[error("the workspace has directories more than {DEEPEST} levels deep")]
    Depth,
    /// A directory that can not be looked into.
    #[error("the workspace has a directory that can not be measured")]
    Hidden,
    /// The file system is nearly full.
    #[error("less than {0} bytes are free on the workspace's file system")]
    Free(u64),
}

/// How deep directories may be; each level that is being measured costs a descriptor.
const DEEPEST: usize = 64;

impl Bound {
    /// Whether a workspace is within the bound. Stops counting as soon as it is not. Blocks: it walks the directory.
    pub fn check(&self, dir: &Utf8Path) -> Result<Size, Exceeded> {
        if let Ok(fs) = statvfs(dir.as_std_path())
            && fs.f_bavail.saturating_mul(fs.f_frsize) < self.free
        {
            return Err(Exceeded::Free(self.free));
        }
        let mut size = Size::default();
        let mut open = vec![look_into(CWD, dir.as_std_path())?];
        loop {
            let depth = open.len();
            let Some(dir) = open.last_mut() else { return Ok(size) };
            let Some(entry) = dir.next() else {
                open.pop();
                continue;
            };
            let (Ok(entry), Ok(here)) = (entry, dir.fd()) else { return Err(Exceeded::Hidden) };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let found = match statat(here, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                // It vanished while it was looked at.
                Err(Errno::NOENT) => continue,
                Err(_) => return Err(Exceeded::Hidden),
            };
            size.files += 1;
            size.bytes += u64::try_from(found.st_blocks).unwrap_or(0) * 512;
            if size.bytes > self.bytes {
                return Err(Exceeded::Bytes(self.bytes));
            }
            if size.files > self.files {
                return Err(Exceeded::Files(self.files));
            }
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                match look_into(here, entry.file_name()) {
                    Ok(_) if depth == DEEPEST => return Err(Exceeded::Depth),
                    Ok(below) => open.push(below),
                    Err(Exceeded::Hidden) if gone(dir, entry.file_name()) => {}
                    Err(other) => return Err(other),
                }
            }
        }
    }
}

fn look_into(at: impl AsFd, name: impl rustix::path::Arg) -> Result<Dir, Exceeded> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened: OwnedFd = openat(at, name, flags, Mode::empty()).map_err(|_| Exceeded::Hidden)?;
    Dir::new(opened).map_err(|_| Exceeded::Hidden)
}

/// Whether an entry is not there any more.
fn gone(dir: &Dir, name: &std::ffi::CStr) -> bool {
    dir.fd().is_ok_and(|here| matches!(statat(here, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use camino_tempfile::Utf8TempDir;

    use super::*;

    const ANY: Bound = Bound { bytes: u64::MAX, files: u64::MAX, free: 0 };

    #[test]
    fn too_much_is_found_and_links_are_not_followed() {
        let dir = Utf8TempDir::new().unwrap();
        let path = dir.path();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", path.join("link")).unwrap();
        let size = ANY.check(path).unwrap();
        assert_eq!(size.files, 4);
        assert!((100_000..200_000).contains(&size.bytes), "{size:?}");

        let bound = Bound { bytes: size.bytes, files: size.files, free: 0 };
        assert_eq!(bound.check(path), Ok(size));
        assert_eq!(Bound { bytes: 50_000, ..bound }.check(path), Err(Exceeded::Bytes(50_000)));
        assert_eq!(Bound { files: 3, ..bound }.check(path), Err(Exceeded::Files(3)));
        assert_eq!(Bound { free: u64::MAX, ..bound }.check(path), Err(Exceeded::Free(u64::MAX)));
    }

    #[test]
    fn nothing_can_be_hidden_from_the_measure() {
        let dir = Utf8TempDir::new().unwrap();
        let mut deep = dir.path().join("deep");
        for _ in 0..DEEPEST {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(ANY.check(dir.path()), Err(Exceeded::Depth));
        // Root looks into everything.
        if !rustix::process::geteuid().is_root() {
            let dir = Utf8TempDir::new().unwrap();
            let shut = dir.path().join("shut");
            std::fs::create_dir(&shut).unwrap();
            std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o0)).unwrap();
            assert_eq!(ANY.check(dir.path()), Err(Exceeded::Hidden));
            std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
}
