//! Whether Codex takes a worker's configuration as it was written: it is asked for it.

use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_agent::Profile;
use portcullis_app_server_protocol::{ConfigReadParams, ConfigReadResponse, RequirementsReadParams};
use portcullis_confine::Level;
use portcullis_supervisor::{LaunchError, Process, Role as _, SpawnError};
use serde_json::Value;
use toml::Table;

use crate::binary::CodexBinary;
use crate::cells::Confinement;
use crate::connection::{CALL_DEADLINE, Connection, Opened};
use crate::provider::Provider;
use crate::replies::CallError;
use crate::worker::{Worker, initialize};
use crate::worker_config::{Kind, worker_config};

/// A worker as it would be started, to be asked.
#[derive(Clone, Debug)]
pub struct ReadBack {
    /// The binary.
    pub binary: CodexBinary,
    /// How it is confined.
    pub confinement: Confinement,
    /// Where model requests would go. None is sent.
    pub provider: Provider,
    /// The default model.
    pub model: String,
    /// A directory that workers' users can walk through. Nobody is signed in there.
    pub dir: Utf8PathBuf,
}

/// What Codex says of the configuration.
#[derive(Debug, Eq, PartialEq)]
pub struct Effective {
    /// How many settings were written.
    pub written: usize,
    /// What Codex makes of them otherwise.
    pub otherwise: Vec<String>,
    /// Whether the policy stands above the configuration; there is none without a view of files of its own.
    pub has_policy: bool,
    /// Whether it should.
    pub wants_policy: bool,
}

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The worker could not be prepared.
    #[error("the worker could not be prepared")]
    Launch(#[from] LaunchError),
    /// It did not start.
    #[error("Codex did not start")]
    Spawn(#[from] SpawnError),
    /// Its pipes could not be used.
    #[error("Codex cannot be spoken to")]
    Pipes(#[from] std::io::Error),
    /// It did not answer, or ended: with `--strict-config`, for a setting that it does not know.
    #[error("Codex did not answer: {0}")]
    Silent(String),
}

impl From<CallError> for ReadBackError {
    fn from(error: CallError) -> Self {
        Self::Silent(error.to_string())
    }
}

impl ReadBack {
    /// Starts a worker of a profile, and asks it what its configuration comes to.
    pub async fn settings(&self, profile: Profile) -> Result<Effective, ReadBackError> {
        let kind = if profile.has_hands() { Kind::Hands } else { Kind::Chat };
        let worker = self.worker(kind);
        let mut process = Process::spawn(&worker.launch().await?)?;
        let (stdin, stdout) = process.take_stdio();
        let Opened { connection, router: _router, closed } = Connection::open(stdin, stdout)?;
        let asked = tokio::select! {
            asked = ask(&connection) => asked.map_err(ReadBackError::from),
            why = closed => Err(ReadBackError::Silent(why)),
        };
        process.stop(Duration::from_secs(2)).await;
        let (told, has_policy) = asked.map_err(|error| match process.stderr_tail().trim() {
            "" => error,
            said => ReadBackError::Silent(said.to_owned()),
        })?;
        let written = worker_config(kind, &self.provider, &self.model, &worker.dir.join("home/models.json"));
        let leaves = leaves(&written);
        Ok(Effective {
            written: leaves.len(),
            otherwise: leaves.iter().filter_map(|(name, value)| differs(name, value, &told)).collect(),
            has_policy,
            wants_policy: matches!(&self.confinement, Confinement::Cells(cells) if cells.level == Level::Namespaces),
        })
    }

    fn worker(&self, kind: Kind) -> Worker {
        let login_home = self.dir.join("settings-login");
        Worker {
            name: "doctor".to_owned(),
            kind,
            confinement: self.confinement.clone(),
            relay: None,
            binary: self.binary.clone(),
            dir: self.dir.join(if kind == Kind::Hands { "settings-hands" } else { "settings-chat" }),
            login_file: login_home.join("auth.json"),
            login_home,
            provider: self.provider.clone(),
            model: self.model.clone(),
            models: vec![self.model.clone()],
            turns: 1,
            catalog: tokio::sync::OnceCell::new(),
        }
    }
}

async fn ask(connection: &Connection) -> Result<(ConfigReadResponse, bool), CallError> {
    initialize(connection).await?;
    let told = connection.call(&ConfigReadParams { include_layers: false }, CALL_DEADLINE).await?;
    let policy = connection.call(&RequirementsReadParams, CALL_DEADLINE).await?;
    Ok((told, policy.requirements.is_some()))
}

/// Every setting under its dotted name.
fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                all.extend(leaves(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            leaf => {
                let leaf = leaf.clone().try_into().expect("a plain value");
                all.push((name.clone(), leaf));
            }
        }
    }
    all
}

/// How Codex takes a setting, if it is another one. Some are not told; of those, Codex names the layer that they come from.
fn differs(name: &str, written: &Value, told: &ConfigReadResponse) -> Option<String> {
    let mut at = name.split('.');
    let first = at.next().and_then(|first| told.config.get(first));
    let found = at.fold(first, |table, part| table?.get(part));
    match found {
        Some(found) if found == written => None,
        Some(found) if !found.is_null() => Some(format!("{name} is {found} and not {written}")),
        _ if told.origins.contains_key(name) => None,
        _ => Some(format!("{name} is not known to Codex")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_as_written_or_named() {
        let written = toml::toml! {
            a = 1
            b = "x"
            [c]
            d = { e = false, f = true }
            g = "hidden"
            h = "lost"
        };
        let told = json!({
            "config": {"a": 1, "b": "y", "c": {"d": {"e": false}, "g": null}},
            "origins": {"c.d.f": {}, "c.g": {}, "a": {}},
        });
        let told: ConfigReadResponse = serde_json::from_value(told).unwrap();
        let otherwise: Vec<_> =
            leaves(&written).iter().filter_map(|(name, value)| differs(name, value, &told)).collect();
        assert_eq!(otherwise, ["b is \"y\" and not \"x\"", "c.h is not known to Codex"]);
    }
}
