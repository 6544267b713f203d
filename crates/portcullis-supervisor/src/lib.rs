//! Starts, watches, restarts, drains and kills process groups; knows no agent.
//!
//! Three layers, each usable alone:
//!
//! * [`Process`]: one child in a process group of its own, described by a [`Launch`]. Its end is the end of
//!   the group.
//! * [`run_to_end`]: a helper command with a deadline and a bound on its output.
//! * [`Supervisor`]: keeps one process of a [`Role`] running, `Starting → Ready → Draining → Exited`, with
//!   [`Backoff`] between failures, and publishes its [`Status`].
//!
//! No child inherits an environment, and none outlives its owner: dropping a `Process` or a `Supervisor`
//! kills the group. A descendant that leaves the group (`setsid`) is out of reach here; the cell around the
//! worker is what holds it.

mod backoff;
mod exit;
mod launch;
mod memory;
mod process;
mod restart;
mod role;
mod run;
mod status;
mod stderr;
mod supervisor;
mod task;
mod worker;

pub use backoff::{Backoff, InvalidBackoff};
pub use exit::ExitReason;
pub use launch::Launch;
pub use memory::resident_bytes;
pub use process::{Process, SpawnError};
pub use role::{ConnectError, Connected, LaunchError, Role};
pub use run::{Limits, Output, RunError, run_to_end};
pub use status::{State, Status};
pub use supervisor::{NotReady, Settings, Supervisor};
