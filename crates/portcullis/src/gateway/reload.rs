//! Reading the configuration again while the gateway runs.
//!
//! SIGHUP asks for it. What became of it is written to `reload.json` in the state directory, with the word that
//! `portcullis reload` has left in `reload.request`: the gateway reads that word before it reads the configuration, so who
//! finds the own word in the answer knows that the answer is about a file that was read afterwards.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::{AdmissionLimiter, ApprovalPolicies, Approvals, TurnBounds};
use portcullis_audit::{Audit, Entry, Fact, Text};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::http;
use crate::config::{self, Change, Config, Loaded, Reloaded};
use crate::flags::Layers;

/// What became of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// What `reload.request` said.
    pub(crate) request: String,
    /// Why nothing was changed, if nothing was.
    pub(crate) refused: Option<String>,
    /// What is in force from now on.
    pub(crate) applied: Vec<Change>,
    /// What the file says, and is in force only after a restart.
    pub(crate) needs_restart: Vec<Change>,
}

/// Reads the configuration of a gateway again.
pub(crate) struct Reloader {
    layers: Layers,
    running: Loaded,
}

/// The parts of a gateway that take over other settings.
pub(super) struct Live {
    pub(super) settings: watch::Sender<Arc<portcullis_http::Settings>>,
    pub(super) bounds: watch::Sender<TurnBounds>,
    pub(super) limiter: AdmissionLimiter,
    pub(super) approvals: Approvals,
    pub(super) audit: Audit,
    pub(super) state: Utf8PathBuf,
}

/// What a turn with hands may take.
pub(super) fn bounds(config: &Config) -> TurnBounds {
    TurnBounds { steps: config.turn.steps.get() as u64, tokens: config.turn.tokens.get() as u64 }
}

impl Reloader {
    /// For a gateway that is started with what these layers said.
    pub(crate) fn new(layers: Layers, started: Loaded) -> Self {
        Self { layers: layers.again(&started), running: started }
    }
}

impl Live {
    /// Reads the configuration and takes over what can be; a gateway without a reloader takes over nothing. `places` is how
    /// many turns the workers can run.
    pub(super) async fn reload(&self, reloader: Option<&mut Reloader>, places: NonZeroUsize) {
        let request = read(&request_file(&self.state)).unwrap_or_default();
        let read = match reloader {
            Some(reloader) => self.read(reloader, places).await,
            None => Err("this gateway has no configuration file".to_owned()),
        };
        let outcome = match read {
            Ok((applied, needs_restart)) => Outcome { request, refused: None, applied, needs_restart },
            Err(why) => {
                error!("The configuration was not reloaded, and nothing has changed: {why}");
                Outcome { request, refused: Some(why), applied: Vec::new(), needs_restart: Vec::new() }
            }
        };
        if let Err(error) = write(&self.state, &outcome) {
            warn!(error = %error, "The outcome of the reload could not be written down");
        }
    }

    async fn read(
        &self,
        reloader: &mut Reloader,
        places: NonZeroUsize,
    ) -> Result<(Vec<Change>, Vec<Change>), String> {
        let new = reloader.layers.clone().load().map_err(|errors| errors.to_string())?;
        let Reloaded { running, applied, needs_restart } = config::reload(&reloader.running, &new, places);
        let names = |changes: &[Change]| changes.iter().map(|change| Text::new(&change.key)).collect();
        let fact = Fact::ConfigReloaded { changed: names(&applied), needs_restart: names(&needs_restart) };
        if self.audit.append(Entry::of_gateway(fact)).await.is_err() {
            return Err("the audit log can not be written".to_owned());
        }
        self.take_over(&running.config);
        reloader.running = running;
        for Change { key, .. } in &applied {
            info!(config.key = key, "`{key}` has changed");
        }
        for Change { key, .. } in &needs_restart {
            warn!(config.key = key, "`{key}` in the configuration is not in force: it needs a restart");
        }
        info!(applied = applied.len(), needs_restart = needs_restart.len(), "The configuration was reloaded");
        Ok((applied, needs_restart))
    }

    fn take_over(&self, config: &Config) {
        self.settings.send_replace(Arc::new(http::settings(config)));
        self.bounds.send_replace(bounds(config));
        self.limiter.set(http::admission(config));
        let config::Approvals { read, work, wait } = config.approvals;
        self.approvals.set(ApprovalPolicies { read, work }, wait);
    }
}

/// Where who asks for it leaves a word.
pub(crate) fn request_file(state: &Utf8Path) -> Utf8PathBuf {
    state.join("reload.request")
}

/// The last outcome, if there is one.
pub(crate) fn outcome(state: &Utf8Path) -> Option<Outcome> {
    serde_json::from_str(&read(&outcome_file(state))?).ok()
}

fn outcome_file(state: &Utf8Path) -> Utf8PathBuf {
    state.join("reload.json")
}

fn read(path: &Utf8Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            warn!(error = %error, "`{path}` could not be read");
            None
        }
    }
}

/// Whole or not at all, for whoever looks meanwhile.
fn write(state: &Utf8Path, outcome: &Outcome) -> std::io::Result<()> {
    let new = state.join("reload.json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(outcome)?)?;
    std::fs::rename(&new, outcome_file(state))
}
