//! [`Agent`] over the workers of one kind: as many as are to serve, spares, and one that stands in while another is
//! replaced. A turn stays in the worker that began it.

mod policy;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};
use portcullis_agent::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Readiness, Turn, TurnRequest, WorkerFact,
    WorkerReport, WorkerWitness,
};
use tokio::time::{Instant, timeout_at};

pub use self::policy::Lifespan;
use self::policy::{Seen, Step, choose, due, next_step};
use crate::app_server::AppServer;
use crate::cells::Confinement;
use crate::codex::Settings;
use crate::connection::jittered;
use crate::hands::HandsMaker;
use crate::running::NotStarted;
use crate::watch::{EVERY, Used, Watch};

/// How many workers there are, and when they are replaced.
#[derive(Clone, Copy, Debug)]
pub struct WorkersSettings {
    /// How many serve.
    pub count: usize,
    /// How many more run and wait, to serve at once when another one does not.
    pub spares: usize,
    /// When they are replaced.
    pub life: Lifespan,
}

/// The workers of one kind.
pub(crate) struct Pool {
    settings: Settings,
    /// What their names begin with.
    name: &'static str,
    hands: Option<Arc<HandsMaker>>,
    witness: Arc<dyn WorkerWitness>,
    /// Those that serve, then the spares.
    workers: Vec<Arc<AppServer>>,
    /// Started when the last one that serves is to be replaced, and ended afterwards.
    stand_in: Mutex<Option<Arc<AppServer>>>,
}

/// How long a turn waits for a worker where none is ready: another start takes less.
const REFILL: Duration = Duration::from_secs(1);
/// The longest pause before a turn is begun again elsewhere.
const AGAIN: Duration = Duration::from_millis(100);

impl Pool {
    /// Starts the workers; each becomes ready in its own time. With hands their turns have Codex's own tools.
    pub(crate) fn start(
        name: &'static str,
        settings: Settings,
        hands: Option<Arc<HandsMaker>>,
        witness: Arc<dyn WorkerWitness>,
    ) -> Self {
        let many = settings.workers.count + settings.workers.spares;
        let mut this =
            Self { settings, name, hands, witness, workers: Vec::new(), stand_in: Mutex::default() };
        this.workers = (1..=many).map(|number| this.start_one(number)).collect();
        this
    }

    fn start_one(&self, number: usize) -> Arc<AppServer> {
        let worker = format!("{}-{number}", self.name);
        let server = Arc::new(AppServer::start(&worker, &self.settings, self.hands.clone()));
        let level = match &self.settings.confinement {
            Confinement::Cells(cells) => format!("{:?}", cells.level).to_lowercase(),
            Confinement::Off => "off".to_owned(),
        };
        self.witness.saw(WorkerFact::Started { worker, profile: None, level });
        server
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<AppServer>>> {
        self.stand_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that run, the one that stands in last.
    fn all(&self) -> Vec<Arc<AppServer>> {
        self.workers.iter().cloned().chain(self.lock().clone()).collect()
    }

    /// The worker for a new turn, if one serves.
    fn choose(&self) -> Option<Arc<AppServer>> {
        let all = self.all();
        let seen: Vec<Seen> = all.iter().map(|worker| see(worker)).collect();
        choose(&seen, self.settings.workers.count).map(|place| Arc::clone(&all[place]))
    }

    /// The worker for a new turn, as soon as one serves, `within` at most.
    async fn chosen(&self, within: Duration) -> Option<Arc<AppServer>> {
        let until = Instant::now() + within;
        let mut statuses: Vec<_> = self.all().iter().map(|worker| worker.status()).collect();
        loop {
            let chosen = self.choose();
            if chosen.is_some() || statuses.is_empty() {
                return chosen;
            }
            let any = select_all(statuses.iter_mut().map(|status| Box::pin(status.changed())));
            let (seen, which, _) = timeout_at(until, any).await.ok()?;
            if seen.is_err() {
                statuses.swap_remove(which);
            }
        }
    }

    /// Waits until a worker serves, at most so long.
    pub(crate) async fn ready(&self, within: Duration) -> bool {
        self.chosen(within).await.is_some()
    }

    /// The workers' process ids, while they run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.all().iter().filter_map(|worker| worker.worker_pid()).collect()
    }

    /// Ends the workers: TERM to their groups, grace, KILL. Running turns fail.
    pub(crate) async fn shutdown(self: Arc<Self>) {
        join_all(self.all().into_iter().map(AppServer::shutdown)).await;
    }

    /// Replaces workers when their time has come, or when they do what nobody asked for. Never returns.
    pub(crate) async fn keep(&self) {
        let mut watches: Vec<Watch> = self.workers.iter().map(|_| Watch::default()).collect();
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(EVERY).await;
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            let looked = self.workers.iter().zip(&mut watches);
            let seen: Vec<Seen> = looked.map(|(worker, watch)| self.look(worker, watch, elapsed)).collect();
            let stand_in = self.lock().as_deref().map(see);
            match next_step(&seen, stand_in.as_ref(), self.settings.workers.life.drain) {
                Step::Wait => {}
                Step::StartStandIn => {
                    let started = self.start_one(self.workers.len() + 1);
                    *self.lock() = Some(started);
                }
                Step::Drain(place, why) => self.workers[place].drain(why),
                Step::Restart(place) => self.workers[place].restart("it has drained"),
                Step::DrainStandIn => {
                    if let Some(stand_in) = &*self.lock() {
                        stand_in.drain("it is not needed any more");
                    }
                }
                Step::EndStandIn => {
                    let ended = self.lock().take();
                    if let Some(ended) = ended {
                        ended.shutdown().await;
                    }
                }
            }
        }
    }

