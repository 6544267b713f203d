//! What is built around workers: what was asked for, what this machine allows, and who workers run as.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use camino::Utf8Path;
use portcullis_agent::Approvals;
use portcullis_codex::{Cells, CodexBinary, Confinement, HandsBounds, HandsSettings, Users};
use portcullis_confine::{Level, Missing, Refusal, Support, User};
use portcullis_workspaces::{Bound, Workspaces};

use crate::config::{Config, ConfineLevel};

/// The running program itself, even when its file has been replaced: it is the launcher of cells.
const LAUNCHER: &str = "/proc/self/exe";

/// How workers are confined, and what of that is weaker than it could be.
#[derive(Debug)]
pub(crate) struct Confined {
    /// For the agent.
    pub(crate) confinement: Confinement,
    /// Whether there can be hands.
    pub(crate) has_hands: bool,
    /// What is built, in one word.
    pub(crate) level: &'static str,
    /// What could not be had.
    pub(crate) missing: Vec<Missing>,
    /// Why better levels could not be had.
    pub(crate) refused: Vec<Refusal>,
}

/// Finds out what this machine allows, and decides. What was asked for by name and can not be had is an error.
pub(crate) async fn decide(config: &Config, binary: &CodexBinary) -> anyhow::Result<Confined> {
    let is_root = rustix::process::geteuid().is_root();
    if config.confine.level == ConfineLevel::Off {
        if is_root {
            bail!(
                "the gateway runs as root, and workers would do so too\n(hint: leave [confine] level at `best`, or run \
                 Portcullis as a user of its own)"
            );
        }
        return Ok(Confined {
            confinement: Confinement::Off,
            has_hands: false,
            level: "off",
            missing: Vec::new(),
            refused: Vec::new(),
        });
    }
    let users = if is_root { Some(users(config)?) } else { None };
    let launcher = Utf8Path::new(LAUNCHER);
    let support =
        portcullis_confine::support(launcher, binary.bubblewrap().as_deref(), users.map(|users| users.brain))
            .await;
    let (level, missing, refused) = choose(config.confine.level, support)?;
    let cells = Cells { launcher: launcher.to_owned(), level, users };
    if level < Level::Namespaces && is_root {
        let_through(&config.state.dir)?;
    }
    Ok(Confined {
        confinement: Confinement::Cells(cells),
        has_hands: level >= Level::Landlock,
        level: word(level),
        missing,
        refused,
    })
}

fn choose(asked: ConfineLevel, support: Support) -> anyhow::Result<(Level, Vec<Missing>, Vec<Refusal>)> {
    let reasons = || {
        let reasons: Vec<_> = support
            .refused
            .iter()
            .map(|refusal| format!("\n  {}: {}", word(refusal.level), refusal.why))
            .collect();
        reasons.concat()
    };
    let best = support
        .best
        .as_ref()
        .ok_or_else(|| anyhow!("this machine can not confine a worker at all:{}", reasons()))?;
    let level = match asked {
        ConfineLevel::Exactly(level) if level > best.level => {
            bail!("[confine] level is `{}`, and this machine does not allow it:{}", word(level), reasons())
        }
        ConfineLevel::Exactly(level) => level,
        ConfineLevel::Best | ConfineLevel::Off => best.level,
    };
    Ok((level, best.missing.clone(), support.refused))
}

/// Who cells run as when the gateway is root: brains as the owner of the login, hands as users of their own.
fn users(config: &Config) -> anyhow::Result<Users> {
    let first = config.confine.first_uid.0;
    let home = &config.codex.home;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(home);
    made.with_context(|| format!("could not make the Codex home `{home}`"))?;
    let found = home.metadata().with_context(|| format!("could not look at the Codex home `{home}`"))?;
    let owner = User { uid: found.uid(), gid: found.gid() };
    let brain = if owner.uid != 0 && owner.gid != 0 {
        owner
    } else if home.starts_with(&config.state.dir) {
        // Ours to give: no worker runs as root, and the login must be readable for the one that uses it.
        let brain = User { uid: first, gid: first };
        portcullis_codex::give(home, brain)?;
        brain
    } else {
        bail!(
            "the Codex home `{home}` belongs to root, and no worker runs as root\n(hint: give it to a user of its own, or \
             leave [codex] home unset and sign in again)"
        );
    };
    Ok(Users { brain, first: first + 1 })
}

/// Without a view of their own, workers of other users must be able to walk to their directories.
fn let_through(dir: &Utf8Path) -> anyhow::Result<()> {
    for dir in [dir.to_owned(), dir.join("workers"), dir.join("workspaces")] {
        std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::set_permissions(&dir, Permissions::from_mode(0o711)))
            .with_context(|| format!("could not let workers through `{dir}`"))?;
    }
    Ok(())
}

/// The workspaces as they are configured.
pub(crate) fn workspaces(config: &Config) -> Workspaces {
    let workspaces = &config.workspaces;
    let bound = Bound {
        bytes: workspaces.size.bytes(),
        files: workspaces.files.get() as u64,
        free: workspaces.free.bytes(),
    };
    Workspaces::new(workspaces.dir.clone(), bound, workspaces.keep)
}

/// A level as configuration, logs and pages call it.
fn word(level: Level) -> &'static str {
    match level {
        Level::Bare => "bare",
        Level::Landlock => "landlock",
        Level::Namespaces => "namespaces",
    }
}

/// How hands are made, where there can be any.
pub(super) fn hands(config: &Config, confined: &Confined, approvals: &Approvals) -> Option<HandsSettings> {
    confined.has_hands.then(|| HandsSettings {
        workspaces: Arc::new(workspaces(config)),
        approvals: approvals.clone(),
        bounds: HandsBounds {
            processes: config.hands.processes.get() as u64,
            memory: config.hands.memory.bytes(),
            file: config.hands.file.bytes(),
            tmp: config.hands.tmp.bytes(),
            paths: config.hands.paths.0.clone(),
        },
        spares: usize::try_from(config.hands.spares).unwrap_or(usize::MAX),
        idle: config.hands.idle,
    })
}
