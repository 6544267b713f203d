//! [`Agent`] over Codex: brains for the profile `chat`, and others with hands for `read` and `work`.
//!
//! They are two pools with two configurations, because what the model of a chat receives must hold nothing of
//! Codex's tools. The second is started when the first turn needs it, or when [`Codex::warm`] says that one will.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_agent::{
    AgeClock, Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Readiness, Turn, TurnRequest,
    WorkerReport, WorkerWitness,
};
use portcullis_workspaces::Workspaces;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::binary::CodexBinary;
use crate::cells::Confinement;
use crate::exec::Exec;
use crate::hands::{HandsMaker, HandsSettings};
use crate::pool::{Pool, WorkersSettings};
use crate::provider::Provider;

/// What runs turns of the profile `chat`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runner {
    /// Workers that run many turns each.
    AppServer,
    /// One process per turn, without deltas and without the caller's tools.
    Exec,
}

/// How Codex is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary.
    pub binary: CodexBinary,
    /// What runs turns of the profile `chat`.
    pub runner: Runner,
    /// Where workers live, each in a directory of its own that is emptied before every start.
    pub workers_dir: Utf8PathBuf,
    /// Where the operator's login lives; never read by us.
    pub login_home: Utf8PathBuf,
    /// Where model requests go.
    pub provider: Provider,
    /// The default model.
    pub model: String,
    /// Models that must be offered even if Codex's catalog does not know them.
    pub models: Vec<String>,
    /// How many turns may run at once in a worker.
    pub turns: usize,
    /// How many workers there are of each kind, and when they are replaced.
    pub workers: WorkersSettings,
    /// How long a worker that is asked to stop may take, before its group is killed.
    pub stop_grace: Duration,
    /// How workers are confined.
    pub confinement: Confinement,
    /// How hands are made. Without it, or without cells, there is only the profile `chat`.
    pub hands: Option<HandsSettings>,
}

/// An agent over Codex.
pub struct Codex {
    settings: Settings,
    /// With [`Runner::Exec`] it only answers questions: which models there are, who is signed in.
    chat: Arc<Pool>,
    exec: Option<Exec>,
    handed: OnceCell<Handed>,
    witness: Arc<dyn WorkerWitness>,
    /// Looks after the workers for chats.
    _watcher: AbortOnDropHandle<()>,
}

/// The brains with hands.
struct Handed {
    pool: Arc<Pool>,
    maker: Arc<HandsMaker>,
    /// Looks after both.
    _watcher: AbortOnDropHandle<()>,
}

/// How long a turn waits for a brain with hands to start, when it is the first one.
const FIRST_START: Duration = Duration::from_secs(20);
/// How often hands that wait are looked through.
const SWEEP: Duration = Duration::from_secs(5);
/// How often old workspaces are looked for.
const CLEAN: Duration = Duration::from_hours(1);

impl Codex {
    /// Starts the workers for chats; they become ready in their own time.
    pub fn start(settings: Settings, witness: Arc<dyn WorkerWitness>) -> Self {
        let chat = Arc::new(Pool::start("codex", settings.clone(), None, Arc::clone(&witness)));
        let of_watcher = Arc::clone(&chat);
        let workspaces = settings.hands.as_ref().map(|hands| Arc::clone(&hands.workspaces));
        let watcher = look_after(async move {
            tokio::join!(of_watcher.keep(), keep_clean(workspaces));
        });
        let exec = (settings.runner == Runner::Exec).then(|| Exec::new(settings.clone()));
        Self { settings, chat, exec, handed: OnceCell::new(), witness, _watcher: watcher }
    }

    /// Starts the brain with hands, unless it runs or there can be none.
    pub async fn warm(&self) -> Result<(), AgentError> {
        self.handed().await.map(drop)
    }

    /// Waits until a worker for chats is ready, at most so long.
    pub async fn ready(&self, within: Duration) -> bool {
        self.chat.ready(within).await
    }

    /// The process ids of the workers for chats, while they run.
    pub fn worker_pids(&self) -> Vec<u32> {
        self.chat.pids()
    }

    /// The process id of the first worker for chats, while it runs.
    pub fn worker_pid(&self) -> Option<u32> {
        self.worker_pids().first().copied()
    }

    /// The process id of the first brain with hands, while it runs.
    pub fn handed_pid(&self) -> Option<u32> {
        self.handed.get().and_then(|handed| handed.pool.pids().first().copied())
    }

