//! A running gateway: its parts, how they start, and how they end.
//!
//! Starting, in this order: the state directory is claimed, Codex is found, the port is bound, what was kept is opened, the model
//! is there, the worker starts. Whatever can fail for the operator's sake fails before a process is started. Ending is the
//! other way round, and nothing is left when [`Gateway::run`] returns.

mod audit;
mod codex;
mod confinement;
mod dashboard;
mod gallery;
mod handed;
mod http;
mod lent;
mod listen;
mod pictures;
mod reload;
mod state;
mod store;
mod traces;
mod upstream;
mod warnings;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use portcullis_access::{KeyStore, Keys};
use portcullis_agent::{
    Admission, AdmissionLimits, Agent, Approvals, Breaker, BreakerLimits, Budget, Deadline, Record,
    TurnBoard, TurnBounds, TurnCounter, Watched,
};
use portcullis_audit::{Audit, Audited};
use portcullis_codex::{Codex, Painter};
use portcullis_http::Bookkeeper;
use portcullis_lab::ModelServer;
use portcullis_store_sql::SqlStore;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use audit::{dir as audit_dir, record};
pub(crate) use codex::find as find_codex;
pub(crate) use confinement::{decide as decide_confinement, workspaces};
pub(crate) use handed::Handed;
pub(crate) use listen::{listen_error, reachable};
pub(crate) use reload::{Outcome, Reloader, outcome as reload_outcome, request_file as reload_request};
pub(crate) use state::{Running, StateDir};
pub(crate) use store::open as open_store;
pub(crate) use upstream::{KeyFileError, open as upstream};
pub(crate) use warnings::{Seen, of as weakened};

use self::dashboard::{Pages, Running as RunningParts};
use self::lent::Lent;
use self::pictures::{Artist, Studio};
use self::reload::Live;
use self::traces::Otlp;
use self::warnings::Weakened;
use crate::config::Config;
use crate::environment::Environment;
use crate::signals::{Hangups, Signals, has_terminal};
use crate::systemd::Manager;

/// How long clients of a socket that was handed over are kept waiting for the first worker. They would be refused
/// until then; after it, they are.
const FIRST_WORKER: Duration = Duration::from_secs(10);
/// How long a call that is under way may still hold the worker.
const LET_GO: Duration = Duration::from_secs(1);

/// A gateway whose parts have started.
pub(crate) struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    codex: Arc<Codex>,
    codex_version: String,
    /// The built-in model, if it is the one that is used.
    lab: Option<ModelServer>,
    /// Who makes pictures, if somebody does.
    studio: Option<Studio>,
    /// The address for image plug-ins.
    image_listener: Option<TcpListener>,
    /// Responses and conversations.
    kept: Arc<SqlStore>,
    keys: Arc<Keys>,
    /// By which commands on this machine are known.
    local: SecretString,
    audit: Audit,
    approvals: Approvals,
    settings: portcullis_http::Settings,
    /// Who is told of spans, if somebody is.
    tracer: Option<Otlp>,
    /// How many turns the workers can run.
    places: NonZeroUsize,
    /// How many turns run and wait.
    admission: AdmissionLimits,
    /// When a failing provider is given a rest.
    breaker: BreakerLimits,
    /// What a turn with hands may take.
    bounds: TurnBounds,
    /// How long running requests have after the first signal.
    drain: Duration,
    /// Told to everybody who asks whether the gateway is ready.
    weakened: Vec<Weakened>,
    /// The operator's pages, if there are any.
    pages: Option<Pages>,
    /// Held to the end: the next gateway must find no worker of this one.
    state: StateDir,
}