    /// A worker as it is, and whether it should be replaced.
    fn look(&self, worker: &AppServer, watch: &mut Watch, elapsed: Duration) -> Seen {
        let seen = see(worker);
        let status = worker.status().borrow().clone();
        let (Some(pid), Some(link)) = (status.pid, status.state.handle()) else { return seen };
        let (used, age) = (Used::below(pid), status.since.map(|since| since.elapsed()).unwrap_or_default());
        let busy = watch.look(pid, used.cpu, link.router.is_idle(), elapsed);
        let life = &self.settings.workers.life;
        Seen { due: busy.or_else(|| due(used, age, link.begun(), life)), ..seen }
    }

    /// Why no turn can begin.
    fn nobody(&self) -> AgentError {
        let states: Vec<String> = self.all().iter().map(|worker| worker.words()).collect();
        AgentError::new(ErrorKind::WorkerLost).because(format!("no worker is ready: {}", states.join("; ")))
    }
}

/// A worker as it is.
fn see(worker: &AppServer) -> Seen {
    let Some(link) = worker.handle() else { return Seen::default() };
    Seen { ready: true, drains: link.drains_since(), turns: link.turns(), due: None }
}

#[async_trait]
impl Agent for Pool {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: true, tools: true }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        let link = self.all().iter().find_map(|worker| worker.handle());
        link.map(|link| link.models.clone()).ok_or_else(|| self.nobody())
    }

    async fn readiness(&self) -> Readiness {
        let all = self.all();
        let ready: Vec<&Arc<AppServer>> = all.iter().filter(|worker| worker.handle().is_some()).collect();
        let words = |worker: &&Arc<AppServer>| worker.words();
        let first = ready.first().copied().unwrap_or(&all[0]);
        let mut conditions = vec![
            Condition { name: "worker", ok: !ready.is_empty(), required: true, message: words(&first) },
            first.login_condition(),
            first.version_condition(),
        ];
        if all.len() > 1 {
            let unready: Vec<String> =
                all.iter().filter(|worker| worker.handle().is_none()).map(|worker| worker.words()).collect();
            let count = format!("{} of {} workers are ready", ready.len(), all.len());
            conditions.push(Condition {
                name: "pool",
                ok: unready.is_empty(),
                required: false,
                message: std::iter::once(count).chain(unready).collect::<Vec<_>>().join("; "),
            });
        }
        Readiness::of(conditions)
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.all().iter().map(|worker| worker.report()).collect()
    }

    /// Begins the turn in another worker, or again in this one, if this one was gone or too busy before it began: nothing
    /// of it has run then.
    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let request = Arc::new(request);
        let first = self.chosen(REFILL).await.ok_or_else(|| self.nobody())?;
        let error = match first.start_turn(Arc::clone(&request)).await {
            Ok(turn) => return Ok(turn),
            Err(NotStarted { error, again: false }) => return Err(error),
            Err(NotStarted { error, again: true }) => error,
        };
        tracing::debug!(
            request.id = %request.request, worker.name = first.name(), error.cause = error.cause_chain(),
            "A turn did not begin and is begun again"
        );
        tokio::time::sleep(jittered(AGAIN)).await;
        let second = self.chosen(REFILL).await.ok_or(error)?;
        second.start_turn(request).await.map_err(|not_started| not_started.error)
    }
}
