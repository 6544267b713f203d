//! The workers behind the agent, as they are when somebody asks.

use portcullis_agent::WorkerReport;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::catalogue::Catalogue;

/// The name of a worker is the gateway's own: their number is bounded.
type OfWorker = [(&'static str, String); 1];

/// Worker, limit and window. The limit's name is the provider's, and their number is bounded.
type OfWindow = [(&'static str, String); 3];

/// The workers behind the agent.
#[derive(Debug)]
pub(super) struct WorkerMetrics {
    states: Family<[(&'static str, &'static str); 1], Gauge>,
    turns: Family<OfWorker, Gauge>,
    memory: Family<OfWorker, Gauge>,
    age: Family<OfWorker, Gauge>,
    ends: Family<[(&'static str, String); 2], Counter>,
    account_used: Family<OfWindow, Gauge>,
    account_window: Family<OfWindow, Gauge>,
    account_resets: Family<OfWindow, Gauge>,
}

impl WorkerMetrics {
    pub(super) fn new(all: &mut Catalogue) -> Self {
        let worker = &["worker"];
        let window = &["worker", "limit", "window"];
        Self {
            states: all.add("workers", None, &["state"], "Workers, by state", Family::default()),
            turns: all.add("worker_turns", None, worker, "Turns that a worker runs now", Family::default()),
            memory: all.add(
                "worker_resident",
                Some(Unit::Bytes),
                worker,
                "Resident memory of a worker and everything below it",
                Family::default(),
            ),
            age: all.add(
                "worker_age",
                Some(Unit::Seconds),
                worker,
                "How long a worker's process has been running",
                Family::default(),
            ),
            ends: all.add(
                "worker_ends",
                None,
                &["worker", "why"],
                "Processes of a worker that have ended, by why; another one was started each time",
                Family::default(),
            ),
            account_used: all.add(
                "account_used_percent",
                None,
                window,
                "How much of a limit of the login's account is used, as the provider last told the worker",
                Family::default(),
            ),
            account_window: all.add(
                "account_window",
                Some(Unit::Seconds),
                window,
                "How long that limit's window is",
                Family::default(),
            ),
            account_resets: all.add(
                "account_resets_timestamp",
                Some(Unit::Seconds),
                window,
                "When that window is over, in Unix time",
                Family::default(),
            ),
        }
    }

    /// Only what is true now stays.
    pub(super) fn saw(&self, workers: &[WorkerReport]) {
        self.states.clear();
        self.turns.clear();
        self.memory.clear();
        self.age.clear();
        self.account_used.clear();
        self.account_window.clear();
        self.account_resets.clear();
        for worker in workers {
            let name = [("worker", worker.name.clone())];
            self.states.get_or_create(&[("state", worker.state)]).inc();
            self.turns.get_or_create(&name).set(number(worker.turns));
            if let Some(bytes) = worker.resident_bytes {
                self.memory.get_or_create(&name).set(number(bytes));
            }
            if let Some(age) = worker.age {
                self.age.get_or_create(&name).set(number(age.as_secs()));
            }
            for ((limit, window), seen) in &worker.account {
                let labels = [
                    ("worker", worker.name.clone()),
                    ("limit", limit.clone()),
                    ("window", (*window).to_owned()),
                ];
                self.account_used.get_or_create(&labels).set(i64::from(seen.used_percent));
                if let Some(length) = seen.length {
                    self.account_window.get_or_create(&labels).set(number(length.as_secs()));
                }
                if let Some(at) = seen.resets_at {
                    self.account_resets.get_or_create(&labels).set(at);
                }
            }
            for (why, count) in &worker.ended {
                let counter =
                    self.ends.get_or_create(&[("worker", worker.name.clone()), ("why", (*why).to_owned())]);
                // Two who ask at once may count one end twice; a counter must not go back, so it is only raised.
                counter.inc_by(count.saturating_sub(counter.get()));
            }
        }
    }
}

fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
