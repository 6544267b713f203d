//! The workers behind the agent, as they are when somebody asks.

use portcullis_agent::WorkerReport;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::catalogue::Catalogue;

/// The name of a worker is the gateway's own: their number is bounded.
type OfWorker = [(&'static str, String); 1];

/// The workers behind the agent.
#[derive(Debug)]
pub(super) struct WorkerMetrics {
    states: Family<[(&'static str, &'static str); 1], Gauge>,
    turns: Family<OfWorker, Gauge>,
    memory: Family<OfWorker, Gauge>,
    age: Family<OfWorker, Gauge>,
    ends: Family<[(&'static str, String); 2], Counter>,
}

impl WorkerMetrics {
    pub(super) fn new(all: &mut Catalogue) -> Self {
        let worker = &["worker"];
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
        }
    }

    /// Only what is true now stays.
    pub(super) fn saw(&self, workers: &[WorkerReport]) {
        self.states.clear();
        self.turns.clear();
        self.memory.clear();
        self.age.clear();
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
