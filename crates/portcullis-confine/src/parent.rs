//! The death signal: a cell does not outlive who asked for it, however that one ends.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::EnterError;

/// Asks for `signal` at the parent's death, and looks whether it came before that was asked.
///
/// To be asked again after every change of the user, which takes it back.
pub(crate) fn die_with(parent: u32, signal: Signal) -> Result<(), EnterError> {
    set_parent_process_death_signal(Some(signal)).map_err(EnterError::refused("ask for a death signal"))?;
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(EnterError::ParentGone) }
}
