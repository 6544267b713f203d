//! The user: a cell never runs as root, and root's gateway gives it another one.
//!
//! Root inside namespaces is not root, but it owns the files of the real one, `/proc/sys/kernel/core_pattern` among them:
//! who writes that is root of the machine.

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::{EnterError, User};

/// Whether the launcher was started by root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Who the cell will run as.
pub(crate) fn chosen(asked: Option<User>) -> Result<User, EnterError> {
    let own = User { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    match asked {
        Some(user) if user.uid == 0 || user.gid == 0 => Err(EnterError::Root),
        Some(user) if own.uid == 0 || user == own => Ok(user),
        Some(_) => Err(EnterError::NotRoot(own.uid)),
        None if own.uid == 0 => Err(EnterError::Root),
        None => Ok(own),
    }
}

/// Becomes that user for good, when root. The launcher has one thread, so that a thread's ids are the process's.
pub(crate) fn become_(user: User) -> Result<(), EnterError> {
    if !is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&[]).map_err(EnterError::refused("leave root's groups"))?;
    set_thread_res_gid(gid, gid, gid).map_err(EnterError::refused("change the group"))?;
    set_thread_res_uid(uid, uid, uid).map_err(EnterError::refused("change the user"))?;
    Ok(())
}
