//! One supervised `codex app-server` that runs turns.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_agent::{AgentError, Condition, ErrorKind, ReasoningSummary, Turn, TurnRequest, WorkerReport};
use portcullis_app_server_protocol::{
    Approval, SandboxMode, ThreadStartParams, TurnEnvironment, TurnStartParams,
};
use portcullis_supervisor::{Backoff, Settings as SupervisorSettings, Status, Supervisor};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};
use tokio_util::task::TaskTracker;

use crate::binary::PINNED_VERSION;
use crate::codex::Settings;
use crate::hands::{HandsInUse, HandsMaker};
use crate::history::{Replay, replay};
use crate::running::{HeldPlaces, NewTurn, NotStarted, place_in_trace, run};
use crate::to_its_end::to_its_end;
use crate::tools::dynamic_tools;
use crate::turn_state::TurnState;
use crate::worker::{Link, Login, Worker, changed, report};
use crate::worker_config::Kind;

/// One supervised `codex app-server`.
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

    /// What it is called in the log.
    pub(crate) fn name(&self) -> &str {
        self.supervisor.name()
    }

    /// How it is, now and as that changes.
    pub(crate) fn status(&self) -> watch::Receiver<Status<Arc<Link>>> {
        self.supervisor.status()
    }

    /// What turns are run with, when it is ready. Not from the moment on at which its connection is closed, though its process
    /// may still be dying.
    pub(crate) fn handle(&self) -> Option<Arc<Link>> {
        self.supervisor.handle().filter(|link| link.connection.is_open())
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

    /// Gives it no more turns.
    pub(crate) fn drain(&self, why: &str) {
        if self.handle().is_some_and(|link| link.drain()) {
            tracing::info!(worker.name = self.name(), why, "worker gets no more turns");
        }
    }

    /// Replaces its process: TERM, grace, KILL.
    pub(crate) fn restart(&self, why: &str) {
        self.supervisor.restart(why);
    }

    fn link(&self) -> Result<Arc<Link>, NotStarted> {
        let gone = || AgentError::new(ErrorKind::WorkerLost).because(self.words());
        let link = self.handle().ok_or_else(|| NotStarted { error: gone(), again: true })?;
        if link.login == Login::Missing {
            self.notice_login(&link);
            return Err(AgentError::new(ErrorKind::LoginRequired).into());
        }
        Ok(link)
    }

    /// A worker reads the login once, when it starts: one that found none is replaced when the file has changed.
    fn notice_login(&self, link: &Link) {
        if link.login == Login::Missing && changed(&self.login_file) != link.login_changed {
            self.supervisor.restart("the login has changed");
        }
    }

    /// What is so with it, for an operator.
    pub(crate) fn words(&self) -> String {
        let status = self.status().borrow().clone();
        let (name, state, restarts) = (self.name(), status.state.name(), status.restarts);
        match &status.last_exit {
            Some(last) => format!("{name} is {state}, {restarts} restarts, the last because it {last}"),
            None => format!("{name} is {state}"),
        }
    }

    /// Whether Codex is the version that is tested with.
    pub(crate) fn version_condition(&self) -> Condition {
        let ok = self.version == PINNED_VERSION;
        let message = if ok {
            format!("Codex {}", self.version)
        } else {
            format!(
                "Codex {} is not the version that Portcullis is tested with ({PINNED_VERSION})",
                self.version
            )
        };
        Condition { name: "codex_version", ok, required: false, message }
    }

    /// Whether somebody is signed in.
    pub(crate) fn login_condition(&self) -> Condition {
        let link = self.handle();
        if let Some(link) = &link {
            self.notice_login(link);
        }
        let (ok, message) = match link.as_ref().map(|link| &link.login) {
            Some(Login::NotNeeded) => (true, "the provider needs no Codex login".to_owned()),
            Some(Login::SignedIn(kind)) => (true, format!("signed in with {kind}")),
            Some(Login::Missing) => (false, "nobody is signed in: run `portcullis login`".to_owned()),
            None => (false, "not known while the worker is not ready".to_owned()),
        };
        Condition { name: "login", ok, required: true, message }
    }

    /// As its operator may see it.
    pub(crate) fn report(&self) -> WorkerReport {
        report(&self.supervisor)
    }

    /// Runs all steps in any case: a caller that goes away in the middle must not leave a thread behind. The turn
    /// that nobody takes is dropped, and so interrupted.
    pub(crate) async fn start_turn(&self, request: Arc<TurnRequest>) -> Result<Turn, NotStarted> {
        let link = self.link()?;
        to_its_end(&self.starting, start_turn(self.kind, self.hands.clone(), link, request)).await
    }
}

async fn start_turn(
    kind: Kind,
    maker: Option<Arc<HandsMaker>>,
    link: Arc<Link>,
    request: Arc<TurnRequest>,
) -> Result<Turn, NotStarted> {
    let in_worker = link.take_place()?;
    if link.drains_since().is_some() {
        // Since it was chosen.
        return Err(NotStarted { error: ErrorKind::WorkerLost.into(), again: true });
    }
    let TurnRequest { request, trace, principal, profile, history, tools, options, place, .. } = &*request;
    let place = HeldPlaces { _in_worker: in_worker, _among_all: place.clone() };
    if profile.has_hands() != (kind == Kind::Hands) {
        return Err(AgentError::new(ErrorKind::Internal)
            .because("the profile belongs to another worker")
            .into());
    }
    let hands = match maker {
        Some(maker) => Some(maker.take(request, principal, *profile).await?),
        None => None,
    };
    let Replay { injected, input } = replay(history);
    let state = TurnState::new(tools.iter().map(|tool| tool.name.clone()));

    let mut config = serde_json::Map::new();
    if let Some(verbosity) = options.verbosity.clone() {
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
        dynamic_tools: dynamic_tools(tools.clone()),
        model: options.model.to_string(),
        service_tier: options.service_tier.clone(),
        config,
    };
    let turn = TurnStartParams {
        thread_id: String::new(),
        input,
        effort: options.effort.clone(),
        summary: summary_word(options.summary),
        output_schema: options.output_schema.clone(),
        trace: trace.as_ref().map(place_in_trace),
    };
    run(link, NewTurn { place, state, thread, injected, turn, hands }).await
}

/// The word of a setting or a call.
pub(crate) fn summary_word(summary: ReasoningSummary) -> Option<&'static str> {
    match summary {
        ReasoningSummary::Default => None,
        ReasoningSummary::None => Some("none"),
        ReasoningSummary::Auto => Some("auto"),
        ReasoningSummary::Concise => Some("concise"),
        ReasoningSummary::Detailed => Some("detailed"),
    }
}
