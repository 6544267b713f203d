//! The keeper: who stays behind where no process namespace holds a cell together.
//!
//! It is a process of ours outside the cell, with nothing to read but the end of its children. As a subreaper it becomes
//! the parent of every daemon the program leaves; when the program ends, or who asked for the cell, it ends them all.
//! What it cannot see to is its own KILL: then the program dies with it, and its daemons do not. So who kills it ends
//! its [descendants](crate::tree) first.

use std::os::fd::AsFd as _;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, setsid, wait,
};

use crate::fork::{Side, fork, leave};
use crate::signals::Blocked;
use crate::{EnterError, cgroup, tree};

/// Goes on in a child, in a session of its own, and says who its parent is. The other side keeps it and does not return.
pub(crate) fn stay_behind() -> Result<u32, EnterError> {
    let keeper = getpid();
    set_child_subreaper(Some(keeper)).map_err(EnterError::refused("become a subreaper"))?;
    let blocked = Blocked::new().map_err(EnterError::refused("wait for signals"))?;
    // Not KILL any more, as there will be something left to do. It waits until it is asked for.
    set_parent_process_death_signal(Some(Signal::HUP))
        .map_err(EnterError::refused("ask for a death signal"))?;
    match fork().map_err(EnterError::refused("start a process"))? {
        Side::Child => {
            blocked.release().map_err(EnterError::refused("take signals"))?;
            // The terminal of who started the gateway stays behind.
            setsid().map_err(EnterError::refused("leave the session"))?;
            Ok(keeper.as_raw_nonzero().get().unsigned_abs())
        }
        Side::Parent { child } => leave(keep(child, &blocked)),
    }
}

/// Waits for the program, ends what it left, and says the code to end with.
fn keep(program: Pid, blocked: &Blocked) -> i32 {
    let_go_of_the_pipes();
    let code = loop {
        match blocked.next() {
            Signal::CHILD => {
                if let Some(code) = reap(program) {
                    break code;
                }
            }
            Signal::HUP => break 128 + Signal::HUP.as_raw(),
            asked => {
                let _ = kill_process(program, asked);
            }
        }
    };
    while tree::kill_descendants(std::process::id()) > 0 {
        reap(program);
    }
    reap(program);
    cgroup::remove_left_over();
    code
}

/// The program's protocol ends when the program does, not when its keeper does.
fn let_go_of_the_pipes() {
    if let Ok(null) = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(null.as_fd());
        let _ = rustix::stdio::dup2_stdout(null.as_fd());
        let _ = rustix::stdio::dup2_stderr(null.as_fd());
    }
}

/// Reaps who has ended, and says the code of the program if it is among them.
fn reap(program: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == program => code = Some(code_of(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return code,
        }
    }
}

/// As a shell says it.
fn code_of(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(1)
}
