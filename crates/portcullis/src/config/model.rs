//! The configuration as the program uses it: every value means something, none is a text to be parsed later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use camino::Utf8PathBuf;
use portcullis_agent::{ApprovalPolicy, BreakerLimits, Profile};
use portcullis_codex::Runner;
use portcullis_confine::Level;
use portcullis_http::SizePolicy;
use portcullis_openai::chat::Sampling;
use secrecy::SecretString;

use super::ByteSize;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file that was read, if any.
    pub(crate) file: Option<Utf8PathBuf>,
    pub(crate) http: Http,
    pub(crate) state: State,
    pub(crate) codex: Codex,
    pub(crate) provider: Provider,
    pub(crate) turn: Turn,
    pub(crate) workers: Workers,
    pub(crate) confine: Confine,
    pub(crate) hands: Hands,
    pub(crate) workspaces: Workspaces,
    pub(crate) limits: Limits,
    /// `[breaker]`: when a failing provider is given a rest.
    pub(crate) breaker: BreakerLimits,
    pub(crate) store: Store,
    pub(crate) openai: OpenAi,
    pub(crate) images: Images,
    pub(crate) approvals: Approvals,
    pub(crate) audit: Audit,
    pub(crate) dashboard: Dashboard,
    pub(crate) log: Log,
    pub(crate) traces: Traces,
    /// Model names that clients may use, besides the real ones.
    pub(crate) aliases: BTreeMap<String, Alias>,
}

/// `[http]`: the listener.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Where it listens.
    pub(crate) bind: SocketAddr,
    /// The names under which it is asked, besides its own.
    pub(crate) hosts: Hosts,
    /// Whose pages may call it from a browser.
    pub(crate) origins: Origins,
    pub(crate) connections: NonZeroUsize,
    /// How long running requests have when it stops.
    pub(crate) drain: Duration,
}

/// `[state]`: what Portcullis keeps.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Absolute.
    pub(crate) dir: Utf8PathBuf,
}

/// `[codex]`: the Codex CLI.
#[derive(Clone, Debug)]
pub(crate) struct Codex {
    /// The program; looked for when unset.
    pub(crate) bin: Option<Utf8PathBuf>,
    /// Its home, where the login is.
    pub(crate) home: Utf8PathBuf,
    /// The model that the default aliases stand for.
    pub(crate) model: String,
    /// What runs turns of the profile `chat`.
    pub(crate) runner: Runner,
}

/// `[provider]`: who serves the model.
#[derive(Clone, Debug)]
pub(crate) enum Provider {
    /// The operator's own Codex login.
    OpenAi,
    /// The built-in demo model.
    Lab,
    /// Any other server that speaks the Responses API.
    Custom(Box<CustomProvider>),
}

/// `[provider]` with `kind = "custom"`.
#[derive(Clone, Debug)]
pub(crate) struct CustomProvider {
    /// What it is called in messages.
    pub(crate) name: String,
    pub(crate) base_url: BaseUrl,
    /// Codex sends it the operator's login.
    pub(crate) requires_openai_auth: bool,
    /// Holds the API key of the provider; the key itself is never in the configuration.
    pub(crate) key_file: Option<Utf8PathBuf>,
    pub(crate) supports_websockets: bool,
    pub(crate) request_max_retries: Option<u64>,
    pub(crate) stream_max_retries: Option<u64>,
    pub(crate) stream_idle_timeout: Option<Duration>,
    /// Secret, because people put tokens into headers.
    pub(crate) http_headers: BTreeMap<String, SecretString>,
    /// Secret for the same reason.
    pub(crate) query_params: BTreeMap<String, SecretString>,
}

/// `[turn]`: how long a turn may take.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// From its start to its outcome.
    pub(crate) deadline: Duration,
    /// How long a streamed answer waits for its first event, before it begins without one.
    pub(crate) first_event: Duration,
    /// While it waits for the results of the client's tools.
    pub(crate) parked: Duration,
    /// Of a turn with hands.
    pub(crate) steps: NonZeroUsize,
    /// Of a turn with hands.
    pub(crate) tokens: NonZeroUsize,
}

/// `[confine]`: what is built around workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confine {
    pub(crate) level: ConfineLevel,
    /// When the gateway runs as root.
    pub(crate) first_uid: UserId,
}

/// What is built around workers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ConfineLevel {
    /// Whatever the machine allows.
    Best,
    /// This and nothing weaker.
    Exactly(Level),
    /// Nothing.
    Off,
}

/// A user id that is not root's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct UserId(pub(crate) u32);

/// `[hands]`: what a turn's commands may use.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    pub(crate) processes: NonZeroUsize,
    pub(crate) memory: ByteSize,
    pub(crate) file: ByteSize,
    pub(crate) tmp: ByteSize,
    /// Absolute.
    pub(crate) paths: Paths,
    pub(crate) spares: u64,
    pub(crate) idle: Duration,
}

