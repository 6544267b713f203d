//! The gateway: the real program, in a process of its own, with keys, limits, log and metrics as they are by default.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_supervisor::{Launch, Limits, Process, run_to_end};
use serde_json::Value;

use crate::http::{Address, Connection};
use crate::proc;

/// How long it may take until it can run a turn.
const READY: Duration = Duration::from_mins(1);
/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(1);

/// How a gateway is started.
pub(crate) struct Setup<'a> {
    /// The gateway's program.
    pub(crate) program: &'a Utf8Path,
    /// The Codex program, or what stands in for it.
    pub(crate) codex: &'a Utf8Path,
    /// Where model requests go.
    pub(crate) model: &'a str,
    /// The most turns at once.
    pub(crate) turns: usize,
    /// How workers are confined. Without it: as well as Codex can be, and hardly what stands in for it, which needs the
    /// machine's libraries and would not find them in a worker's own view of the files.
    pub(crate) level: Option<&'a str>,
    /// More lines for `[provider]`. Where they ask for a login there is one, which is nobody's.
    pub(crate) provider: &'a str,
    /// More lines for its configuration.
    pub(crate) more: &'a str,
    /// Where it lives; a directory of its own where there is none.
    pub(crate) dir: Option<Utf8PathBuf>,
    /// How many descriptors it may have.
    pub(crate) descriptors: Option<u32>,
}

/// A running gateway.
pub(crate) struct Gateway {
    process: Process,
    pub(crate) pid: u32,
    pub(crate) address: Address,
    dir: Utf8PathBuf,
    _dir: Utf8TempDir,
    /// From the start of its process until it answered at all.
    pub(crate) alive_after: Duration,
    /// From the start of its process until it could run a turn.
    pub(crate) ready_after: Duration,
}

impl Gateway {
    pub(crate) async fn start(setup: &Setup<'_>) -> anyhow::Result<Self> {
        let own = camino_tempfile::tempdir()?;
        let dir = setup.dir.clone().unwrap_or_else(|| own.path().to_owned());
        let config = dir.join("portcullis.toml");
        let state = dir.join("state");
        std::fs::write(&config, configuration(setup, &state))?;
        if !setup.provider.is_empty() {
            let home = state.join("codex");
            std::fs::create_dir_all(&home)?;
            for dir in [&state, &home] {
                std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
            }
            std::fs::write(home.join("auth.json"), portcullis_lab::nobodys_login())?;
        }
        let key = new_key(setup.program, &config, &dir).await?;
        let log = dir.join("log");
        let started = Instant::now();
        let limit = setup.descriptors.map(|most| format!("ulimit -n {most}; ")).unwrap_or_default();
        // Through a shell, so that the log goes to a file as it does in production, and nobody here reads it.
        let process = Process::spawn(&Launch {
            program: "/bin/sh".into(),
            args: [
                "-c",
                &format!(r#"{limit}exec "$0" serve --config "$1" 2> "$2""#),
                setup.program.as_str(),
                config.as_str(),
                log.as_str(),
            ]
            .map(str::to_owned)
            .to_vec(),
            env: environment(),
            cwd: dir.clone(),
        })?;
        let pid = process.pid();
        let mut this = Self {
            process,
            pid,
            address: Address { socket: ([127, 0, 0, 1], 0).into(), key, model: "gpt-5.5" },
            dir,
            _dir: own,
            alive_after: Duration::ZERO,
            ready_after: Duration::ZERO,
        };
        this.address.socket = this.listening(&log, started).await?;
        let mut connection = Connection::open(&this.address).await?;
        connection.get("/livez").await?;
        this.alive_after = started.elapsed();
        while connection.get("/readyz").await?.0 != 200 {
            if started.elapsed() > READY {
                bail!("the gateway does not become ready:\n{}", this.log());
            }
            tokio::time::sleep(POLL).await;
        }
        this.ready_after = started.elapsed();
        Ok(this)
    }

    /// Waits until the log says where it listens.
    async fn listening(&self, log: &Utf8Path, started: Instant) -> anyhow::Result<SocketAddr> {
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let address = text.split("http://").nth(1).and_then(|rest| rest.split('/').next());
            if let Some(Ok(address)) = address.map(str::parse) {
                return Ok(address);
            }
            if started.elapsed() > READY || proc::rss(self.pid).is_err() {
                bail!("the gateway did not start:\n{text}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until every worker of its pool is ready, at most so long.
    pub(crate) async fn whole(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Ok(mut connection) = Connection::open(&self.address).await
                && let Ok((200, body)) = connection.get("/readyz").await
                && pool_is_whole(&body)
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The home of its first worker.
    pub(crate) fn worker_home(&self) -> anyhow::Result<Utf8PathBuf> {
        let workers = self.dir.join("state/workers");
        let homes = workers.read_dir_utf8()?.flatten().map(|entry| entry.path().join("home"));
        homes.filter(|home| home.join("config.toml").is_file()).min().context("no worker has a home")
    }

    /// What its metrics say now.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        let (_, text) = Connection::open(&self.address).await?.get("/metrics").await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.process.stop(Duration::from_secs(15)).await;
    }
}

fn configuration(setup: &Setup<'_>, state: &Utf8Path) -> String {
    let Setup { codex, model, turns, level, provider, more, .. } = setup;
    let level = level.unwrap_or(if codex.file_name() == Some("codex") { "best" } else { "bare" });
    format!(
        "[http]\nbind = \"127.0.0.1:0\"\nconnections = 30000\n\n[state]\ndir = \"{state}\"\n\n[codex]\nbin = \"{codex}\"\nmodel = \"gpt-5.5\"\n\n\
         [provider]\nkind = \"custom\"\nname = \"lab\"\nbase_url = \"{model}\"\nrequest_max_retries = 0\n\
         stream_max_retries = 0\n{provider}\n[limits]\nturns = {turns}\n\n[confine]\nlevel = \"{level}\"\n\n{more}\n"
    )
}

/// Whether `/readyz` says so.
fn pool_is_whole(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut conditions = body["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["name"] == "pool" && condition["ok"] == true)
}

async fn new_key(program: &Utf8Path, config: &Utf8Path, cwd: &Utf8Path) -> anyhow::Result<String> {
    let launch = Launch {
        program: program.to_owned(),
        args: ["key", "create", "--name", "bench", "--config", config.as_str()].map(str::to_owned).to_vec(),
        env: environment(),
        cwd: cwd.to_owned(),
    };
    let limits = Limits { timeout: Duration::from_secs(20), max_stdout_bytes: 4096 };
    let output = run_to_end(&launch, None, limits).await.context("no key could be made")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn environment() -> Vec<(String, String)> {
    vec![("HOME".to_owned(), "/nonexistent".to_owned()), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())]
}
