//! A whole gateway for a test: the real pinned Codex, a scripted model, a key. Ports 0, a directory of its own.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_access::{Grant, KeyStore, Keys};
use portcullis_agent::{
    Admission, AdmissionLimits, Agent, ApprovalPolicies, Approvals, Breaker, BreakerLimits, Deadline,
    Profile, Record, TurnCounter,
};
use portcullis_audit::Audit;
use portcullis_codex::{
    Codex, CodexBinary, Confinement, CustomProvider, Lifespan, MOST_REFERENCES, Painter, PainterSettings,
    Provider, Runner, Settings as CodexSettings, WorkersSettings,
};
use portcullis_http::{
    Alias, Backend, Bookkeeper, Entrance, Gateway, Keep, Metrics, Parking, PictureSettings, Pictures,
    Settings, SizePolicy,
};
use portcullis_images::{Shelf, ShelfLimits};
use portcullis_lab::ModelServer;
use portcullis_openai::chat;
use portcullis_store::Memory;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything that should happen may take before the test says that it did not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a command on the gateway's machine shows.
pub(crate) const LOCAL: &str = "local-word";

/// A running gateway, all of it.
pub(crate) struct TestGate {
    pub(crate) model: ModelServer,
    pub(crate) agent: Arc<Codex>,
    /// Who draws, where the test wants pictures.
    pub(crate) painter: Option<Arc<Painter>>,
    pub(crate) base: String,
    pub(crate) key: String,
    pub(crate) client: reqwest::Client,
    pub(crate) store: KeyStore,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    dir: camino_tempfile::Utf8TempDir,
}

/// What a test may set.
pub(crate) struct Options {
    pub(crate) deadline: Duration,
    pub(crate) first_event: Duration,
    pub(crate) body_limit: usize,
    pub(crate) sampling: chat::Sampling,
    pub(crate) turns: usize,
    /// How many workers there are, and when they are replaced.
    pub(crate) workers: WorkersSettings,
    /// What runs turns.
    pub(crate) runner: Runner,
    pub(crate) parking: Parking,
    /// What a gateway remembers; given to another one, it survives.
    pub(crate) kept: Arc<Memory>,
    /// How often Codex repeats a stream that broke.
    pub(crate) stream_retries: u64,
    /// Run against OpenAI's provider, without a login.
    pub(crate) openai: bool,
    /// How many turns run and wait.
    pub(crate) admission: AdmissionLimits,
    /// When a failing provider is given a rest.
    pub(crate) breaker: BreakerLimits,
    pub(crate) entrance: Entrance,
    /// What the test's key may do.
    pub(crate) grant: Grant,
    /// Pictures, and where they are kept.
    pub(crate) pictures: Option<Keeping>,
}

impl Options {
    /// As many pictures at once as the painter has places.
    fn drawing(&self) -> AdmissionLimits {
        AdmissionLimits { turns: 8, profiles: [8; 3], ..self.admission }
    }

    /// As the program wraps its agents.
    fn admitted(
        &self,
        agent: impl Agent + 'static,
        limits: AdmissionLimits,
        [queue, provider]: [&'static str; 2],
        metrics: &Arc<Metrics>,
        counter: Arc<dyn TurnCounter>,
    ) -> Arc<dyn Agent> {
        let agent = Admission::new(agent, queue, limits, Arc::clone(metrics) as _);
        let agent = Breaker::new(agent, provider, self.breaker, Arc::clone(metrics) as _);
        Arc::new(Record::new(agent, counter))
    }
}

/// Whether pictures are kept.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Keeping {
    On,
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_mins(1),
            first_event: Duration::from_secs(15),
            body_limit: 1024 * 1024,
            sampling: chat::Sampling::Ignore,
            turns: 64,
            workers: WorkersSettings {
                count: 1,
                spares: 0,
                life: Lifespan {
                    turns: 1_000_000,
                    age: Duration::from_hours(1),
                    memory: 1 << 30,
                    drain: Duration::from_mins(1),
                },
            },
            runner: Runner::AppServer,
            kept: Arc::new(Memory::new(1 << 30)),
            parking: Parking { most: 4, wait: Duration::from_mins(1) },
            stream_retries: 0,
            openai: false,
            admission: AdmissionLimits {
                turns: 64,
                profiles: [64; 3],
                queue: 64,
                wait: Duration::from_secs(10),
            },
            breaker: BreakerLimits { failures: 0, wait: Duration::ZERO },
            entrance: Entrance {
                hosts: Vec::new(),
                origins: Vec::new(),
                connections: 1024,
                head: Duration::from_secs(30),
                body: Duration::from_mins(2),
                stall: Duration::from_mins(1),
            },
            grant: Grant::default(),
            pictures: None,
        }
    }
}

/// The pinned Codex, brought by `make codex`.
pub(crate) async fn pinned_codex() -> CodexBinary {
    let launcher =
        Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/codex/node_modules/.bin/codex");
    CodexBinary::find(&launcher).await.expect("the pinned Codex is missing; `make codex` brings it")
}

