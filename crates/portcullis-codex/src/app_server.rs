//! [`Agent`] over a supervised `codex app-server`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_agent::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Readiness, ReasoningSummary, Turn,
    TurnRequest, WorkerReport,
};
use portcullis_app_server_protocol::{
    Approval, SandboxMode, ThreadStartParams, TurnEnvironment, TurnStartParams,
};
use portcullis_supervisor::{Backoff, Settings as SupervisorSettings, State, Supervisor};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::binary::PINNED_VERSION;
use crate::codex::Settings;
use crate::hands::{HandsInUse, HandsMaker};
use crate::history::{Replay, replay};
use crate::running::{HeldPlaces, NewTurn, run};
use crate::to_its_end::to_its_end;
use crate::tools::dynamic_tools;
use crate::turn_state::TurnState;
use crate::watch::{EVERY, Used, Watch};
use crate::worker::{Link, Login, Worker, changed, report};
use crate::worker_config::Kind;

/// An agent over one supervised `codex app-server`.
pub(crate) struct AppServer {
    kind: Kind,
    supervisor: Supervisor<Arc<Link>>,
    version: String,
    login_file: Utf8PathBuf,
    /// Turns that are being started though their caller has gone; each ends within its calls' deadlines.
    starting: TaskTracker,
    /// Makes the hands of its turns, if they have any.
    hands: Option<Arc<HandsMaker>>,
}

impl AppServer {
    /// Starts the worker; it becomes ready in its own time. With hands its turns have Codex's own tools.
    pub(crate) fn start(name: &str, settings: &Settings, hands: Option<Arc<HandsMaker>>) -> Self {
        let login_file = settings.login_home.join("auth.json");
        let version = settings.binary.version.clone();
        let kind = if hands.is_some() { Kind::Hands } else { Kind::Chat };
        let worker = Worker {
            name: name.to_owned(),
            kind,
            confinement: settings.confinement.clone(),
            relay: hands.as_ref().map(|hands| hands.port()),
            binary: settings.binary.clone(),
            dir: settings.workers_dir.join(name),
            login_file: login_file.clone(),
            login_home: settings.login_home.clone(),
            provider: settings.provider.clone(),
            model: settings.model.clone(),
            models: settings.models.clone(),
            turns: settings.turns,
            catalog: OnceCell::new(),
        };
        let supervisor = Supervisor::start(
            worker,
            SupervisorSettings {
                ready_within: Duration::from_secs(30),
                stop_grace: settings.stop_grace,
                backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(20), 0.5)
                    .expect("the bounds are in order"),
                stable_after: Duration::from_secs(10),
            },
        );
        Self { kind, supervisor, version, login_file, starting: TaskTracker::new(), hands }
    }

    /// Waits until the worker is ready, at most so long.
    pub(crate) async fn ready(&self, within: Duration) -> bool {
        self.supervisor.ready(within).await.is_ok()
    }

    /// The worker's process id, while it runs.
    pub(crate) fn worker_pid(&self) -> Option<u32> {
        self.supervisor.status().borrow().pid
    }

    /// Ends the worker: TERM to its group, grace, KILL. Running turns fail.
    pub(crate) async fn shutdown(self: Arc<Self>) {
        self.starting.close();
        self.supervisor.shutdown().await;
        self.starting.wait().await;
    }

    /// Replaces the worker when it does what nobody asked for. Never returns.
    pub(crate) async fn watch(&self) {
        let (mut watch, mut last) = (Watch::default(), Instant::now());
        loop {
            tokio::time::sleep(EVERY).await;
            let status = self.supervisor.status().borrow().clone();
            let (Some(pid), Some(link)) = (status.pid, status.state.handle()) else { continue };
            let idle = link.router.is_idle();
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            if let Some(why) = watch.look(pid, Used::below(pid), idle, elapsed) {
                self.supervisor.restart(why);
            }
        }
    }

    fn link(&self) -> Result<Arc<Link>, AgentError> {
        let link = self.supervisor.handle().ok_or_else(|| {
            let status = self.supervisor.status().borrow().clone();
            let last = status.last_exit.map_or(String::new(), |last| format!(", the last one {last}"));
            AgentError::new(ErrorKind::WorkerLost)
                .because(format!("the worker is not ready but {}{last}", status.state.name()))
        })?;
        if link.login == Login::Missing {
            self.notice_login(&link);
            return Err(ErrorKind::LoginRequired.into());
        }
        Ok(link)
    }

    /// A worker reads the login once, when it starts: one that found none is replaced when the file has changed.
    fn notice_login(&self, link: &Link) {
        if link.login == Login::Missing && changed(&self.login_file) != link.login_changed {
            self.supervisor.restart("the login has changed");
        }
    }
}

