//! Codex with hands, on a scripted model.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_agent::{
    Agent as _, ApprovalPolicies, ApprovalPolicy, Approvals, Author, HistoryItem, Message, Outcome, Part,
    PrincipalId, Profile, Turn, TurnEvent, TurnOptions, TurnRequest,
};
use portcullis_audit::Audit;
use portcullis_codex::{
    Cells, Codex, CodexBinary, Confinement, CustomProvider, HandsBounds, HandsSettings, Lifespan, Provider,
    Runner, Settings, Users, WorkersSettings,
};
use portcullis_confine::{Level, User};
use portcullis_lab::{Answer, ModelServer, ToolCall};
use portcullis_workspaces::{Bound, Workspaces};
use secrecy::SecretString;
use serde_json::{Value, json};

/// What no command of the model may ever print.
pub(crate) const SECRET: &str = "the-providers-key";
/// Far more than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const MIB: u64 = 1 << 20;

pub(crate) struct Bench {
    codex: Arc<Codex>,
    pub(crate) model: ModelServer,
    pub(crate) workspaces: Arc<Workspaces>,
    pub(crate) approvals: Approvals,
    dir: Utf8TempDir,
}

/// The owner of everything in these tests, where they run as root.
fn users() -> Option<Users> {
    let first = 58_100;
    rustix::process::geteuid()
        .is_root()
        .then_some(Users { brain: User { uid: first, gid: first }, first: first + 1 })
}

impl Bench {
    pub(crate) async fn start(level: Level) -> Self {
        Self::with(level, 64 * MIB).await
    }

    /// With workspaces of at most so many bytes.
    pub(crate) async fn with(level: Level, bytes: u64) -> Self {
        Self::asking(level, bytes, ApprovalPolicy::Decline).await
    }

