//! Turns as `codex exec`: one process per turn, in a cell of its own, with a home of its own that is removed with it.
//!
//! Chosen by the operator for its isolation: what one turn's process holds, no other turn's can reach. It costs a start per
//! turn, and the answer arrives whole. Measured on 0.169.0 (docs/design/exec.md): a conversation that is written as a
//! session and resumed reaches the model as it is.

mod asked;
mod events;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::StreamExt as _;
use portcullis_agent::{
    AgentError, ErrorKind, EventReceiver, EventSender, Outcome, Place, RequestFault, ToolOutput, Turn,
    TurnEvent, TurnRequest, TurnSource, event_queue,
};
use portcullis_supervisor::{Launch, LaunchError, Process};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::asked::Asked;
use self::events::Events;
use crate::cells::BrainNeeds;
use crate::codex::Settings;
use crate::home::{WorkerHome, private_dir};
use crate::requirements::requirements;
use crate::worker::{catalog, environment};
use crate::worker_config::{Kind, provider_id, worker_config};

/// The longest answer, in bytes: it comes as one line.
const LONGEST_LINE: usize = 64 * 1024 * 1024;
/// How long a process may take to end after its turn, and to say what it said before it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What the directories of turns are called.
const DIR: &str = "exec-";

/// Runs turns as processes.
pub(crate) struct Exec {
    settings: Settings,
    /// What the binary knows of models, asked once.
    catalog: OnceCell<Vec<u8>>,
    places: Arc<Semaphore>,
    begun: AtomicU64,
    /// The turns' tasks, each of which ends its process.
    running: TaskTracker,
    /// Ends them all.
    stop: CancellationToken,
}

impl Exec {
    /// Nothing runs yet. What an earlier gateway left behind is removed.
    pub(crate) fn new(settings: Settings) -> Self {
        remove_left_over(&settings.workers_dir);
        Self {
            places: Arc::new(Semaphore::new(settings.turns)),
            settings,
            catalog: OnceCell::new(),
            begun: AtomicU64::new(0),
            running: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Kills what runs, and waits until it is gone.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }

    /// Starts a process for this turn. Dropping the turn kills it.
    pub(crate) async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| AgentError::new(ErrorKind::Busy { retry_after: None }))?;
        let session = Uuid::now_v7();
        let asked = Asked::of(&request, session).map_err(refused)?;
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let dir = TurnDir(self.settings.workers_dir.join(format!("{DIR}{number}")));
        let launch = self.prepare(&dir.0, &asked).await;
        let launch = launch.map_err(|error| AgentError::new(ErrorKind::Internal).because(error))?;
        let process = Process::spawn(&launch);
        let process = process.map_err(|error| AgentError::new(ErrorKind::WorkerLost).because(error))?;
        let (sender, events) = event_queue(2 * LONGEST_LINE);
        let stop = self.stop.child_token();
        let running = Running {
            process,
            prompt: asked.prompt,
            sender,
            stop: stop.clone(),
            _dir: dir,
            _places: (place, request.place),
        };
        self.running.spawn(running.until_it_ends());
        let turn = ExecTurn { events, _stop: stop.drop_guard() };
        Ok(Turn::new(session.to_string().into(), format!("exec-{session}").into(), turn))
    }

    /// Makes the home of one turn: its settings, its model catalog, and the conversation before its prompt as a session.
    async fn prepare(&self, dir: &Utf8Path, asked: &Asked) -> Result<Launch, LaunchError> {
        let Settings { binary, login_home, provider, model, models, confinement, .. } = &self.settings;
        let home = WorkerHome::create(dir, login_home).map_err(LaunchError::new)?;
        let sessions = home.home.join("sessions").join(asked::SESSION_DIR);
        private_dir(&sessions).map_err(LaunchError::new)?;
        home.write(&asked.session_file(), asked.session(&home.cwd, provider_id(provider)).as_bytes())
            .map_err(LaunchError::new)?;
        if let Some(schema) = &asked.schema {
            home.write(asked::SCHEMA_FILE, schema.to_string().as_bytes()).map_err(LaunchError::new)?;
        }
        let needs = BrainNeeds {
            binary,
            args: asked.args(&home.home),
            home: &home,
            login_home,
            ports: vec![provider.port()],
            names: provider.has_a_name(),
            requirements: requirements(Kind::Exec),
        };
        confinement.give(&home.dir).map_err(LaunchError::new)?;
        let ask = || catalog(Kind::Exec, confinement, needs.clone(), models);
        home.write("models.json", self.catalog.get_or_try_init(ask).await?).map_err(LaunchError::new)?;
        let mut config = worker_config(Kind::Exec, provider, model, &home.catalog());
        config.extend(asked.settings.clone());
        home.write_config(&config).map_err(LaunchError::new)?;
        confinement.give(&home.dir).map_err(LaunchError::new)?;
        Ok(confinement.brain(needs, environment(provider, &home)))
    }
}

