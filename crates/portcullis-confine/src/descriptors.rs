//! Descriptors: whatever the gateway has open is not the cell's.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use crate::EnterError;

/// Closes everything but stdin, stdout and stderr. To be called before anything else is opened.
///
/// Rust opens with CLOEXEC, other libraries may not, and one forgotten socket is a way out.
pub(crate) fn close_inherited() -> Result<(), EnterError> {
    // SAFETY: no memory is touched. Nothing in this process owns a descriptor above 2 yet: `enter` calls this first,
    // and the launcher opened nothing before.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(EnterError::Refused { step: "close inherited descriptors (that needs Linux 5.9)", source: error })
}

/// A descriptor from which `bytes` can be read, to be handed on.
pub(crate) fn holding(bytes: &[u8]) -> Result<OwnedFd, EnterError> {
    let made = || -> Result<OwnedFd, Errno> {
        let file = memfd_create("cell", MemfdFlags::CLOEXEC)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        seek(&file, SeekFrom::Start(0))?;
        Ok(file)
    };
    made().map_err(EnterError::refused("write a file into memory"))
}

/// Lets a descriptor pass `exec`, and says its number.
pub(crate) fn hand_on(file: &OwnedFd) -> Result<RawFd, EnterError> {
    fcntl_setfd(file.as_fd(), FdFlags::empty()).map_err(EnterError::refused("hand on a descriptor"))?;
    Ok(file.as_raw_fd())
}
