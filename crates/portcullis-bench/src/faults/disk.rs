//! A disk that is small enough to be filled: a tmpfs of its own, where this user may mount one.

use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Enough for a worker's home and the store.
const SIZE: &std::ffi::CStr = c"size=96m";

/// A disk of its own, or none where mounting is not allowed. Dropping it takes it away.
pub(super) struct SmallDisk {
    dir: Utf8TempDir,
    mounted: bool,
}

impl SmallDisk {
    pub(super) fn mount() -> anyhow::Result<Self> {
        let dir = camino_tempfile::tempdir()?;
        let mounted =
            mount("portcullis-faults", dir.path().as_std_path(), "tmpfs", MountFlags::NOSUID, SIZE).is_ok();
        Ok(Self { dir, mounted })
    }

    /// Where the gateway lives, if it lives on a disk of its own.
    pub(super) fn dir(&self) -> Option<Utf8PathBuf> {
        self.mounted.then(|| self.dir.path().to_owned())
    }

    /// Fills it to the last byte; says whether there is such a disk.
    pub(super) fn fill(&self) -> bool {
        if !self.mounted {
            return false;
        }
        let Ok(mut file) = std::fs::File::create(self.ballast()) else { return false };
        let block = vec![0_u8; 64 * 1024];
        // Then in small pieces: a full disk with room for a small file is not full.
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        while std::io::Write::write_all(&mut file, &block[..512]).is_ok() {}
        true
    }

    /// Makes room again.
    pub(super) fn empty(&self) {
        // It is not there when the disk was too full even for its name.
        let _not_there = std::fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> Utf8PathBuf {
        self.dir.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            // Detached: whoever still has a file open on it, after a failure, does not keep the name.
            let _gone = unmount(self.dir.path().as_std_path(), UnmountFlags::DETACH);
        }
    }
}
