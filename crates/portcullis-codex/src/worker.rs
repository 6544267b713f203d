//! What the supervisor needs to know of a Codex worker: how its home is made, how it is started, how hands
//! are shaken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::{AgentError, ErrorKind, Model, WorkerReport};
use portcullis_app_server_protocol::{
    Account, AccountReadParams, ClientInfo, InitializeCapabilities, InitializeParams, ModelListParams,
    Notification,
};
use portcullis_supervisor::{
    ConnectError, Connected, ExitReason, Launch, LaunchError, Limits, Role, Supervisor, resident_bytes,
    run_to_end,
};
use secrecy::ExposeSecret as _;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::binary::CodexBinary;
use crate::cells::{BrainNeeds, Confinement};
use crate::connection::{CALL_DEADLINE, Connection, Opened};
use crate::home::WorkerHome;
use crate::provider::{PROVIDER_KEY_VARIABLE, Provider};
use crate::replies::CallError;
use crate::requirements::requirements;
use crate::router::Router;
use crate::worker_config::{Kind, worker_config};

/// A Codex worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) confinement: Confinement,
    /// Where hands are reached, if its turns have any.
    pub(crate) relay: Option<u16>,
    pub(crate) binary: CodexBinary,
    /// The worker's own directory, emptied before every start.
    pub(crate) dir: Utf8PathBuf,
    /// Where the operator's login lives.
    pub(crate) login_home: Utf8PathBuf,
    /// The login itself; only its time of change is looked at.
    pub(crate) login_file: Utf8PathBuf,
    pub(crate) provider: Provider,
    pub(crate) model: String,
    /// Models that the configuration names, whether or not Codex knows them.
    pub(crate) models: Vec<String>,
    /// How many turns may run at once.
    pub(crate) turns: usize,
    /// What the binary knows of models, asked once: another start follows faster.
    pub(crate) catalog: OnceCell<Vec<u8>>,
}

/// A worker that is ready: what turns are run with.
pub(crate) struct Link {
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Arc<Router>,
    pub(crate) models: Vec<Model>,
    pub(crate) login: Login,
    /// When the login's file had last changed before the worker read it.
    pub(crate) login_changed: Option<SystemTime>,
    /// The directory that threads believe to be in.
    pub(crate) cwd: Utf8PathBuf,
    /// One place per turn; given back when the app-server says that the turn is over.
    places: Arc<Semaphore>,
    /// How many places there are.
    of_places: usize,
    /// How many turns were begun.
    begun: AtomicU64,
    /// Since when it gets no more turns.
    drains: OnceLock<Instant>,
}

impl Link {
    pub(crate) fn new(
        connection: Arc<Connection>,
        router: Arc<Router>,
        models: Vec<Model>,
        (login, login_changed): (Login, Option<SystemTime>),
        cwd: Utf8PathBuf,
        turns: usize,
    ) -> Self {
        let places = Arc::new(Semaphore::new(turns));
        let (begun, drains) = (AtomicU64::new(0), OnceLock::new());
        Self {
            connection,
            router,
            models,
            login,
            login_changed,
            cwd,
            places,
            of_places: turns,
            begun,
            drains,
        }
    }

    /// A place for one more turn, if there is one.
    pub(crate) fn take_place(&self) -> Result<OwnedSemaphorePermit, AgentError> {
        let full = |_full| AgentError::new(ErrorKind::Busy { retry_after: None });
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// How many turns hold a place.
    pub(crate) fn turns(&self) -> usize {
        self.of_places - self.places.available_permits()
    }

    /// How many turns were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// No more turns from now on; says whether that is new.
    pub(crate) fn drain(&self) -> bool {
        self.drains.set(Instant::now()).is_ok()
    }

    /// For how long it has had no more turns.
    pub(crate) fn drains_since(&self) -> Option<Duration> {
        self.drains.get().map(Instant::elapsed)
    }
}

/// Who is signed in, as the worker said when it started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Login {
    /// The provider does not need Codex's login.
    NotNeeded,
    /// Somebody is: `chatgpt (plus)`, `apiKey`.
    SignedIn(String),
    /// Nobody is, and turns can not run.
    Missing,
}

/// The bundled catalog of a binary for a kind of worker, with these models in it.
pub(crate) async fn catalog(
    kind: Kind,
    confinement: &Confinement,
    needs: BrainNeeds<'_>,
    models: &[String],
) -> Result<Vec<u8>, LaunchError> {
    let env = of_home(needs.home);
    let args = ["debug", "models", "--bundled"].map(str::to_owned).to_vec();
    let launch = confinement.brain(BrainNeeds { args, ports: Vec::new(), names: false, ..needs }, env);
    let limits = Limits { timeout: Duration::from_secs(20), max_stdout_bytes: 16 * 1024 * 1024 };
    let output = run_to_end(&launch, None, limits).await.map_err(LaunchError::new)?;
    if output.exit != ExitReason::Clean {
        return Err(LaunchError::new(format!(
            "`codex debug models` {}: {}",
            output.exit,
            output.stderr_tail.trim()
        )));
    }
    let catalog = crate::catalog::catalog(kind, &output.stdout, models).map_err(LaunchError::new)?;
    serde_json::to_vec(&catalog).map_err(LaunchError::new)
}

/// The environment of a worker: nothing is inherited.
pub(crate) fn environment(provider: &Provider, home: &WorkerHome) -> Vec<(String, String)> {
    let mut env = of_home(home);
    if let Provider::Custom(custom) = provider
        && let Some(key) = &custom.key
    {
        env.push((PROVIDER_KEY_VARIABLE.to_owned(), key.expose_secret().to_owned()));
    }
    env
}