/// Absolute paths.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Paths(pub(crate) Vec<Utf8PathBuf>);

/// `[workers]`: the processes that run turns, and when they are replaced.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    /// Of each kind.
    pub(crate) count: NonZeroUsize,
    /// Of each kind.
    pub(crate) spares: u64,
    pub(crate) max_turns: NonZeroUsize,
    pub(crate) max_age: Duration,
    /// With everything below it.
    pub(crate) memory: ByteSize,
}

/// `[workspaces]`: a directory for each API key.
#[derive(Clone, Debug)]
pub(crate) struct Workspaces {
    /// Absolute.
    pub(crate) dir: Utf8PathBuf,
    pub(crate) size: ByteSize,
    pub(crate) files: NonZeroUsize,
    pub(crate) free: ByteSize,
    pub(crate) keep: Duration,
}

/// `[limits]`: how much a client may send and run.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// One request body.
    pub(crate) body: ByteSize,
    /// In one request.
    pub(crate) messages: NonZeroUsize,
    /// All text of one request together.
    pub(crate) text: ByteSize,
    /// Running at once.
    pub(crate) turns: NonZeroUsize,
    /// Of these, in each profile, in the order of [`Profile::ALL`].
    pub(crate) profile_turns: [Option<NonZeroUsize>; 3],
    /// Waiting for a turn.
    pub(crate) queue: NonZeroUsize,
    /// How long a request waits.
    pub(crate) queue_wait: Duration,
}

/// `[store]`: what is remembered between requests.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// May carry a password.
    pub(crate) url: Option<SecretString>,
    /// Since a response finished.
    pub(crate) keep: Duration,
    /// All responses together.
    pub(crate) size: ByteSize,
}

/// `[openai]`: how OpenAI's API is answered.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi {
    pub(crate) sampling: Sampling,
    /// From which pictures are fetched.
    pub(crate) image_hosts: Hosts,
}

/// Names or addresses of hosts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Hosts(pub(crate) Vec<String>);

/// `[images]`: who makes pictures, and what is kept of them.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) backend: ImageBackend,
    /// Holds the API key of the backend `openai`; the key itself is never in the configuration.
    pub(crate) key_file: Option<Utf8PathBuf>,
    pub(crate) base_url: BaseUrl,
    /// A second address, on loopback.
    pub(crate) bind: Option<SocketAddr>,
    pub(crate) public_url: Option<BaseUrl>,
    pub(crate) concurrent: NonZeroUsize,
    pub(crate) most: NonZeroUsize,
    pub(crate) deadline: Duration,
    pub(crate) body: ByteSize,
    pub(crate) size_policy: SizePolicy,
    pub(crate) keep: KeepFor,
    /// All pictures together.
    pub(crate) keep_size: ByteSize,
    /// Those of one key.
    pub(crate) keep_per_key: ByteSize,
}

/// `images.backend`. An explicit choice: no key of the environment ever makes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ImageBackend {
    /// Codex, with the operator's ChatGPT login.
    Codex,
    /// OpenAI's Images API, with a key.
    OpenAi,
    /// Nobody.
    Off,
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeepFor {
    /// So long.
    Duration(Duration),
    /// Not at all.
    Off,
}

/// `[approvals]`: who answers when Codex asks before it acts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Approvals {
    pub(crate) read: ApprovalPolicy,
    pub(crate) work: ApprovalPolicy,
    /// How long a question waits for the operator.
    pub(crate) wait: Duration,
}

/// `[audit]`: what is written down of what matters to security.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audit {
    pub(crate) enabled: bool,
    /// All its files together.
    pub(crate) size: ByteSize,
}

/// `[dashboard]`: the operator's pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dashboard {
    pub(crate) enabled: bool,
}

/// Exact origins of pages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Origins(pub(crate) Vec<String>);

/// `[log]`: what the program says.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogFilter,
}

/// `[traces]`: who is told of requests and turns as spans of distributed traces.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "a program without it reads the same configuration")
)]
pub(crate) struct Traces {
    /// A collector that speaks OTLP over HTTP.
    pub(crate) otlp: Option<BaseUrl>,
    /// Of the traces that begin here, one in so many is kept.
    pub(crate) one_in: NonZeroUsize,
    /// Secret, because people put tokens into headers.
    pub(crate) headers: BTreeMap<String, SecretString>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The text of a tracing filter, known to parse.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogFilter(pub(super) String);

impl LogFilter {
    /// For `EnvFilter::new`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[aliases]`: what a model name of a client stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Alias {
    pub(crate) model: String,
    pub(crate) effort: Option<String>,
    /// What its turns may touch at most.
    pub(crate) profile: Option<Profile>,
}

/// An http or https URL with a host, without credentials, query, fragment or trailing slash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BaseUrl(pub(super) String);

impl BaseUrl {
    /// The URL as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