fn refused(fault: RequestFault) -> AgentError {
    ErrorKind::InvalidInput(fault).into()
}

/// Directories of turns whose gateway was killed.
fn remove_left_over(workers_dir: &Utf8Path) {
    let Ok(entries) = workers_dir.read_dir_utf8() else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().starts_with(DIR)) {
        remove(entry.path());
    }
}

fn remove(dir: &Utf8Path) {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(error = %error, "The directory of a turn could not be removed: `{dir}`");
        }
        _ => {}
    }
}

/// The directory of a turn, removed with this.
struct TurnDir(Utf8PathBuf);

impl Drop for TurnDir {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A turn whose process runs.
struct Running {
    process: Process,
    prompt: String,
    sender: EventSender,
    /// Nobody reads the turn any more, or the gateway ends.
    stop: CancellationToken,
    /// After the process.
    _dir: TurnDir,
    _places: (OwnedSemaphorePermit, Place),
}

impl Running {
    async fn until_it_ends(mut self) {
        let (stdin, stdout) = self.process.take_stdio();
        let mut talking = pin!(talk(stdin, stdout, &self.prompt, &self.sender));
        let outcome = tokio::select! {
            outcome = &mut talking => outcome,
            // With it goes whatever of its group held the pipe open.
            _exit = self.process.wait() => timeout(LAST_WORDS, &mut talking).await.ok().flatten(),
            () = self.stop.cancelled() => Some(Outcome::Interrupted),
        };
        let exit = match &outcome {
            Some(Outcome::Interrupted) => self.process.kill().await,
            _ => match timeout(LAST_WORDS, self.process.wait()).await {
                Ok(exit) => exit,
                Err(_late) => self.process.kill().await,
            },
        };
        let outcome = outcome.unwrap_or_else(|| {
            // What it wrote may quote the conversation: it is for the operator.
            let why = format!("`codex exec` {exit}: {}", self.process.stderr_tail().trim());
            Outcome::Failed(AgentError::new(ErrorKind::WorkerLost).because(why))
        });
        // The reader may have left.
        let _ = self.sender.send(TurnEvent::Ended(outcome));
    }
}

/// Gives the prompt and reads what comes, up to the turn's end; `None` where it stopped before that.
async fn talk(
    mut stdin: ChildStdin,
    stdout: ChildStdout,
    prompt: &str,
    sender: &EventSender,
) -> Option<Outcome> {
    let write = async {
        // A process that does not read its prompt ends, which is seen below.
        let _ = stdin.write_all(prompt.as_bytes()).await;
        drop(stdin);
        std::future::pending().await
    };
    let read = async {
        let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(LONGEST_LINE));
        let mut events = Events::default();
        while let Some(line) = lines.next().await {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    return Some(Outcome::Failed(AgentError::new(ErrorKind::Upstream).because(error)));
                }
            };
            let (mut outcome, mut full) = (None, false);
            events.on(&line, &mut |event| match event {
                TurnEvent::Ended(ended) => outcome = Some(ended),
                event => full |= sender.send(event).is_err(),
            });
            if full {
                return Some(Outcome::Failed(ErrorKind::SlowReader.into()));
            }
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    };
    tokio::select! {
        outcome = read => outcome,
        never = write => never,
    }
}

struct ExecTurn {
    events: EventReceiver,
    _stop: DropGuard,
}

impl TurnSource for ExecTurn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.events.poll_next(cx)
    }

    fn answer(&mut self, _outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        Err(AgentError::new(ErrorKind::Internal).because("this turn has no tools"))
    }
}
