//! The probe: a program that tries, inside a cell, what a hostile one would, and says of each attempt whether it was refused.
//!
//! It shows what the kernel does, not what it was asked for. Every attempt is harmless where it succeeds: nothing is
//! written to what belongs to others, nobody is signalled with anything but 0, and what is used up is bounded and given
//! back. Each runs in a process of its own, so that one that is killed is an answer, too.
//!
//! Most attempts succeed outside a cell; an attempt that also fails there proves nothing.

mod attempt;
mod files;
mod kernel;
mod network;
mod processes;
mod resources;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::{Limits, Tmpfs};
use attempt::{Attempt, isolated};

/// What the probe goes for. Paths are as seen inside the cell.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// Files and directories to read.
    pub read: Vec<Named>,
    /// Directories to make a file in. It is removed again.
    pub write: Vec<Named>,
    /// A directory to make links in.
    pub workspace: Utf8PathBuf,
    /// A process outside, such as the gateway.
    pub process: u32,
    /// TCP ports of this machine to connect to.
    pub tcp: Vec<NamedPort>,
    /// A listening Unix socket outside.
    pub socket: Utf8PathBuf,
    /// The name of a listening abstract Unix socket outside.
    pub abstract_socket: String,
    /// What can be used up, as the cell was told.
    pub limits: Limits,
    /// Directories in memory to fill, as the cell was told.
    pub tmpfs: Vec<Tmpfs>,
}

/// A path under a name that does not change from machine to machine.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The path.
    pub path: Utf8PathBuf,
}

/// A port under a name that does not change from machine to machine.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NamedPort {
    /// The name.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// One attempt.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried. Names stay the same between versions.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was said, for people.
    pub detail: String,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It failed as it should.
    Refused,
    /// It succeeded, or got so far that only its arguments were wrong.
    Allowed,
    /// There is nothing here to try it on.
    NotApplicable,
}

/// Tries everything, in this order.
pub fn run(targets: &Targets) -> Vec<Trial> {
    let mut all: Vec<Attempt<'_>> = Vec::new();
    all.extend(files::attempts(targets));
    all.extend(processes::attempts(targets));
    all.extend(network::attempts(targets));
    all.extend(kernel::attempts());
    all.extend(resources::attempts(targets));
    all.into_iter().map(isolated).collect()
}
