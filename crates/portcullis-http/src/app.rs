//! What every route is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_access::{Keys, Rates};
use portcullis_agent::{Agent, Approvals, Profile};
use portcullis_audit::Audit;
use portcullis_openai::chat;
use portcullis_store::{Conversations, Responses};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::AccountFacts;
use crate::images::{Pictures, Studio};
use crate::metrics::Metrics;
use crate::once::OnceShelf;
use crate::parked::{ParkedTurns, Parking};
use crate::remote_images::RemoteImages;
use crate::responses::LiveResponses;
use crate::tracer::Tracer;
use crate::usage::Bookkeeper;

/// The parts a gateway is made of.
pub struct Gateway {
    /// Who runs turns.
    pub agent: Arc<dyn Agent>,
    /// Who may ask.
    pub keys: Arc<Keys>,
    /// Where refusals and the operator's decisions are written down.
    pub audit: Audit,
    /// What agents ask of the operator.
    pub approvals: Approvals,
    /// How requests are treated, each as it was when it came. `entrance.connections`, `head` and `stall` stay as they were
    /// at first.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Weakened settings, in plain words; shown in `/readyz`.
    pub warnings: Vec<String>,
    /// With this `/readyz` tells more than to everybody: whoever knows it can read the state directory.
    pub local: SecretString,
    /// Where responses are kept.
    pub responses: Arc<dyn Responses>,
    /// Where conversations are kept.
    pub conversations: Arc<dyn Conversations>,
    /// What was used; the same that counts the agent's turns.
    pub usage: Arc<Bookkeeper>,
    /// What is counted; the same that counts the agent's turns.
    pub metrics: Arc<Metrics>,
    /// Who keeps spans of distributed traces, if somebody does.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// How pictures are made, if they are.
    pub pictures: Option<Pictures>,
    /// Pages of somebody else's, with guards of their own: no key opens them, and nothing of theirs opens what needs a key.
    pub pages: Option<axum::Router>,
    /// A second listener for the same routes.
    pub also_on: Option<TcpListener>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("settings", &*self.settings.borrow()).finish_non_exhaustive()
    }
}

/// How requests are treated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Other names for models.
    pub aliases: BTreeMap<String, Alias>,
    /// How long the agent may work on one turn.
    pub deadline: Duration,
    /// How long responses are kept, and how much of them.
    pub keep: Keep,
    /// Turns that wait for the outputs of their caller's tools.
    pub parking: Parking,
    /// How long a stream's head waits for the first event, so that an early error has its status.
    pub first_event: Duration,
    /// Who comes in, and how.
    pub entrance: Entrance,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// What a chat request may hold.
    pub chat: chat::Limits,
    /// Hosts from which pictures are fetched. Empty: requests carry their pictures themselves.
    pub image_hosts: Vec<String>,
    /// What happens to sampling knobs that Codex does not have.
    pub sampling: chat::Sampling,
}

/// Who comes in, and how.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Names under which the gateway is asked, besides those of the own machine and the address that it listens on.
    pub hosts: Vec<String>,
    /// Origins whose pages may call it from a browser, such as `https://app.example`.
    pub origins: Vec<String>,
    /// Connections at once; one more is answered with 503 and closed.
    pub connections: usize,
    /// How long a client may take to send a request's head.
    pub head: Duration,
    /// How long a body may take to arrive.
    pub body: Duration,
    /// How long a client may take nothing of what is written to it.
    pub stall: Duration,
}

/// How long responses are kept, and how much of them.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Since they finished.
    pub age: Duration,
    /// All their texts together, in bytes.
    pub bytes: u64,
}

/// Another name for a model, possibly with an effort.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The model.
    pub model: String,
    /// The effort, where the request names none.
    pub effort: Option<String>,
    /// What its turns may touch at most, where the name says it.
    pub profile: Option<Profile>,
}

/// What every route is given.
pub(crate) struct App {
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) audit: Audit,
    pub(crate) approvals: Approvals,
    pub(crate) rates: Arc<Rates>,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) local: SecretString,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
    pub(crate) parked: ParkedTurns,
    pub(crate) responses: Arc<dyn Responses>,
    pub(crate) conversations: Arc<dyn Conversations>,
    pub(crate) usage: Arc<Bookkeeper>,
    pub(crate) remote_images: RemoteImages,
    /// Who draws, if somebody does.
    pub(crate) studio: Option<Arc<Studio>>,
    /// How much of the login's limits is used.
    pub(crate) account: AccountFacts,
    /// Answers to requests that are to be answered once.
    pub(crate) once: Arc<OnceShelf>,
    /// The responses that run now.
    pub(crate) live: LiveResponses,
    /// Their tasks, which the end of the gateway waits for.
    pub(crate) tasks: TaskTracker,
    /// No new work.
    pub(crate) draining: CancellationToken,
    /// Running streams end now.
    pub(crate) ending: CancellationToken,
}

impl App {
    /// How requests are treated now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }
}
