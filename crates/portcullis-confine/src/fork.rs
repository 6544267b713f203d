//! Forking. The launcher has one thread, so a child may do all that its parent might.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Which of the two this is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Child,
    Parent { child: Pid },
}

pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: there is one thread, so that no lock is held by somebody who does not exist in the child.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid).map_or(Side::Child, |child| Side::Parent { child }))
}

/// Whether another process may be started now.
pub(crate) fn may_fork() -> bool {
    match fork() {
        Ok(Side::Child) => leave(0),
        Ok(Side::Parent { child }) => {
            while let Err(Errno::INTR) = waitpid(Some(child), WaitOptions::empty()) {}
            true
        }
        Err(_) => false,
    }
}

/// Ends this process without what a program does at its end: flushing buffers that the other side of a fork has, too.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(code) }
}
