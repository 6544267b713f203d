//! Landlock: what the cell may open, reach and signal, kept by the kernel for it and all its descendants.
//!
//! It needs no privilege and cannot be taken back. At [`Level::Namespaces`] it leaves files alone, as under rules for files
//! nothing can be mounted, and closes what namespaces leave open: ports of a network that is shared with the machine.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, Scope,
};

use crate::{Access, Cell, EnterError, Level, Missing, Network, user};

/// The rules that exist since then are asked for; an older kernel takes those that it knows.
const RULES: ABI = ABI::V6;
/// Since then there are rules for ports.
const PORTS: u32 = 4;
/// Since then there are scopes for signals and abstract sockets.
const SCOPES: u32 = 6;

/// Devices that every program takes for granted and that hold nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The cell's rules, with its files found while the launcher could still reach them.
#[derive(Debug)]
pub(crate) struct Rules {
    level: Level,
    paths: Vec<(PathFd, BitFlags<AccessFs>)>,
    ports: Option<Vec<u16>>,
}

/// The kernel's version of Landlock; 0 when it has none.
pub(crate) fn abi() -> u32 {
    let ask_for_the_version = 1_u32;
    // SAFETY: with this flag the call takes no memory, and says a number.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, ask_for_the_version)
    };
    u32::try_from(abi).unwrap_or(0)
}

/// The least version that will do at [`Level::Landlock`]. Who has the gateway's own user id may signal it unless a scope
/// forbids it; another user cannot in any case.
fn least(own_user: bool) -> u32 {
    if own_user { PORTS } else { SCOPES }
}

impl Rules {
    pub(crate) fn open(cell: &Cell) -> Result<Self, EnterError> {
        let mut paths = Vec::new();
        if cell.level == Level::Landlock {
            let (needed, found) = (least(user::is_root()), abi());
            if found < needed {
                return Err(EnterError::OldLandlock { needed, found });
            }
            for device in DEVICES {
                if let Ok(path) = PathFd::new(device) {
                    paths.push((path, AccessFs::ReadFile | AccessFs::WriteFile));
                }
            }
            for mount in &cell.mounts {
                let path = PathFd::new(&mount.source).map_err(|error| EnterError::Path {
                    path: mount.source.clone(),
                    source: std::io::Error::other(error),
                })?;
                let access = match mount.access {
                    Access::ReadOnly => AccessFs::from_read(RULES),
                    Access::ReadWrite => AccessFs::from_all(RULES) & !devices(),
                };
                paths.push((path, access));
            }
        }
        let ports = match &cell.network {
            Network::None => Some(Vec::new()),
            Network::Ports { tcp, names } => Some(tcp.iter().copied().chain(names.then_some(53)).collect()),
        };
        Ok(Self { level: cell.level, paths, ports: ports.filter(|_| cell.level != Level::Bare) })
    }

    /// Binds this process for good, and says what the kernel is too old for.
    pub(crate) fn enforce(self, shares_network: bool) -> Result<Vec<Missing>, EnterError> {
        let Some(ports) = self.ports else {
            return Ok(vec![Missing::Ports, Missing::Scopes]);
        };
        let abi = abi();
        let mut missing = Vec::new();
        if abi < PORTS && shares_network {
            missing.push(Missing::Ports);
        }
        if abi < SCOPES {
            missing.push(Missing::Scopes);
        }
        let files = self.level == Level::Landlock;
        if !files && abi < PORTS {
            return Ok(missing);
        }
        let mut rules = Ruleset::default();
        if files {
            rules = rules.handle_access(AccessFs::from_all(RULES))?;
        }
        let rules =
            rules.handle_access(AccessNet::from_all(RULES))?.scope(Scope::from_all(RULES))?.create()?;
        let paths = self.paths.into_iter().map(|(path, access)| Ok(PathBeneath::new(path, access)));
        let ports = ports.into_iter().map(|port| Ok(NetPort::new(port, AccessNet::ConnectTcp)));
        rules
            .add_rules(paths.collect::<Vec<Result<_, EnterError>>>())?
            .add_rules(ports.collect::<Vec<Result<_, EnterError>>>())?
            .restrict_self()?;
        Ok(missing)
    }
}

/// Nobody in a cell makes device files or speaks to devices.
fn devices() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev
}