    /// Ends the workers: TERM to their groups, grace, KILL. Running turns fail.
    pub async fn shutdown(self) {
        let Self { chat, exec, handed, _watcher: watcher, .. } = self;
        drop(watcher);
        let handed = async {
            if let Some(Handed { pool, maker, _watcher: watcher }) = handed.into_inner() {
                drop(watcher);
                pool.shutdown().await;
                maker.shutdown().await;
            }
        };
        let exec = async {
            if let Some(exec) = exec {
                exec.shutdown().await;
            }
        };
        tokio::join!(chat.shutdown(), exec, handed);
    }

    async fn handed(&self) -> Result<&Handed, AgentError> {
        let none = |why: &str| AgentError::new(ErrorKind::NoHands).because(why.to_owned());
        let Confinement::Cells(cells) = &self.settings.confinement else {
            return Err(none("workers are not confined, so there are no hands"));
        };
        let Some(hands) = &self.settings.hands else { return Err(none("no hands are configured")) };
        let start = async || {
            let maker = HandsMaker::start(cells.clone(), self.settings.binary.clone(), hands.clone()).await;
            let maker = maker.map_err(|error| AgentError::new(ErrorKind::NoHands).because(error))?;
            let (hands, witness) = (Some(Arc::clone(&maker)), Arc::clone(&self.witness));
            let pool = Arc::new(Pool::start("codex-hands", self.settings.clone(), hands, witness));
            let (of_watcher, of_sweeper) = (Arc::clone(&pool), Arc::downgrade(&maker));
            let watcher = look_after(async move {
                let sweep = async {
                    loop {
                        tokio::time::sleep(SWEEP).await;
                        let Some(maker) = of_sweeper.upgrade() else { return };
                        maker.sweep(Instant::now());
                    }
                };
                tokio::join!(of_watcher.keep(), sweep);
            });
            Ok(Handed { pool, maker, _watcher: watcher })
        };
        self.handed.get_or_try_init(start).await
    }

    /// What is so with the hands.
    async fn hands_condition(&self) -> Option<Condition> {
        self.settings.hands.as_ref()?;
        let (ok, message) = match (&self.settings.confinement, self.handed.get()) {
            (Confinement::Off, _) => (false, "none: workers are not confined".to_owned()),
            (Confinement::Cells(_), None) => (true, "made when a turn needs them".to_owned()),
            (Confinement::Cells(_), Some(handed)) => {
                let worker = handed.pool.readiness().await;
                let message = worker.conditions.into_iter().find(|condition| condition.name == "worker");
                (worker.ready, message.map(|worker| worker.message).unwrap_or_default())
            }
        };
        Some(Condition { name: "hands", ok, required: false, message })
    }
}

/// Removes workspaces that nobody has used for long, now and then.
async fn keep_clean(workspaces: Option<Arc<Workspaces>>) {
    let Some(workspaces) = workspaces else { return };
    let mut clock = AgeClock::new(SystemTime::now(), std::time::Instant::now());
    loop {
        let cleaned = Arc::clone(&workspaces);
        let time = clock.time(SystemTime::now(), std::time::Instant::now());
        match tokio::task::spawn_blocking(move || cleaned.clean(time)).await {
            Ok(Ok(gone)) => {
                for name in gone {
                    tracing::info!(workspace = %name, "The workspace `{name}` was not used for long and is removed");
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Old workspaces were not removed");
            }
            Err(_cancelled) => return,
        }
        tokio::time::sleep(CLEAN).await;
    }
}

/// A task that ends when its handle is dropped.
fn look_after(work: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    #[expect(clippy::disallowed_methods, reason = "it ends when its handle is dropped")]
    AbortOnDropHandle::new(tokio::task::spawn(work))
}

impl std::fmt::Debug for Codex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codex").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[async_trait]
impl Agent for Codex {
    fn capabilities(&self) -> Capabilities {
        match self.exec {
            Some(_) => Capabilities { deltas: false, tools: false },
            None => self.chat.capabilities(),
        }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.chat.models().await
    }

    async fn readiness(&self) -> Readiness {
        let mut conditions = self.chat.readiness().await.conditions;
        conditions.extend(self.hands_condition().await);
        conditions.extend(self.exec.is_some().then(|| Condition {
            name: "runner",
            ok: true,
            required: false,
            message: "each turn of the profile `chat` is a process of its own: answers come whole, without your tools".to_owned(),
        }));
        Readiness::of(conditions)
    }

    fn workers(&self) -> Vec<WorkerReport> {
        let handed = self.handed.get().map(|handed| handed.pool.workers());
        self.chat.workers().into_iter().chain(handed.into_iter().flatten()).collect()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        if !request.profile.has_hands() {
            return match &self.exec {
                Some(exec) => exec.start_turn(request).await,
                None => self.chat.start_turn(request).await,
            };
        }
        let handed = self.handed().await?;
        handed.pool.ready(FIRST_START).await;
        handed.pool.start_turn(request).await
    }
}
