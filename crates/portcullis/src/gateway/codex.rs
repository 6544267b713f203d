//! Which Codex is run, and how.

use anyhow::{Context as _, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use portcullis_codex::{
    CodexBinary, Confinement, HandsSettings, Lifespan, PINNED_VERSION, Provider, Settings, WorkersSettings,
};
use std::time::Duration;

use super::state::StateDir;
use crate::config::Config;
use crate::environment::Environment;

/// From asking the worker to end to killing its group.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// More would be a mistake in the configuration.
const MOST_SPARES: usize = 64;

/// The configured program, or the first `codex` on the PATH.
pub(crate) async fn find(
    configured: Option<&Utf8Path>,
    environment: &Environment,
) -> anyhow::Result<CodexBinary> {
    let path = match configured {
        Some(path) => path.to_owned(),
        None => on_path(environment.get("PATH").unwrap_or_default()).ok_or_else(|| {
            anyhow!(
                "there is no `codex` on the PATH\n(hint: `npm install -g @openai/codex@{PINNED_VERSION}`, or say \
                 where it is with --codex-bin PATH or [codex] bin)"
            )
        })?,
    };
    CodexBinary::find(&path).await.context("Codex cannot be used")
}

/// Relative entries are left out: what is run must not depend on where somebody stands.
fn on_path(path: &str) -> Option<Utf8PathBuf> {
    let dirs = path.split(':').map(Utf8Path::new).filter(|dir| dir.is_absolute());
    dirs.map(|dir| dir.join("codex")).find(|program| program.is_file())
}

/// How the worker is run.
pub(super) fn settings(
    config: &Config,
    state: &StateDir,
    binary: CodexBinary,
    provider: Provider,
    confinement: Confinement,
    hands: Option<HandsSettings>,
) -> Settings {
    let mut models: Vec<_> = config.aliases.values().map(|alias| alias.model.clone()).collect();
    models.push(config.codex.model.clone());
    models.sort();
    models.dedup();
    Settings {
        binary,
        runner: config.codex.runner,
        workers_dir: state.path().join("workers"),
        login_home: config.codex.home.clone(),
        provider,
        model: config.codex.model.clone(),
        models,
        turns: config.limits.turns.get(),
        workers: WorkersSettings {
            count: config.workers.count.get(),
            spares: usize::try_from(config.workers.spares).unwrap_or(usize::MAX).min(MOST_SPARES),
            life: Lifespan {
                turns: config.workers.max_turns.get() as u64,
                age: config.workers.max_age,
                memory: config.workers.memory.bytes(),
                // The longest that one turn takes, with one wait for its caller's tools.
                drain: config.turn.deadline + config.turn.parked,
            },
        },
        stop_grace: STOP_GRACE,
        confinement,
        hands,
    }
}

#[cfg(test)]
mod tests {
    use camino_tempfile::Utf8TempDir;

    use super::*;

    #[test]
    fn the_first_codex_on_the_path() {
        let dir = Utf8TempDir::new().unwrap();
        for name in ["a/other", "b/codex", "c/codex", "d/codex/x"] {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let path = ["a", "d", "none", "b", "c"].map(|name| dir.path().join(name).to_string()).join(":");
        assert_eq!(on_path(&format!(":.:{path}")), Some(dir.path().join("b/codex")));
        assert_eq!(on_path("b"), None);
        assert_eq!(on_path(""), None);
    }
}
