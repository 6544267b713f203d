//! Hands: an exec-server in a cell, for one turn.
//!
//! Everything that a turn's commands leave running dies with its hands, so one turn finds nothing of the one before. A
//! principal that has just used its hands gets new ones prepared, so that its next turn does not wait for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_agent::{
    AgentError, ApprovalKind, ApprovalPolicy, Approvals, ErrorKind, PrincipalId, Profile, Question, RequestId,
};
use portcullis_app_server_protocol::{
    Approval, ApprovalRequest, EnvironmentAddParams, Reviewer, TurnEnvironment,
};
use portcullis_confine::Access;
use portcullis_supervisor::{Process, SpawnError};
use portcullis_workspaces::{Exceeded, Workspace, WorkspaceError, Workspaces, digest};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::binary::CodexBinary;
use crate::cells::{Cells, HandsBounds, HandsNeeds};
use crate::relay::{Relay, Way};

/// How hands are made, and how long they are kept.
#[derive(Clone, Debug)]
pub struct HandsSettings {
    /// Where they work.
    pub workspaces: Arc<Workspaces>,
    /// What they may use up.
    pub bounds: HandsBounds,
    /// Who answers when Codex asks before it acts.
    pub approvals: Approvals,
    /// How many may be ready for turns that have not come yet.
    pub spares: usize,
    /// How long those wait.
    pub idle: Duration,
}

/// An exec-server in its cell. Dropping it ends everything that runs there.
struct Hands {
    environment: String,
    cwd: String,
    way: Way,
    workspace: Arc<Workspace>,
    /// Where the cell has no `/tmp`.
    temporary: Option<Utf8PathBuf>,
    process: Process,
}

/// Hands in use by a turn. Dropping them ends everything that runs in their cell.
pub(crate) struct HandsInUse {
    hands: Hands,
    whose: Whose,
    request: RequestId,
    maker: Weak<HandsMaker>,
    /// The turn is known by these when it asks.
    approvals: Approvals,
    /// Ends the watch over the workspace.
    over: CancellationToken,
    _over: DropGuard,
}

/// Whose hands: what tells cells apart.
type Whose = (PrincipalId, Profile);

/// Makes hands.
pub(crate) struct HandsMaker {
    cells: Cells,
    binary: CodexBinary,
    settings: HandsSettings,
    relay: Relay,
    made: AtomicU64,
    spares: Mutex<HashMap<Whose, Spare>>,
    /// Spares that are being made, and watches over workspaces; both end soon after the maker's end.
    tasks: TaskTracker,
}

/// Hands that wait for a turn.
struct Spare {
    since: Instant,
    hands: Hands,
}

