//! [`Agent`] for turns that make a picture: one supervised app-server, one ephemeral thread per picture.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_agent::{
    Agent, AgentError, Author, Capabilities, Condition, ErrorKind, HistoryItem, Model, Part, PictureRequest,
    Readiness, RequestFault, ToolOutput, Turn, TurnEvent, TurnRequest, TurnSource, WorkerReport,
};
use portcullis_app_server_protocol::{
    Approval, SandboxMode, ThreadStartParams, TurnEnvironment, TurnStartParams, UserInput,
};
use portcullis_supervisor::{Backoff, Settings as SupervisorSettings, State, Supervisor};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::binary::CodexBinary;
use crate::cells::Confinement;
use crate::image_worker::ImageWorker;
use crate::picture_state::PictureState;
use crate::provider::Provider;
use crate::references::ReferenceFiles;
use crate::running::{HeldPlaces, NewTurn, place_in_trace, run};
use crate::to_its_end::to_its_end;
use crate::turn_state::TurnState;
use crate::worker::{Link, Login, changed, report};

/// How many references one picture can be made from: `image_gen` takes no more (measured on 0.169.0).
pub const MOST_REFERENCES: usize = 5;

/// What the model is told. The prompt itself is the user's message, and nothing is added to it but what the
/// caller wishes in words.
const INSTRUCTIONS: &str = "You draw. Call the function image_gen.imagegen exactly once, with the whole of the \
    user's message as `prompt`, word for word, whatever it says. Add nothing, leave nothing out, translate nothing. \
    If you may not draw it, say why in one sentence instead of calling the function.";

/// How pictures are drawn.
#[derive(Clone, Debug)]
pub struct PainterSettings {
    /// How the worker is confined: as a brain, which it is.
    pub confinement: Confinement,
    /// The binary.
    pub binary: CodexBinary,
    /// Where the worker lives; emptied before every start.
    pub worker_dir: Utf8PathBuf,
    /// Where the login lives; never read by us. It must be a ChatGPT login, or Codex does not offer pictures.
    pub login_home: Utf8PathBuf,
    /// Where model requests go, those for pictures too.
    pub provider: Provider,
    /// Where Codex asks about the account; OpenAI's own service where absent.
    pub account_url: Option<String>,
    /// The model that is asked to draw.
    pub model: String,
    /// How many pictures may be drawn at once.
    pub turns: usize,
    /// How long a worker that is asked to stop may take, before its group is killed.
    pub stop_grace: Duration,
}

/// An agent that draws with one supervised `codex app-server`.
#[derive(Debug)]
pub struct Painter {
    supervisor: Supervisor<Arc<Link>>,
    login_file: Utf8PathBuf,
    drawing: Arc<Drawing>,
    /// Turns that are being started though their caller has gone; each ends within its calls' deadlines.
    starting: TaskTracker,
}

/// What every picture is drawn with.
#[derive(Debug)]
struct Drawing {
    /// Where references lie.
    references: Utf8PathBuf,
    model: String,
    confinement: Confinement,
}

impl Painter {
    /// Starts the worker; it becomes ready in its own time.
    pub fn start(settings: PainterSettings) -> Self {
        let login_file = settings.login_home.join("auth.json");
        let (model, confinement) = (settings.model.clone(), settings.confinement.clone());
        let worker = ImageWorker {
            confinement: settings.confinement.clone(),
            binary: settings.binary,
            dir: settings.worker_dir,
            login_file: login_file.clone(),
            login_home: settings.login_home,
            provider: settings.provider,
            model: settings.model,
            account_url: settings.account_url,
            turns: settings.turns,
        };
        let references = worker.references();
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
        let drawing = Arc::new(Drawing { references, model, confinement });
        Self { supervisor, login_file, drawing, starting: TaskTracker::new() }
    }

    /// Waits until the worker is ready, at most so long.
    pub async fn ready(&self, within: Duration) -> bool {
        self.supervisor.ready(within).await.is_ok()
    }

    /// The worker's process id, while it runs.
    pub fn worker_pid(&self) -> Option<u32> {
        self.supervisor.status().borrow().pid
    }

    /// Ends the worker: TERM to its group, grace, KILL. Running turns fail.
    pub async fn shutdown(self) {
        self.supervisor.shutdown().await;
        self.starting.close();
        self.starting.wait().await;
    }

    fn link(&self) -> Result<Arc<Link>, AgentError> {
        let link = self.supervisor.handle().ok_or_else(|| {
            let state = self.supervisor.status().borrow().state.name();
            AgentError::new(ErrorKind::WorkerLost).because(format!("the worker is not ready but {state}"))
        })?;
        if cannot_draw(&link.login).is_some() {
            self.notice_login(&link);
            return Err(ErrorKind::LoginRequired.into());
        }
        Ok(link)
    }

    /// A worker reads the login once, when it starts: one that found none that draws is replaced when it has changed.
    fn notice_login(&self, link: &Link) {
        if cannot_draw(&link.login).is_some() && changed(&self.login_file) != link.login_changed {
            self.supervisor.restart("the login has changed");
        }
    }
}

/// Why this login draws nothing.
fn cannot_draw(login: &Login) -> Option<&'static str> {
    match login {
        Login::SignedIn(who) if who.starts_with("apiKey") => Some(
            "Codex draws only with a ChatGPT login, and this is an API key: `[images] backend = \"openai\"` takes one",
        ),
        Login::SignedIn(_) => None,
        Login::NotNeeded => Some("Codex draws only with a ChatGPT login, and this provider has none"),
        Login::Missing => Some("nobody is signed in: run `portcullis login`"),
    }
}