fn of_home(home: &WorkerHome) -> Vec<(String, String)> {
    let mut env = base_environment(&home.home);
    env.push(("TMPDIR".to_owned(), home.tmp.to_string()));
    env
}

/// `PATH` and `HOME` lead nowhere: Codex then runs no git, no shell and no `.bashrc` of its own accord.
pub(crate) fn base_environment(codex_home: &Utf8Path) -> Vec<(String, String)> {
    [
        ("CODEX_HOME", codex_home.as_str()),
        ("HOME", "/nonexistent"),
        ("PATH", "/nonexistent"),
        ("LANG", "C.UTF-8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

#[async_trait]
impl Role for Worker {
    type Handle = Arc<Link>;

    fn name(&self) -> &str {
        &self.name
    }

    async fn launch(&self) -> Result<Launch, LaunchError> {
        let home = WorkerHome::create(&self.dir, &self.login_home).map_err(LaunchError::new)?;
        let mut ports = vec![self.provider.port()];
        ports.extend(self.relay);
        let needs = BrainNeeds {
            binary: &self.binary,
            args: vec!["app-server".to_owned(), "--strict-config".to_owned()],
            home: &home,
            login_home: &self.login_home,
            ports,
            names: self.provider.has_a_name(),
            requirements: requirements(self.kind),
        };
        self.confinement.give(&home.dir).map_err(LaunchError::new)?;
        let asked = || catalog(self.kind, &self.confinement, needs.clone(), &self.models);
        home.write("models.json", self.catalog.get_or_try_init(asked).await?).map_err(LaunchError::new)?;
        let config = worker_config(self.kind, &self.provider, &self.model, &home.catalog());
        home.write_config(&config).map_err(LaunchError::new)?;
        self.confinement.give(&home.dir).map_err(LaunchError::new)?;
        Ok(self.confinement.brain(needs, environment(&self.provider, &home)))
    }

    async fn connect(
        &self,
        stdin: ChildStdin,
        stdout: ChildStdout,
    ) -> Result<Connected<Arc<Link>>, ConnectError> {
        let login_changed = changed(&self.login_file);
        let Opened { connection, router, closed } =
            Connection::open(stdin, stdout).map_err(ConnectError::new)?;
        initialize(&connection).await.map_err(ConnectError::new)?;
        let login = known_login(&connection).await.map_err(ConnectError::new)?;
        let models = models(&connection).await.map_err(ConnectError::new)?;
        let cwd = self.dir.join("cwd");
        let link = Link::new(connection, router, models, (login, login_changed), cwd, self.turns);
        Ok(Connected { handle: Arc::new(link), closed })
    }
}

/// A worker as its operator may see it.
pub(crate) fn report(supervisor: &Supervisor<Arc<Link>>) -> WorkerReport {
    let status = supervisor.status().borrow().clone();
    WorkerReport {
        name: supervisor.name().to_owned(),
        state: match status.state.handle() {
            Some(link) if link.drains_since().is_some() => "draining",
            _ => status.state.name(),
        },
        age: status.since.map(|since| since.elapsed()),
        turns: status.state.handle().map_or(0, |link| link.router.running()),
        resident_bytes: status.pid.and_then(resident_bytes),
        ended: status.ended,
        account: status.state.handle().map(|link| link.router.account.all()).unwrap_or_default(),
    }
}

/// When a file last changed, if it is there.
pub(crate) fn changed(file: &Utf8Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// The handshake of every app-server connection.
pub(crate) async fn initialize(connection: &Connection) -> Result<(), CallError> {
    let params = InitializeParams {
        client_info: ClientInfo {
            name: "portcullis".to_owned(),
            title: "Portcullis".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        capabilities: InitializeCapabilities {
            experimental_api: true,
            opt_out_notification_methods: Notification::NOT_READ.to_vec(),
        },
    };
    connection.call(&params, CALL_DEADLINE).await?;
    connection.notify("initialized");
    Ok(())
}

/// Who is signed in now.
pub(crate) async fn login(connection: &Connection) -> Result<Login, CallError> {
    let answer = connection.call(&AccountReadParams { refresh_token: false }, CALL_DEADLINE).await?;
    Ok(match (answer.account, answer.requires_openai_auth) {
        (Some(Account { kind, plan_type: Some(plan) }), _) => Login::SignedIn(format!("{kind} ({plan})")),
        (Some(Account { kind, plan_type: None }), _) => Login::SignedIn(kind),
        (None, true) => Login::Missing,
        (None, false) => Login::NotNeeded,
    })
}

/// The same at a worker's start, where the login's service may be away: Codex asks it about the account.
pub(crate) async fn known_login(connection: &Connection) -> Result<Login, CallError> {
    match login(connection).await {
        Err(CallError::Refused { error, .. }) => {
            tracing::debug!(error = %error, "Codex could not ask about the account");
            Ok(Login::SignedIn("a login that its service has not confirmed".to_owned()))
        }
        told => told,
    }
}

pub(crate) async fn models(connection: &Connection) -> Result<Vec<Model>, CallError> {
    let mut models = Vec::new();
    let mut cursor = None;
    loop {
        let page = connection.call(&ModelListParams { cursor }, CALL_DEADLINE).await?;
        models.extend(page.data.into_iter().filter(|entry| !entry.hidden).map(|entry| Model {
            id: entry.model.into(),
            display_name: entry.display_name,
            efforts:
                entry.supported_reasoning_efforts.into_iter().map(|option| option.reasoning_effort).collect(),
            reads_images: entry.input_modalities.iter().any(|modality| modality == "image"),
        }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(models);
        }
    }
}