#[async_trait]
impl Agent for AppServer {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: true, tools: true }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        let link = self.supervisor.handle().ok_or_else(|| AgentError::new(ErrorKind::WorkerLost))?;
        Ok(link.models.clone())
    }

    async fn readiness(&self) -> Readiness {
        let status = self.supervisor.status().borrow().clone();
        if let Some(link) = status.state.handle() {
            self.notice_login(link);
        }
        let pinned = self.version == PINNED_VERSION;
        let version = Condition {
            name: "codex_version",
            ok: pinned,
            required: false,
            message: if pinned {
                format!("Codex {}", self.version)
            } else {
                format!(
                    "Codex {} is not the version that Portcullis is tested with ({PINNED_VERSION})",
                    self.version
                )
            },
        };
        let restarts = status.restarts;
        let worker = Condition {
            name: "worker",
            ok: matches!(status.state, State::Ready(_)),
            required: true,
            message: match &status.last_exit {
                Some(last) => {
                    format!("{}, {restarts} restarts, the last because it {last}", status.state.name())
                }
                None => status.state.name().to_owned(),
            },
        };
        let login = status.state.handle().map(|link| match &link.login {
            Login::NotNeeded => (true, "the provider needs no Codex login".to_owned()),
            Login::SignedIn(kind) => (true, format!("signed in with {kind}")),
            Login::Missing => (false, "nobody is signed in: run `portcullis login`".to_owned()),
        });
        let (ok, message) =
            login.unwrap_or_else(|| (false, "not known while the worker is not ready".to_owned()));
        Readiness::of(vec![worker, Condition { name: "login", ok, required: true, message }, version])
    }

    fn workers(&self) -> Vec<WorkerReport> {
        vec![report(&self.supervisor)]
    }

    /// Runs all steps in any case: a caller that goes away in the middle must not leave a thread behind. The turn
    /// that nobody takes is dropped, and so interrupted.
    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let link = self.link()?;
        to_its_end(&self.starting, start_turn(self.kind, self.hands.clone(), link, request)).await
    }
}

async fn start_turn(
    kind: Kind,
    maker: Option<Arc<HandsMaker>>,
    link: Arc<Link>,
    request: TurnRequest,
) -> Result<Turn, AgentError> {
    let full = |_full| AgentError::new(ErrorKind::Busy { retry_after: None });
    let in_worker = Arc::clone(&link.places).try_acquire_owned().map_err(full)?;
    let TurnRequest { request, principal, profile, history, tools, options, place, .. } = request;
    let place = HeldPlaces { _in_worker: in_worker, _among_all: place };
    if profile.has_hands() != (kind == Kind::Hands) {
        return Err(AgentError::new(ErrorKind::Internal).because("the profile belongs to another worker"));
    }
    let hands = match maker {
        Some(maker) => Some(maker.take(&request, &principal, profile).await?),
        None => None,
    };
    let Replay { injected, input } = replay(&history);
    let state = TurnState::new(tools.iter().map(|tool| tool.name.clone()));

    let mut config = serde_json::Map::new();
    if let Some(verbosity) = options.verbosity {
        config.insert("model_verbosity".to_owned(), Value::String(verbosity));
    }
    let (approval_policy, approvals_reviewer) =
        hands.as_ref().map_or((Approval::Never, None), HandsInUse::asks);
    let environment = hands.as_ref().map(HandsInUse::environment);
    if let Some(TurnEnvironment { cwd, .. }) = &environment {
        // Otherwise Codex trusts the workspace by itself and reads a `.codex` that a model has written there.
        config.insert("projects".to_owned(), json!({cwd: {"trust_level": "untrusted"}}));
    }
    if let Some(variables) = hands.as_ref().and_then(HandsInUse::variables) {
        config.insert("shell_environment_policy".to_owned(), variables);
    }
    let thread = ThreadStartParams {
        ephemeral: true,
        // The brain's own empty directory, also with hands: Codex would look in a workspace for settings of its own, and fail
        // where it may not read what a model has put there. Commands run where the environment says.
        cwd: link.cwd.to_string(),
        // The cell is what confines hands: Codex's own sandbox would need what the cell takes away.
        sandbox: if hands.is_some() { SandboxMode::DangerFullAccess } else { SandboxMode::ReadOnly },
        approval_policy,
        approvals_reviewer,
        environments: environment.into_iter().collect(),
        experimental_raw_events: true,
        // With hands the model needs Codex's instructions, without them it gets none.
        base_instructions: hands.is_none().then(String::new),
        dynamic_tools: dynamic_tools(tools),
        model: options.model.to_string(),
        service_tier: options.service_tier,
        config,
    };
    let turn = TurnStartParams {
        thread_id: String::new(),
        input,
        effort: options.effort,
        summary: summary_word(options.summary),
        output_schema: options.output_schema,
    };
    run(link, NewTurn { place, state, thread, injected, turn, hands }).await
}

fn summary_word(summary: ReasoningSummary) -> Option<&'static str> {
    match summary {
        ReasoningSummary::Default => None,
        ReasoningSummary::None => Some("none"),
        ReasoningSummary::Auto => Some("auto"),
        ReasoningSummary::Concise => Some("concise"),
        ReasoningSummary::Detailed => Some("detailed"),
    }
}