impl Gateway {
    /// Starts all parts. The worker becomes ready in its own time, unless clients can wait for it.
    pub(crate) async fn start(
        config: &Config,
        state: StateDir,
        environment: &Environment,
        handed: Handed,
    ) -> anyhow::Result<Self> {
        let store = KeyStore::open(state.path())?;
        let keys = Arc::new(Keys::open(store.path())?);
        let binary = codex::find(config.codex.bin.as_deref(), environment).await?;
        let codex_version = binary.version.clone();
        let clients_wait = !handed.is_empty();
        let listener = listen::listen(handed.http, config.http.bind).await?;
        let address = listener.local_addr().context("the listener has no address")?;
        // Both wait, for other processes and for the disk.
        let (confined, kept) =
            tokio::try_join!(confinement::decide(config, &binary), store::open(config, state.path()))?;
        let kept = Arc::new(kept);
        let local = state.listens_on(address)?;
        let image_listener = listen::listen_for_images(handed.images, config.images.bind).await?;
        let upstream = upstream::open(&config.provider).await?;
        let tracer = traces::open(&config.traces)?;
        let audit = audit::start(&config.audit, state.path())?;
        let studio = pictures::open(pictures::Parts {
            config,
            state: &state,
            binary: &binary,
            confinement: &confined.confinement,
            provider: &upstream.provider,
            lab: upstream.lab.as_ref(),
            base_url: format!("http://{}", listen::reachable(address)),
        })?;

        let weakened = warnings::of(&warnings::Seen {
            config,
            address,
            is_root: rustix::process::geteuid().is_root(),
            confined: Some(&confined),
            binary: &binary,
            keys: &keys,
        });
        for weakened in &weakened {
            warn!("{} (hint: {})", weakened.sentence(), weakened.hint());
        }
        if keys.count() == 0 {
            warn!(
                "There is no API key yet, so nobody can use the gateway (hint: `portcullis key create --name my-app`)"
            );
        }
        info!(
            listen.address = %address, provider = upstream.name, codex.version = codex_version,
            "Listening on http://{address}/v1, model requests go to {}, through Codex {codex_version}", upstream.name
        );
        if config.dashboard.enabled {
            info!(
                "The dashboard is on http://{address}/dashboard; `portcullis dashboard` makes a link into it"
            );
        }
        audit::started(&audit, &codex_version, address, &weakened).await;
        let approvals = audit::approvals(&config.approvals, &audit);
        let hands = confinement::hands(config, &confined, &approvals);
        let pages = Pages::new(config, &binary, &confined, &weakened, address, &upstream.name, &audit);
        let codex = codex::settings(config, &state, binary, upstream.provider, confined.confinement, hands);
        let codex = Arc::new(Codex::start(codex, Arc::new(audit.clone())));
        if clients_wait {
            codex.ready(FIRST_WORKER).await;
        }
        Ok(Self {
            listener,
            address,
            codex,
            codex_version,
            lab: upstream.lab,
            studio,
            image_listener,
            kept,
            keys,
            local,
            approvals,
            audit,
            tracer,
            settings: http::settings(config),
            admission: http::admission(config),
            breaker: config.breaker,
            bounds: reload::bounds(config),
            places: config.limits.turns,
            drain: config.http.drain,
            weakened,
            pages,
            state,
        })
    }

    /// Where it really listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which Codex runs.
    pub(crate) fn codex_version(&self) -> &str {
        &self.codex_version
    }

    /// The worker that draws, if there is one. Whoever has it for longer than the start keeps it from ending.
    pub(crate) fn painter(&self) -> Option<Arc<Painter>> {
        match &self.studio.as_ref()?.artist {
            Artist::Codex(painter) => Some(Arc::clone(painter)),
            Artist::Api(_) => None,
        }
    }

