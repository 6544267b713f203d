//! The stage: how a user that may not reach a file gets to see it in its cell.
//!
//! Sources may lie in a directory that only root can enter, such as the gateway's state. bubblewrap, which runs as the
//! cell's user, resolves the paths it is given, so a descriptor does not help it. Therefore root's launcher takes a mount
//! namespace of its own and binds every source into a directory that everybody may enter. Nobody outside sees that.

use std::os::fd::{AsRawFd as _, OwnedFd};

use camino::Utf8PathBuf;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::{EnterError, Mount};

/// A directory that every machine has; bubblewrap needs it as well. It is hidden only from this process.
const STAGE: &str = "/tmp";

/// Moves every mount's source to where everybody can reach it. For root only.
///
/// In a container root may lack the capability for this; then the sources stay where they are, and bubblewrap says
/// which it cannot reach.
pub(crate) fn set_up(mounts: &mut [Mount]) -> Result<(), EnterError> {
    // SAFETY: FILES is not among the flags.
    match unsafe { unshare_unsafe(UnshareFlags::NEWNS) } {
        Ok(()) => {}
        Err(Errno::PERM) => return Ok(()),
        Err(errno) => return Err(EnterError::refused("take a mount namespace")(errno)),
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(EnterError::refused("keep its mounts to itself"))?;
    // All are opened before the stage hides what is under it.
    let opened: Result<Vec<OwnedFd>, EnterError> = mounts.iter().map(source).collect();
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("portcullis-cell", STAGE, "tmpfs", flags, c"mode=0755,size=1m")
        .map_err(EnterError::refused("mount a stage"))?;
    for (number, (place, file)) in mounts.iter_mut().zip(opened?).enumerate() {
        let staged = Utf8PathBuf::from(format!("{STAGE}/{number}"));
        bind(&file, &staged)
            .map_err(|errno| EnterError::Path { path: place.source.clone(), source: errno.into() })?;
        place.source = staged;
    }
    Ok(())
}

fn source(mount: &Mount) -> Result<OwnedFd, EnterError> {
    open(mount.source.as_std_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| EnterError::Path { path: mount.source.clone(), source: errno.into() })
}

fn bind(file: &OwnedFd, staged: &Utf8PathBuf) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o755);
    if FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Directory {
        rustix::fs::mkdir(staged.as_std_path(), mode)?;
    } else {
        open(staged.as_std_path(), OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC, mode)?;
    }
    mount_bind_recursive(format!("/proc/self/fd/{}", file.as_raw_fd()), staged.as_std_path())
}
