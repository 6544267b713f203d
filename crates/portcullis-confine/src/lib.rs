//! Builds a cell: turns a [`Cell`] value into kernel facts for a child; the only crate with `unsafe`.
//!
//! A [`Cell`] says what a program may see and use. [`Cell::launch`] makes a command line of it that starts a launcher
//! (the gateway's own binary under a hidden name), which calls [`enter`]: it gives up what the program must not
//! have, step by step, and becomes the program. Nothing of this happens in the gateway's process, so nothing here
//! has to be safe between `fork` and `exec` of a program with threads.
//!
//! One file is one thing that the kernel is asked for, with why: [`enter`](mod@enter) is their order. [`support`] asks
//! what this machine accepts, by building a cell that does nothing.
//!
//! Linux only. docs/design/cells.md has the decision and its price.

mod bubblewrap;
mod cell;
mod cgroup;
mod descriptors;
mod enter;
mod error;
mod exec;
mod fork;
mod keeper;
mod landlock;
mod limits;
mod parent;
pub mod probe;
mod report;
mod signals;
mod stage;
mod support;
mod syscalls;
pub mod tree;
mod user;

pub use cell::{Access, Cell, Level, Limits, Mount, Network, SmallFile, Syscalls, Tmpfs, User};
pub use enter::enter;
pub use error::EnterError;
pub use report::{Cgroup, Missing, Report};
pub use support::{Refusal, Support, support};