/// Why there are no hands.
#[derive(Debug, thiserror::Error)]
enum NoHands {
    #[error("the workspace is not usable")]
    Workspace(#[from] WorkspaceError),
    #[error("the cell did not start")]
    Spawn(#[from] SpawnError),
    #[error("there is no randomness")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("the workspace was not measured")]
    Unmeasured(#[from] tokio::task::JoinError),
}

impl From<NoHands> for AgentError {
    fn from(error: NoHands) -> Self {
        let kind = match &error {
            NoHands::Exceeded(_) => ErrorKind::OverBudget { what: "disk" },
            _ => ErrorKind::NoHands,
        };
        Self::new(kind).because(error)
    }
}

/// Where commands find programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// How often a workspace is measured while hands work in it; a large one less often, so that at most a tenth of a core
/// goes into it.
const MEASURE_EVERY: Duration = Duration::from_millis(250);

impl HandsMaker {
    /// Begins to listen for brains.
    pub(crate) async fn start(
        cells: Cells,
        binary: CodexBinary,
        settings: HandsSettings,
    ) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            cells,
            binary,
            settings,
            relay: Relay::start().await?,
            made: AtomicU64::new(0),
            spares: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The port that brains must be able to reach.
    pub(crate) fn port(&self) -> u16 {
        self.relay.port()
    }

    /// Hands for a turn: those that wait for it, or new ones.
    pub(crate) async fn take(
        self: &Arc<Self>,
        request: &RequestId,
        principal: &PrincipalId,
        profile: Profile,
    ) -> Result<HandsInUse, AgentError> {
        let whose = (principal.clone(), profile);
        let spare = self.lock().remove(&whose).filter(|spare| spare.hands.process.is_running());
        let hands = match spare {
            Some(spare) => spare.hands,
            None => self.make(&whose).await?,
        };
        let over = CancellationToken::new();
        Ok(HandsInUse {
            hands,
            whose,
            request: request.clone(),
            maker: Arc::downgrade(self),
            approvals: self.settings.approvals.clone(),
            _over: over.clone().drop_guard(),
            over,
        })
    }

    /// Ends the hands that wait; those of running turns end with their turns.
    pub(crate) async fn shutdown(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        let spares = std::mem::take(&mut *self.lock());
        for mut spare in spares.into_values() {
            spare.hands.process.kill().await;
        }
    }

    /// Ends the hands that have waited for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let idle = self.settings.idle;
        let late: Vec<_> = self.lock().extract_if(|_, spare| now - spare.since > idle).collect();
        // After the lock is released.
        drop(late);
    }

    async fn make(&self, (principal, profile): &Whose) -> Result<Hands, NoHands> {
        let user = self.cells.users.map(|users| users.of_hands(digest(principal)));
        let workspaces = &self.settings.workspaces;
        let owner = user.map(|user| (user.uid, user.gid));
        let workspace = Arc::new(workspaces.open(principal, owner)?);
        let measured = Arc::clone(&workspace);
        tokio::task::spawn_blocking(move || measured.check()).await??;
        let environment = format!("hands-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let temporary =
            if self.cells.has_view() { None } else { Some(workspace.temporary(&environment, owner)?) };
        let needs = HandsNeeds {
            binary: &self.binary,
            workspace: &workspace.path(),
            access: if *profile == Profile::Work { Access::ReadWrite } else { Access::ReadOnly },
            temporary: temporary.as_deref(),
            user,
            bounds: &self.settings.bounds,
        };
        let (launch, cwd) = self.cells.hands(&needs);
        let mut process = Process::spawn(&launch)?;
        let (stdin, stdout) = process.take_stdio();
        let way = self.relay.offer(&environment, stdin, stdout)?;
        Ok(Hands { environment, cwd: cwd.into_string(), way, workspace, temporary, process })
    }

    /// Prepares hands for the next turn of somebody who has just used some.
    fn prepare(self: &Arc<Self>, whose: Whose) {
        if self.tasks.is_closed() || self.lock().len() >= self.settings.spares {
            return;
        }
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            match this.make(&whose).await {
                // An older one that waits already is ended.
                Ok(hands) => drop(this.lock().insert(whose, Spare { since: Instant::now(), hands })),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "No hands were prepared");
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Spare>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandsInUse {
    /// How the brain is told of them.
    pub(crate) fn introduction(&self) -> EnvironmentAddParams {
        EnvironmentAddParams {
            environment_id: self.hands.environment.clone(),
            exec_server_url: self.hands.way.url.clone(),
            auth_bearer_token: self.hands.way.token.expose_secret().to_owned(),
        }
    }

    /// Where a thread's tools run with them.
    pub(crate) fn environment(&self) -> TurnEnvironment {
        TurnEnvironment { environment_id: self.hands.environment.clone(), cwd: self.hands.cwd.clone() }
    }

    /// When Codex asks before it acts, and whom.
    pub(crate) fn asks(&self) -> (Approval, Option<Reviewer>) {
        match self.approvals.policy(self.whose.1) {
            ApprovalPolicy::Decline => (Approval::Never, None),
            ApprovalPolicy::AutoReview => (Approval::Untrusted, Some(Reviewer::AutoReview)),
            ApprovalPolicy::Ask => (Approval::Untrusted, Some(Reviewer::User)),
        }
    }

    /// What Codex asks, for whoever answers.
    pub(crate) fn question(&self, kind: ApprovalKind, asked: ApprovalRequest) -> (Approvals, Question) {
        let about = asked.command.or(asked.reason).unwrap_or_else(|| "to change files".to_owned());
        let question = Question {
            request: self.request.clone(),
            principal: self.whose.0.clone(),
            profile: self.whose.1,
            thread: asked.thread_id.into(),
            turn: asked.turn_id.into(),
            kind,
            about,
        };
        (self.approvals.clone(), question)
    }

    /// Cancelled when the hands are gone.
    pub(crate) fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// The environment of commands, where it differs from what the brain is configured with.
    pub(crate) fn variables(&self) -> Option<Value> {
        let tmp = self.hands.temporary.as_ref()?;
        let set = json!({"PATH": PATH, "HOME": tmp, "TMPDIR": tmp, "LANG": "C.UTF-8"});
        Some(json!({"inherit": "none", "set": set}))
    }

    /// Measures the workspace until the hands are gone, and says when it is too much.
    pub(crate) fn watch(&self, too_much: impl FnOnce(AgentError) + Send + 'static) {
        let Some(maker) = self.maker.upgrade() else { return };
        if self.whose.1 != Profile::Work && self.hands.temporary.is_none() {
            return;
        }
        let workspace = Arc::clone(&self.hands.workspace);
        let over = self.over.clone();
        maker.tasks.spawn(async move {
            let mut pause = MEASURE_EVERY;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = over.cancelled() => return,
                }
                let measured = Arc::clone(&workspace);
                let began = Instant::now();
                let checked = tokio::task::spawn_blocking(move || measured.check()).await;
                pause = MEASURE_EVERY.max(began.elapsed() * 10);
                if let Ok(Err(exceeded)) = checked {
                    tracing::warn!(workspace = %workspace.name(), "A turn is ended: {exceeded}");
                    return too_much(NoHands::Exceeded(exceeded).into());
                }
            }
        });
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        let Some(temporary) = self.temporary.take() else { return };
        // Without a process namespace a daemon outlives the cell's first process, so everybody else goes first.
        portcullis_confine::tree::kill_descendants(self.process.pid());
        let workspace = Arc::clone(&self.workspace);
        // What is left when the gateway stops first is removed with the workspace.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || {
                if let Err(error) = workspace.discard(&temporary) {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "Something temporary was not removed"
                    );
                }
            }));
        }
    }
}

impl Drop for HandsInUse {
    fn drop(&mut self) {
        if let Some(maker) = self.maker.upgrade() {
            maker.prepare(self.whose.clone());
        }
    }
}
