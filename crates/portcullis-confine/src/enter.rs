//! The order of things.
//!
//! Each step is possible only before a later one: what root must find or make comes before it stops being root; limits
//! and Landlock come before bubblewrap, which passes them on; the refused calls come last, as building a cell needs most
//! of them.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::process::Signal;
use rustix::thread::set_no_new_privs;

use crate::bubblewrap::{self, Handed};
use crate::cell::Order;
use crate::descriptors::{self, hand_on, holding};
use crate::exec::Program;
use crate::landlock::{self, Rules};
use crate::{
    Cell, EnterError, Level, Network, Report, cgroup, keeper, limits, parent, stage, syscalls, user,
};

/// Enters the cell that [`Cell::launch`] wrote down: this process becomes its program. Returns only when that failed, and
/// nothing of the program ran then.
///
/// To be called by a program that has one thread and has opened nothing. Says a [`Report`] on stderr before the program
/// starts.
pub fn enter(order: &str) -> Result<Infallible, EnterError> {
    descriptors::close_inherited()?;
    let Order { parent, mut cell } = serde_json::from_str(order)?;
    parent::die_with(parent, Signal::KILL)?;
    let user = user::chosen(cell.user)?;

    let namespaces = cell.level == Level::Namespaces;
    let parent = if namespaces { parent } else { keeper::stay_behind()? };
    let (cgroup, counted) = cgroup::join(&cell.limits);
    if namespaces && user::is_root() {
        stage::set_up(&mut cell.mounts)?;
    }
    let program = Program::open(cell.to_execute()?)?;
    let rules = Rules::open(&cell)?;

    user::become_(user)?;
    parent::die_with(parent, Signal::KILL)?;
    let mut missing = limits::set(&cell.limits, user, cell.level, counted)?;
    set_no_new_privs(true).map_err(EnterError::refused("give up new privileges"))?;
    missing.extend(rules.enforce(cell.network != Network::None)?);
    Report { level: cell.level, landlock: landlock::abi(), cgroup, missing }.say();

    if namespaces { into_namespaces(program, &cell) } else { in_place(program, &cell) }
}

impl Cell {
    /// What this process becomes: bubblewrap, which starts the program, or the program.
    fn to_execute(&self) -> Result<&camino::Utf8Path, EnterError> {
        match self.level {
            Level::Namespaces => self.bwrap.as_deref().ok_or(EnterError::NoBubblewrap),
            Level::Landlock | Level::Bare => {
                let moved = self.mounts.iter().find(|mount| mount.source != mount.target);
                match moved.cloned() {
                    None => Ok(&self.program),
                    Some(mount) => Err(EnterError::Moved { source_path: mount.source, target: mount.target }),
                }
            }
        }
    }
}

fn into_namespaces(bwrap: Program, cell: &Cell) -> Result<Infallible, EnterError> {
    let files: Result<Vec<OwnedFd>, _> =
        cell.files.iter().map(|file| holding(file.text.as_bytes())).collect();
    let files = files?;
    let filters = syscalls::filters(cell.syscalls, &cell.network)?;
    let filters: Result<Vec<OwnedFd>, _> =
        filters.iter().map(|filter| holding(&syscalls::bytes(filter))).collect();
    let filters = filters?;

    let with_file = |(open, file)| Ok((hand_on(open)?, file));
    let handed = Handed {
        files: files.iter().zip(&cell.files).map(with_file).collect::<Result<_, EnterError>>()?,
        filters: filters.iter().map(hand_on).collect::<Result<_, EnterError>>()?,
    };
    let options: String =
        bubblewrap::options(cell, &handed).iter().flat_map(|option| [option, "\0"]).collect();
    let options = holding(options.as_bytes())?;
    bwrap.exec(&bubblewrap::command(cell, hand_on(&options)?))
}

fn in_place(program: Program, cell: &Cell) -> Result<Infallible, EnterError> {
    rustix::process::chdir(cell.cwd.as_std_path())
        .map_err(|errno| EnterError::Path { path: cell.cwd.clone(), source: errno.into() })?;
    syscalls::install(&syscalls::filters(cell.syscalls, &cell.network)?)?;
    program.exec(&cell.args)
}
