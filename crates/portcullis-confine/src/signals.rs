//! Signals that wait to be asked for.

use std::{io, mem, ptr};

use rustix::process::Signal;

/// Those that a keeper acts on.
const ACTED_ON: &[Signal] = &[Signal::CHILD, Signal::HUP, Signal::INT, Signal::TERM];

/// They are blocked from its making on, so that none is missed.
#[derive(Debug)]
pub(crate) struct Blocked {
    before: libc::sigset_t,
    blocked: libc::sigset_t,
}

impl Blocked {
    pub(crate) fn new() -> io::Result<Self> {
        let mut blocked = empty();
        for signal in ACTED_ON {
            // SAFETY: the set was made by `sigemptyset`, and the number is a signal's.
            unsafe { libc::sigaddset(&raw mut blocked, signal.as_raw()) };
        }
        let mut before = empty();
        // SAFETY: both are sets, and live through the call.
        let failed = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before) };
        if failed == 0 { Ok(Self { before, blocked }) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for the next one.
    pub(crate) fn next(&self) -> Signal {
        loop {
            // SAFETY: the set lives through the call, and nothing is to be written of the signal's origin.
            let number = unsafe { libc::sigwaitinfo(&raw const self.blocked, ptr::null_mut()) };
            // Anything else was interrupted.
            if let Some(signal) = ACTED_ON.iter().find(|signal| signal.as_raw() == number) {
                return *signal;
            }
        }
    }

    /// As it was before.
    pub(crate) fn release(&self) -> io::Result<()> {
        // SAFETY: the set was filled by the kernel and lives through the call.
        let failed = unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn empty() -> libc::sigset_t {
    let mut set = mem::MaybeUninit::uninit();
    // SAFETY: the pointer is to memory of the right size, which the call fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: filled above; the call cannot fail.
    unsafe { set.assume_init() }
}
