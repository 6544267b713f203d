//! A gateway over an agent that only answers: for what is decided before a turn runs.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_access::{Grant, KeyStore, Keys};
use portcullis_agent::{
    Admission, Agent, AgentError, ApprovalPolicies, ApprovalPolicy, Approvals, Capabilities, Delta,
    DeltaKind, EventReceiver, EventSender, Item, Model, Outcome, Place, Readiness, Record, ToolOutput, Turn,
    TurnEvent, TurnRequest, TurnSource, Usage, WorkerReport, event_queue,
};
use portcullis_audit::{Audit, Limits};
use portcullis_http::{Bookkeeper, Gateway, Metrics, Settings};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{LOCAL, Options, settings};

/// Answers every turn with `ok`, at once or when the test says so, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct FakeAgent {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<TurnRequest>,
    /// Turns wait for the test.
    holding: bool,
    /// Those that do.
    held: Vec<EventSender>,
}

struct FakeTurn {
    events: EventReceiver,
    _place: Place,
}

impl FakeAgent {
    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<TurnRequest> {
        self.state.lock().unwrap().asked.clone()
    }

    /// From now on turns say nothing until [`FakeAgent::let_go`].
    pub(crate) fn hold(&self) {
        self.state.lock().unwrap().holding = true;
    }

    /// Answers the turns that wait, and says how many those were.
    pub(crate) fn let_go(&self) -> usize {
        let held = std::mem::take(&mut self.state.lock().unwrap().held);
        held.iter().for_each(answer);
        held.len()
    }
}

fn answer(events: &EventSender) {
    let text =
        TurnEvent::Delta(Delta { item: "item".into(), kind: DeltaKind::Message, text: "ok".to_owned() });
    let whole =
        TurnEvent::ItemCompleted(Item::Message { id: "item".into(), text: "ok".to_owned(), refusal: None });
    let usage = TurnEvent::StepCompleted(Usage { input: 7, output: 3, ..Usage::default() });
    for event in [text, whole, usage, TurnEvent::Ended(Outcome::Completed)] {
        events.send(event).unwrap();
    }
}

/// The agent as the gateway has it.
struct Lent(Arc<FakeAgent>);

#[async_trait]
impl Agent for Lent {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: true, tools: true }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        let model = |name: &str| Model {
            id: name.into(),
            display_name: name.to_owned(),
            efforts: vec!["high".to_owned()],
            reads_images: true,
        };
        Ok(vec![model("gpt-5.5"), model("house-model")])
    }

    async fn readiness(&self) -> Readiness {
        Readiness::of(Vec::new())
    }

    fn workers(&self) -> Vec<WorkerReport> {
        Vec::new()
    }

    async fn start_turn(&self, mut request: TurnRequest) -> Result<Turn, AgentError> {
        let (sender, events) = event_queue(1024);
        let mut state = self.0.state.lock().unwrap();
        let place = std::mem::take(&mut request.place);
        state.asked.push(request);
        if state.holding {
            state.held.push(sender);
        } else {
            answer(&sender);
        }
        Ok(Turn::new("thread".into(), "turn".into(), FakeTurn { events, _place: place }))
    }
}

impl TurnSource for FakeTurn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.events.poll_next(cx)
    }

    fn answer(&mut self, _outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        Ok(())
    }
}

/// A running gateway over a [`FakeAgent`].
pub(crate) struct FakeGate {
    pub(crate) agent: Arc<FakeAgent>,
    pub(crate) base: String,
    pub(crate) key: String,
    pub(crate) store: KeyStore,
    pub(crate) audit: Audit,
    pub(crate) approvals: Approvals,
    pub(crate) client: reqwest::Client,
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    pub(crate) dir: camino_tempfile::Utf8TempDir,
}

impl FakeGate {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let dir = camino_tempfile::tempdir().unwrap();
        let store = KeyStore::open(dir.path()).unwrap();
        let key = store.create("test", &options.grant, jiff::Timestamp::now()).unwrap();
        let agent = Arc::new(FakeAgent::default());
        let metrics = Arc::new(Metrics::default());
        let audit = Audit::start(&dir.path().join("audit"), Limits::default()).unwrap();
        let policies = ApprovalPolicies { work: ApprovalPolicy::Ask, ..ApprovalPolicies::default() };
        let approvals = Approvals::new(policies, 8, Duration::from_mins(1), Arc::new(audit.clone()));
        let usage = Arc::new(Bookkeeper::new(Arc::clone(&options.kept) as _, Arc::clone(&metrics)));
        let admitted =
            Admission::new(Lent(Arc::clone(&agent)), "turns", options.admission, Arc::clone(&metrics) as _);
        let settings = watch::Sender::new(Arc::new(settings(&options)));
        let gateway = Gateway {
            pages: None,
            also_on: None,
            tracer: None,
            pictures: None,
            agent: Arc::new(Record::new(admitted, Arc::clone(&usage) as _)),
            keys: Arc::new(Keys::open(store.path()).unwrap()),
            audit: audit.clone(),
            approvals: approvals.clone(),
            settings: settings.subscribe(),
            warnings: Vec::new(),
            local: LOCAL.into(),
            responses: Arc::clone(&options.kept) as _,
            conversations: Arc::clone(&options.kept) as _,
            usage,
            metrics,
        };
        let listener = portcullis_http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = portcullis_http::serve(listener, gateway, stop.clone(), Duration::from_secs(5));
        #[expect(clippy::disallowed_methods, reason = "finish() waits for it")]
        let served = tokio::task::spawn(serving);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let key = key.secret.expose_secret().to_owned();
        Self { agent, base, key, store, audit, approvals, client, settings, stop, served, dir }
    }

    /// Another key with this grant.
    pub(crate) fn another_key(&self, name: &str, grant: &Grant) -> String {
        let key = self.store.create(name, grant, jiff::Timestamp::now()).unwrap();
        key.secret.expose_secret().to_owned()
    }

    /// A request with the gateway's first key.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request_of(&self.key, method, path)
    }

    pub(crate) fn request_of(&self, key: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(key)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request("POST", path).json(body)
    }

    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        self.audit.close().await;
    }
}

/// A status, and a member of the answer's body: the error's code where there is one.
pub(crate) async fn outcome(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or(Value::Null);
    (status, body.pointer("/error/code").cloned().unwrap_or_else(|| json!(null)))
}