impl TestGate {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let dir = camino_tempfile::tempdir().unwrap();
        let model = ModelServer::start().await.unwrap();
        let provider = if options.openai { Provider::OpenAi } else { custom(&model, options.stream_retries) };
        let agent = Arc::new(Codex::start(
            CodexSettings {
                binary: pinned_codex().await,
                workers_dir: dir.path().join("workers"),
                login_home: dir.path().join("codex"),
                provider,
                model: "gpt-5.5".to_owned(),
                models: vec!["gpt-5.5".to_owned(), "house-model".to_owned()],
                turns: options.turns,
                workers: options.workers,
                runner: options.runner,
                stop_grace: Duration::from_secs(2),
                // How cells hold is another suite; this one is about what goes over the wires.
                confinement: Confinement::Off,
                hands: None,
            },
            Arc::new(Audit::off()),
        ));
        let store = KeyStore::open(dir.path()).unwrap();
        let key = store.create("test", &options.grant, jiff::Timestamp::now()).unwrap();
        let settings = tokio::sync::watch::Sender::new(Arc::new(settings(&options)));
        let metrics = Arc::new(Metrics::default());
        let usage = Arc::new(Bookkeeper::new(Arc::clone(&options.kept) as _, Arc::clone(&metrics)));
        let counter: Arc<dyn TurnCounter> =
            Arc::new(vec![Arc::clone(&metrics) as Arc<dyn TurnCounter>, Arc::clone(&usage) as _]);
        let listener = portcullis_http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let painter = match options.pictures {
            Some(_) => Some(painter(&model, dir.path()).await),
            None => None,
        };
        let keeping = options.pictures.filter(|keeping| *keeping == Keeping::On);
        let shelf = keeping.map(|_| shelf(dir.path()));
        let pictures = painter.clone().map(|painter| Pictures {
            agent: options.admitted(
                Deadline::new(painter),
                options.drawing(),
                ["pictures", "images_provider"],
                &metrics,
                Arc::clone(&counter),
            ),
            backend: Backend {
                name: "codex",
                model: "gpt-image-2",
                exact: false,
                references: MOST_REFERENCES,
            },
            shelf,
            settings: PictureSettings {
                deadline: options.deadline,
                body_limit: 96 * 1024 * 1024,
                most: 10,
                size_policy: SizePolicy::Report,
                base_url: base.clone(),
            },
        });
        let gateway = Gateway {
            pages: None,
            also_on: None,
            tracer: None,
            agent: options.admitted(
                Deadline::new(Arc::clone(&agent)),
                options.admission,
                ["turns", "provider"],
                &metrics,
                counter,
            ),
            keys: Arc::new(Keys::open(store.path()).unwrap()),
            audit: Audit::off(),
            approvals: Approvals::new(
                ApprovalPolicies::default(),
                8,
                Duration::from_mins(1),
                Arc::new(Audit::off()),
            ),
            settings: settings.subscribe(),
            warnings: Vec::new(),
            local: LOCAL.into(),
            responses: Arc::clone(&options.kept) as _,
            conversations: Arc::clone(&options.kept) as _,
            usage,
            metrics,
            pictures,
        };
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "finish() waits for it")]
        let served = tokio::task::spawn(portcullis_http::serve(
            listener,
            gateway,
            stop.clone(),
            Duration::from_secs(5),
        ));
        assert!(agent.ready(PATIENCE).await, "the worker did not become ready");
        if let Some(painter) = &painter {
            assert!(painter.ready(PATIENCE).await, "the worker that draws did not become ready");
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let key = key.secret.expose_secret().to_owned();
        Self { model, agent, painter, base, key, client, store, stop, served, dir }
    }

    /// Who the test's key stands for.
    pub(crate) fn principal(&self) -> portcullis_agent::PrincipalId {
        let keys = Keys::open(self.store.path()).unwrap();
        let principal = keys.authenticate(&self.key, jiff::Timestamp::now()).unwrap();
        principal.id()
    }

    pub(crate) fn dir(&self) -> Utf8PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}/v1/chat/completions", self.base)).bearer_auth(&self.key).json(body)
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// Asks one question, not streaming, and returns the status and the body.
    pub(crate) async fn ask(&self, body: &Value) -> (u16, Value) {
        let response = self.post(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Asks one question, streaming, and returns the status and the whole stream.
    pub(crate) async fn stream(&self, body: &Value) -> (u16, String) {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let response = self.post(&body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Ends everything and checks that nothing is left: no stream to the model, no worker, no unread answer.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        let pids = self.agent.worker_pids();
        Arc::into_inner(self.agent).expect("nobody else holds the agent").shutdown().await;
        for pid in pids {
            assert!(!Utf8Path::new(&format!("/proc/{pid}")).exists(), "the worker {pid} is still there");
        }
        if let Some(painter) = self.painter {
            Arc::into_inner(painter).expect("nobody else holds the painter").shutdown().await;
        }
        // The model learns in its own time that nobody reads it any more.
        eventually("no picture is being drawn", async || self.model.open_pictures() == 0).await;
        eventually("no stream to the model is open", async || self.model.open_streams() == 0).await;
        assert_eq!(self.model.unused_answers(), 0, "an answer was scripted that nobody asked for");
        self.model.shutdown().await;
    }
}

/// A worker that draws, with a login that is nobody's.
async fn painter(model: &ModelServer, dir: &Utf8Path) -> Arc<Painter> {
    let login_home = dir.join("nobody");
    std::fs::create_dir(&login_home).unwrap();
    std::fs::write(login_home.join("auth.json"), portcullis_lab::nobodys_login()).unwrap();
    let Provider::Custom(provider) = custom(model, 0) else { unreachable!("it is a custom one") };
    Arc::new(Painter::start(PainterSettings {
        confinement: Confinement::Off,
        binary: pinned_codex().await,
        worker_dir: dir.join("painter"),
        login_home,
        provider: Provider::Custom(CustomProvider { requires_openai_auth: true, ..provider }),
        account_url: Some(model.base_url()),
        model: "gpt-5.5".to_owned(),
        turns: 8,
        stop_grace: Duration::from_secs(2),
    }))
}

fn shelf(dir: &Utf8Path) -> Arc<Shelf> {
    let limits = ShelfLimits { age: Duration::from_hours(1), bytes: 1 << 28, principal_bytes: 1 << 27 };
    Arc::new(Shelf::open(&dir.join("shelf"), limits).unwrap())
}

/// How a gateway under test treats its requests.
pub(crate) fn settings(options: &Options) -> Settings {
    let alias = |model: &str, effort: Option<&str>| Alias {
        model: model.to_owned(),
        effort: effort.map(str::to_owned),
        profile: None,
    };
    Settings {
        aliases: [
            ("codex".to_owned(), alias("gpt-5.5", None)),
            ("codex-high".to_owned(), alias("gpt-5.5", Some("high"))),
            ("nowhere".to_owned(), alias("no-such-model", None)),
            ("reader".to_owned(), Alias { profile: Some(Profile::Read), ..alias("gpt-5.5", None) }),
        ]
        .into(),
        deadline: options.deadline,
        keep: Keep { age: Duration::from_hours(1), bytes: 1 << 30 },
        parking: options.parking,
        first_event: options.first_event,
        entrance: options.entrance.clone(),
        body_limit: options.body_limit,
        chat: chat::Limits {
            messages: 100,
            text: 512 * 1024,
            tools: 128,
            tool_bytes: 64 * 1024,
            images: chat::ImagePolicy { count: 4, bytes: 256 * 1024, remote: true },
        },
        image_hosts: vec!["127.0.0.1".to_owned()],
        sampling: options.sampling,
    }
}

fn custom(model: &ModelServer, stream_retries: u64) -> Provider {
    Provider::Custom(CustomProvider {
        name: "lab".to_owned(),
        base_url: model.base_url(),
        requires_openai_auth: false,
        key: None,
        supports_websockets: false,
        request_max_retries: Some(0),
        stream_max_retries: Some(stream_retries),
        stream_idle_timeout: None,
        http_headers: std::collections::BTreeMap::new(),
        query_params: std::collections::BTreeMap::new(),
    })
}

/// One user message to the default model.
pub(crate) fn question(text: &str) -> Value {
    json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": text}]})
}

/// Replaces what differs from run to run.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("chatcmpl-") {
        out.push_str(&rest[..at]);
        out.push_str("chatcmpl-ID");
        rest = rest[at + "chatcmpl-".len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    out.push_str(rest);
    let mut lines: Vec<String> = Vec::new();
    for part in out.split("\"created\":") {
        let part =
            if lines.is_empty() { part } else { part.trim_start_matches(|c: char| c.is_ascii_digit()) };
        lines.push(part.to_owned());
    }
    lines.join("\"created\":0")
}

/// A stream of chunks with consecutive pieces of one text joined: where the pieces are cut depends on how fast the
/// client reads.
pub(crate) fn joined(stream: &str) -> String {
    let mut events: Vec<Value> = Vec::new();
    let mut done = "";
    for line in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let Ok(mut event) = serde_json::from_str::<Value>(line) else {
            done = line;
            continue;
        };
        let key = ["content", "reasoning_content"].into_iter().find(|key| {
            event["choices"][0]["delta"].as_object().is_some_and(|d| d.len() == 1 && d.contains_key(*key))
        });
        let last = events.last_mut().filter(|last| {
            key.is_some_and(|key| {
                let delta = last["choices"][0]["delta"].as_object();
                delta.is_some_and(|d| d.len() == 1 && d.contains_key(key))
            }) && last["choices"][0]["index"] == event["choices"][0]["index"]
        });
        match (last, key) {
            (Some(last), Some(key)) => {
                let text = format!(
                    "{}{}",
                    last["choices"][0]["delta"][key].as_str().unwrap(),
                    event["choices"][0]["delta"][key].as_str().unwrap()
                );
                last["choices"][0]["delta"][key] = text.into();
            }
            _ => events.push(event.take()),
        }
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    redact(&format!("{}\n{done}", lines.join("\n")))
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