    /// With somebody or nobody to ask in the profile `work`.
    pub(crate) async fn asking(level: Level, bytes: u64, work: ApprovalPolicy) -> Self {
        let policies = ApprovalPolicies { read: ApprovalPolicy::Decline, work };
        let approvals = Approvals::new(policies, 8, PATIENCE, Arc::new(Audit::off()));
        let launcher =
            Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/codex/node_modules/.bin/codex");
        let binary =
            CodexBinary::find(&launcher).await.expect("the pinned Codex is missing; `make codex` brings it");
        // Not below `/tmp`, which is another one in a cell.
        let dir = camino_tempfile::Builder::new().prefix("hands-").tempdir_in(Self::root()).unwrap();
        let model = ModelServer::start().await.unwrap();
        let login_home = dir.path().join("login");
        std::fs::create_dir(&login_home).unwrap();
        std::fs::write(login_home.join("auth.json"), format!(r#"{{"OPENAI_API_KEY":"{SECRET}"}}"#)).unwrap();
        std::fs::write(dir.path().join("keys.json"), SECRET).unwrap();
        let users = users();
        if let Some(users) = users {
            // As the gateway does where cells have no view of their own: other users may walk through, and read nothing.
            for through in ["", "workers", "workspaces"] {
                let through = dir.path().join(through);
                std::fs::create_dir_all(&through).unwrap();
                std::fs::set_permissions(&through, Permissions::from_mode(0o711)).unwrap();
            }
            portcullis_codex::give(&login_home, users.brain).unwrap();
        }
        let bound = Bound { bytes, files: 1000, free: 0 };
        let workspaces =
            Arc::new(Workspaces::new(dir.path().join("workspaces"), bound, Duration::from_hours(1)));
        let codex = Arc::new(Codex::start(
            Settings {
                binary,
                workers_dir: dir.path().join("workers"),
                login_home,
                provider: Provider::Custom(CustomProvider {
                    name: "lab".to_owned(),
                    base_url: model.base_url(),
                    requires_openai_auth: false,
                    key: Some(SecretString::from(SECRET)),
                    supports_websockets: false,
                    request_max_retries: Some(0),
                    stream_max_retries: Some(0),
                    stream_idle_timeout: None,
                    http_headers: BTreeMap::new(),
                    query_params: BTreeMap::new(),
                }),
                model: "gpt-5.5".to_owned(),
                models: vec!["gpt-5.5".to_owned()],
                turns: 8,
                workers: WorkersSettings {
                    count: 1,
                    spares: 0,
                    life: Lifespan {
                        turns: 1000,
                        age: Duration::from_hours(1),
                        memory: 1 << 30,
                        drain: Duration::from_mins(1),
                    },
                },
                runner: Runner::AppServer,
                stop_grace: Duration::from_secs(2),
                confinement: Confinement::Cells(Cells {
                    launcher: env!("CARGO_BIN_EXE_portcullis").into(),
                    level,
                    users,
                }),
                hands: Some(HandsSettings {
                    workspaces: Arc::clone(&workspaces),
                    bounds: HandsBounds {
                        processes: 64,
                        memory: 256 * MIB,
                        file: 32 * MIB,
                        tmp: 16 * MIB,
                        paths: Vec::new(),
                    },
                    approvals: approvals.clone(),
                    spares: 2,
                    idle: Duration::from_mins(1),
                }),
            },
            Arc::new(Audit::off()),
        ));
        Self { codex, model, workspaces, approvals, dir }
    }

    /// A place that every user can walk to.
    fn root() -> Utf8PathBuf {
        let root =
            Utf8PathBuf::from(format!("/var/tmp/portcullis-tests-{}", rustix::process::geteuid().as_raw()));
        std::fs::create_dir_all(&root).unwrap();
        root
    }

    /// The gateway's own directory, which no worker may see.
    pub(crate) fn state(&self) -> &Utf8Path {
        self.dir.path()
    }

    /// The agent, for wrappers.
    pub(crate) fn codex(&self) -> Arc<Codex> {
        Arc::clone(&self.codex)
    }

    pub(crate) async fn start_turn(&self, principal: &str, profile: Profile) -> Turn {
        self.codex.start_turn(request(principal, profile)).await.unwrap()
    }

    /// Lets the model make these calls, one per step, and returns what it was told of each, and the turn's events.
    pub(crate) async fn play(
        &self,
        principal: &str,
        profile: Profile,
        calls: &[(&str, Value)],
    ) -> (Vec<String>, Vec<TurnEvent>) {
        let before = self.model.requests().len();
        for (number, (tool, arguments)) in calls.iter().enumerate() {
            self.model.enqueue(call(&format!("call_{number}"), tool, arguments));
        }
        self.model.enqueue(Answer::text(["done"]));
        let mut turn = self.start_turn(principal, profile).await;
        let mut events = Vec::new();
        while let Some(event) = turn.next().await {
            events.push(event);
        }
        assert!(matches!(events.last(), Some(TurnEvent::Ended(Outcome::Completed))), "{:?}", events.last());
        let requests = self.model.requests();
        let told = requests[before + 1..].iter().map(|request| {
            let last = request.input().last().cloned().unwrap_or_default();
            last["output"].as_str().map_or_else(|| last.to_string(), str::to_owned)
        });
        (told.collect(), events)
    }

    pub(crate) async fn finish(self) {
        Arc::into_inner(self.codex).expect("nobody else holds it").shutdown().await;
        assert_eq!(self.model.unused_answers(), 0, "the model was not asked for everything");
        self.model.shutdown().await;
    }
}

/// The model calls one of Codex's own tools.
pub(crate) fn call(id: &str, tool: &str, arguments: &Value) -> Answer {
    match arguments.as_str() {
        // A tool that takes text and not JSON.
        Some(text) => Answer::raw_events(vec![
            ("response.created".to_owned(), json!({"type": "response.created", "response": {"id": id}})),
            (
                "response.output_item.done".to_owned(),
                json!({"type": "response.output_item.done", "item": {
                    "type": "custom_tool_call", "id": id, "call_id": id, "name": tool, "input": text,
                }}),
            ),
            (
                "response.completed".to_owned(),
                json!({"type": "response.completed", "response": {"id": id, "usage": {
                    "input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
                    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2,
                }}}),
            ),
        ]),
        None => Answer::tool_calls([ToolCall::new(id, tool, arguments.to_string())]),
    }
}

/// A command of the model.
pub(crate) fn run(command: &str) -> (&'static str, Value) {
    ("exec_command", json!({"cmd": command, "yield_time_ms": 20_000}))
}

/// A turn that is asked to do something.
pub(crate) fn request(principal: &str, profile: Profile) -> TurnRequest {
    let message = Message { author: Author::User, parts: vec![Part::Text("Do it.".to_owned())] };
    let options = TurnOptions::new("gpt-5.5".into(), PATIENCE);
    TurnRequest {
        history: vec![HistoryItem::Message(message)],
        ..TurnRequest::new("req".into(), PrincipalId::from(principal), profile, options)
    }
}