    /// Serves until a signal comes or `greet` fails, then ends every part. `greet` runs beside the serving, once.
    pub(crate) async fn run(
        self,
        mut signals: Signals,
        hangups: Hangups,
        mut reloader: Option<Reloader>,
        manager: &Manager,
        greet: impl AsyncFnOnce(&Codex) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self {
            listener,
            codex,
            lab,
            studio,
            image_listener,
            kept,
            keys,
            local,
            audit,
            approvals,
            settings,
            tracer,
            places,
            admission,
            breaker,
            bounds,
            drain,
            weakened,
            pages,
            state,
            ..
        } = self;
        let metrics = Arc::new(portcullis_http::Metrics::default());
        for weakened in &weakened {
            metrics.weakened(weakened.word());
        }
        let warnings = weakened.iter().map(Weakened::sentence).collect();
        let usage = Arc::new(Bookkeeper::new(Arc::clone(&kept) as _, Arc::clone(&metrics)));
        let mut counters: Vec<Arc<dyn TurnCounter>> =
            vec![Arc::clone(&metrics) as _, Arc::clone(&usage) as _];
        counters.extend(tracer.clone().map(|tracer| Arc::new(tracer) as _));
        let counter: Arc<dyn TurnCounter> = Arc::new(counters);
        // A turn that was not admitted is no fact for the audit log: a flood of them would fill it.
        let (settings, bounds) = (watch::Sender::new(Arc::new(settings)), watch::Sender::new(bounds));
        let agent =
            Audited::new(Budget::new(Deadline::new(Lent::new(&codex)), bounds.subscribe()), audit.clone());
        let agent = Admission::new(agent, "turns", admission, Arc::clone(&metrics) as _);
        let limiter = agent.limiter();
        // Outside of the queue: what is refused waits for nothing, or no longer.
        let agent = Breaker::new(agent, "provider", breaker, Arc::clone(&metrics) as _);
        let turns = TurnBoard::default();
        let agent: Arc<dyn Agent> =
            Arc::new(Watched::new(Record::new(agent, Arc::clone(&counter)), turns.clone()));
        let (responses, conversations) = (Arc::clone(&kept) as _, Arc::clone(&kept) as _);
        let pictures = studio
            .as_ref()
            .map(|studio| studio.pictures(Arc::clone(&metrics), counter, audit.clone(), &turns));
        let pages = pages.map(|pages| {
            pages.router(RunningParts {
                agent: Arc::clone(&agent),
                painter: pictures.as_ref().map(|pictures| Arc::clone(&pictures.agent)),
                turns,
                ledger: Arc::clone(&kept) as _,
                approvals: approvals.clone(),
                audit: audit.clone(),
                shelf: studio.as_ref().and_then(Studio::shelf),
            })
        });
        let gateway = portcullis_http::Gateway {
            agent,
            keys,
            audit: audit.clone(),
            approvals: approvals.clone(),
            settings: settings.subscribe(),
            warnings,
            local,
            responses,
            conversations,
            usage: Arc::clone(&usage),
            metrics,
            tracer: tracer.clone().map(|tracer| Arc::new(tracer) as _),
            pictures,
            pages: pages.transpose()?,
            also_on: image_listener,
        };
        let stop = CancellationToken::new();
        let serving = portcullis_http::serve(listener, gateway, stop.clone(), drain);
        let greeting = async {
            match greet(&codex).await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        let live = Live {
            settings,
            bounds,
            limiter,
            approvals,
            audit: audit.clone(),
            state: state.path().to_owned(),
        };
        let reloading = listen_for_hangups(hangups, &live, reloader.as_mut(), places);
        let ended = until_stopped(serving, greeting, reloading, &mut signals, &stop, drain, manager).await;

        end(codex, Codex::shutdown).await;
        if let Some(Studio { artist: Artist::Codex(painter), .. }) = studio {
            end(painter, Painter::shutdown).await;
        }
        if let Some(lab) = lab {
            lab.shutdown().await;
        }
        usage.close().await;
        if let Some(tracer) = tracer {
            tracer.close().await;
        }
        kept.close().await;
        audit::stop(&audit).await;
        info!("Stopped");
        drop(state);
        ended
    }
}

/// Returns when the HTTP server has ended, or when a second signal says not to wait for it.
async fn until_stopped(
    serving: impl Future<Output = std::io::Result<()>>,
    greeting: impl Future<Output = anyhow::Error>,
    terminal_closed: impl Future<Output = ()>,
    signals: &mut Signals,
    stop: &CancellationToken,
    drain: Duration,
    manager: &Manager,
) -> anyhow::Result<()> {
    const FAILED: &str = "the HTTP server failed";
    let mut serving = pin!(serving);
    let why = tokio::select! {
        served = &mut serving => {
            served.context(FAILED)?;
            bail!("the HTTP server ended by itself");
        }
        error = greeting => Err(error),
        () = terminal_closed => {
            info!("Stopping: the terminal was closed");
            Ok(())
        }
        signal = signals.next() => {
            info!(signal, "Stopping: running requests have {} seconds; another {signal} ends them", drain.as_secs());
            Ok(())
        }
    };
    manager.stopping(&format!("Running requests have {} seconds to finish", drain.as_secs()));
    stop.cancel();
    tokio::select! {
        served = &mut serving => why.and(served.context(FAILED)),
        signal = signals.next() => {
            warn!(signal, "Stopping at once");
            why
        }
    }
}

/// Reads the configuration again whenever the signal comes; returns when it came because the terminal was closed.
async fn listen_for_hangups(
    mut hangups: Hangups,
    live: &Live,
    mut reloader: Option<&mut Reloader>,
    places: NonZeroUsize,
) {
    let had_terminal = has_terminal();
    loop {
        hangups.next().await;
        if had_terminal && !has_terminal() {
            return;
        }
        live.reload(reloader.as_deref_mut(), places).await;
    }
}

/// Ends a worker and waits until it is reaped.
async fn end<W>(mut worker: Arc<W>, shutdown: impl AsyncFnOnce(W)) {
    let deadline = tokio::time::Instant::now() + LET_GO;
    loop {
        match Arc::try_unwrap(worker) {
            Ok(worker) => return shutdown(worker).await,
            // After a second signal a turn may just be starting.
            Err(shared) if tokio::time::Instant::now() < deadline => worker = shared,
            Err(_shared) => {
                // Its supervisor kills the group when that call is dropped, with the runtime at the latest.
                warn!("A call still holds the worker, which is killed without being asked to end");
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