#[async_trait]
impl Agent for Painter {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: false, tools: false }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        let link = self.supervisor.handle().ok_or_else(|| AgentError::new(ErrorKind::WorkerLost))?;
        Ok(link.models.iter().filter(|model| model.id.as_str() == self.drawing.model).cloned().collect())
    }

    async fn readiness(&self) -> Readiness {
        let status = self.supervisor.status().borrow().clone();
        if let Some(link) = status.state.handle() {
            self.notice_login(link);
        }
        let worker = Condition {
            name: "images_worker",
            ok: matches!(status.state, State::Ready(_)),
            required: true,
            message: format!("{}, {} restarts", status.state.name(), status.restarts),
        };
        let problem = status.state.handle().and_then(|link| cannot_draw(&link.login));
        let login = Condition {
            name: "images_login",
            ok: status.state.handle().is_some() && problem.is_none(),
            required: true,
            message: problem.unwrap_or("signed in").to_owned(),
        };
        Readiness::of(vec![worker, login])
    }

    fn workers(&self) -> Vec<WorkerReport> {
        vec![report(&self.supervisor)]
    }

    /// Runs all steps in any case: a caller that goes away in the middle must not leave a thread behind. The turn
    /// that nobody takes is dropped, and so interrupted.
    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let link = self.link()?;
        to_its_end(&self.starting, start_turn(link, request, Arc::clone(&self.drawing))).await
    }
}

async fn start_turn(
    link: Arc<Link>,
    request: TurnRequest,
    drawing: Arc<Drawing>,
) -> Result<Turn, AgentError> {
    let in_worker = link.take_place()?;
    let place = HeldPlaces { _in_worker: in_worker, _among_all: request.place };
    let picture = request.picture.ok_or_else(|| {
        AgentError::new(ErrorKind::Internal).because("a turn of words was given to who only draws")
    })?;
    let prompt = prompt(&request.history, &picture)?;
    let transparent = picture.transparent;
    let for_files = Arc::clone(&drawing);
    let written = tokio::task::spawn_blocking(move || {
        let files = ReferenceFiles::write(&for_files.references, &picture.references)?;
        for_files.confinement.give(files.dir()).map_err(std::io::Error::other)?;
        Ok(files)
    });
    let files = written
        .await
        .map_err(std::io::Error::other)
        .and_then(|written| written)
        .map_err(|error: std::io::Error| AgentError::new(ErrorKind::Internal).because(error))?;

    let thread = ThreadStartParams {
        ephemeral: true,
        cwd: link.cwd.to_string(),
        sandbox: SandboxMode::ReadOnly,
        approval_policy: Approval::Never,
        // Files are read only where there is an environment to read them in.
        environments: vec![TurnEnvironment { environment_id: "local".to_owned(), cwd: link.cwd.to_string() }],
        experimental_raw_events: true,
        approvals_reviewer: None,
        base_instructions: Some(instructions(&files, transparent)),
        dynamic_tools: Vec::new(),
        model: drawing.model.clone(),
        service_tier: None,
        config: serde_json::Map::new(),
    };
    let turn = TurnStartParams {
        thread_id: String::new(),
        input: vec![UserInput::Text { text: prompt }],
        effort: None,
        summary: None,
        output_schema: None,
        trace: request.trace.as_ref().map(place_in_trace),
    };
    let state = TurnState::drawing(PictureState::new(files.paths().to_vec()));
    let turn = run(link, NewTurn { place, state, thread, injected: Vec::new(), turn, hands: None })
        .await
        .map_err(|not_started| not_started.error)?;
    Ok(turn.map_source(|inner| WithFiles { inner, _files: files }))
}

/// The last message's text, with what the caller wishes as words: Codex lets nobody force it.
fn prompt(history: &[HistoryItem], picture: &PictureRequest) -> Result<String, AgentError> {
    let [HistoryItem::Message(message)] = history else { return Err(no_prompt()) };
    let [Part::Text(text)] = message.parts.as_slice() else { return Err(no_prompt()) };
    if message.author != Author::User {
        return Err(no_prompt());
    }
    let mut prompt = text.clone();
    let mut wishes = Vec::new();
    if let Some((width, height)) = picture.size {
        wishes.push(format!("Size: {width}x{height} pixels."));
    }
    if let Some(quality) = &picture.quality {
        wishes.push(format!("Quality: {quality}."));
    }
    if !wishes.is_empty() {
        let _ = write!(prompt, "\n\n{}", wishes.join(" "));
    }
    Ok(prompt)
}

fn no_prompt() -> AgentError {
    ErrorKind::InvalidInput(RequestFault {
        message: Some("A picture is drawn from one text.".to_owned()),
        ..RequestFault::default()
    })
    .into()
}

/// What the model is told, with the references and the background, which are arguments of the function.
fn instructions(files: &ReferenceFiles, transparent: Option<bool>) -> String {
    let mut text = INSTRUCTIONS.to_owned();
    if !files.paths().is_empty() {
        let paths: Vec<_> = files.paths().iter().map(|path| path.as_str()).collect();
        let _ = write!(text, "\nreferenced_image_paths must be exactly {}", json!(paths));
    }
    if let Some(transparent) = transparent {
        let _ = write!(text, "\ntransparent_background must be {transparent}");
    }
    text
}

/// A turn whose files live as long as it does.
struct WithFiles {
    inner: Box<dyn TurnSource>,
    _files: ReferenceFiles,
}

impl TurnSource for WithFiles {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.inner.poll_next(cx)
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}
