//! What is counted, under the names of the words. No label takes a value from a client.

mod catalogue;
mod workers;

use std::time::Duration;

use portcullis_agent::{BreakerWatcher, EndedTurn, QueueWatcher, TurnCounter, WorkerReport};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use self::catalogue::Catalogue;
use self::workers::WorkerMetrics;

/// Every value is one of ours.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    all: Catalogue,
    requests: Family<[(&'static str, String); 2], Counter>,
    turns: Family<Labels<3>, Counter>,
    tokens: Family<Labels<1>, Counter>,
    first_event: Family<Labels<1>, Histogram, fn() -> Histogram>,
    duration: Family<Labels<1>, Histogram, fn() -> Histogram>,
    /// Turns that wait for the outputs of their caller's tools.
    pub(crate) parked: Gauge<i64>,
    unparked: Family<Labels<1>, Counter>,
    queue_length: Family<Labels<1>, Gauge<i64>>,
    queue_wait: Family<Labels<1>, Histogram, fn() -> Histogram>,
    queue_refused: Family<Labels<2>, Counter>,
    circuit_open: Family<Labels<1>, Gauge<i64>>,
    circuit_opened: Family<Labels<1>, Counter>,
    connections_refused: Counter,
    usage_lost: Counter,
    weakened: Family<Labels<1>, Gauge<i64>>,
    workers: WorkerMetrics,
}

/// How a parked turn stopped being one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unparked {
    /// Its caller came back.
    Resumed,
    /// Its caller did not come back in time.
    Expired,
    /// There were too many.
    Evicted,
    /// Its worker is gone, or the gateway is shutting down.
    Lost,
}

impl Unparked {
    fn word(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Lost => "lost",
        }
    }
}

const FIRST_EVENT_SECONDS: [f64; 10] = [0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
const DURATION_SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Catalogue::new();
        let seconds = || Some(Unit::Seconds);
        Self {
            requests: all.add(
                "requests",
                None,
                &["route", "status"],
                "Answered requests, by route and status",
                Family::default(),
            ),
            turns: all.add(
                "turns",
                None,
                &["profile", "outcome", "error"],
                "Turns that are over, by profile, outcome and kind of error",
                Family::default(),
            ),
            tokens: all.add(
                "tokens",
                None,
                &["kind"],
                "Tokens as the provider counted them, by kind",
                Family::default(),
            ),
            first_event: all.add(
                "turn_first_event",
                seconds(),
                &["profile"],
                "From the request to the first event of its turn",
                Family::new_with_constructor(|| Histogram::new(FIRST_EVENT_SECONDS)),
            ),
            duration: all.add(
                "turn_duration",
                seconds(),
                &["profile"],
                "From the request to the end of its turn",
                Family::new_with_constructor(|| Histogram::new(DURATION_SECONDS)),
            ),
            parked: all.add(
                "parked_turns",
                None,
                &[],
                "Turns that wait for the outputs of their caller's tools",
                Gauge::default(),
            ),
            unparked: all.add(
                "parked_turns_ended",
                None,
                &["how"],
                "Parked turns that are no longer, by how",
                Family::default(),
            ),
            queue_length: all.add(
                "queue_length",
                None,
                &["queue"],
                "Requests that wait for a place, by what is to be made (`turns`, `pictures`)",
                Family::default(),
            ),
            queue_wait: all.add(
                "queue_wait",
                seconds(),
                &["queue"],
                "How long requests that had to wait for a place did so",
                Family::new_with_constructor(|| Histogram::new(DURATION_SECONDS)),
            ),
            circuit_open: all.add(
                "provider_circuit_open",
                None,
                &["circuit"],
                "1 while turns are refused because the provider of words (`provider`) or of pictures (`images_provider`) failed several in a row, otherwise 0",
                Family::default(),
            ),
            circuit_opened: all.add(
                "provider_circuit_opened",
                None,
                &["circuit"],
                "How often that has begun",
                Family::default(),
            ),
            connections_refused: all.add(
                "connections_refused",
                None,
                &[],
                "Connections beyond the bound",
                Counter::default(),
            ),
            usage_lost: all.add(
                "usage_lost",
                None,
                &[],
                "Turns that are missing in /v1/usage: the store failed for too long",
                Counter::default(),
            ),
            queue_refused: all.add(
                "queue_refused",
                None,
                &["queue", "why"],
                "Requests without a place, by why",
                Family::default(),
            ),
            weakened: all.add(
                "weakened",
                None,
                &["what"],
                "Settings that are weaker than they could be, by what",
                Family::default(),
            ),
            workers: WorkerMetrics::new(&mut all),
            all,
        }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _written = encode(&mut text, &self.all.registry);
        text
    }

    /// What docs/METRICS.md says of every metric.
    pub fn reference() -> String {
        Self::default().all.table()
    }

    /// The workers as they are now.
    pub(crate) fn saw_workers(&self, workers: &[WorkerReport]) {
        self.workers.saw(workers);
    }

    /// Something is weaker than it could be; a short permanent word.
    pub fn weakened(&self, what: &'static str) {
        self.weakened.get_or_create(&[("what", what)]).set(1);
    }

    pub(crate) fn answered(&self, route: &str, status: u16) {
        self.requests.get_or_create(&[("route", route.to_owned()), ("status", status.to_string())]).inc();
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub(crate) fn usage_lost(&self, turns: u64) {
        self.usage_lost.inc_by(turns);
    }

    pub(crate) fn unparked(&self, how: Unparked) {
        self.parked.dec();
        self.unparked.get_or_create(&[("how", how.word())]).inc();
    }
}

impl QueueWatcher for Metrics {
    fn waiting(&self, queue: &'static str, count: usize) {
        let length = self.queue_length.get_or_create(&[("queue", queue)]);
        length.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn waited(&self, queue: &'static str, time: Duration) {
        self.queue_wait.get_or_create(&[("queue", queue)]).observe(time.as_secs_f64());
    }

    fn refused(&self, queue: &'static str, why: &'static str) {
        self.queue_refused.get_or_create(&[("queue", queue), ("why", why)]).inc();
    }
}

impl BreakerWatcher for Metrics {
    fn circuit(&self, name: &'static str, open: bool) {
        let labels = [("circuit", name)];
        self.circuit_open.get_or_create(&labels).set(i64::from(open));
        self.circuit_opened.get_or_create(&labels).inc_by(u64::from(open));
    }
}

impl TurnCounter for Metrics {
    fn ended(&self, turn: &EndedTurn) {
        let profile = ("profile", turn.profile.word());
        self.turns.get_or_create(&[profile, ("outcome", turn.outcome), ("error", turn.error)]).inc();
        let kinds = [
            ("input", turn.usage.input),
            ("cached_input", turn.usage.cached_input),
            ("output", turn.usage.output),
            ("reasoning", turn.usage.reasoning),
        ];
        for (kind, count) in kinds {
            self.tokens.get_or_create(&[("kind", kind)]).inc_by(count);
        }
        if let Some(first_event) = turn.first_event {
            self.first_event.get_or_create(&[profile]).observe(first_event.as_secs_f64());
        }
        self.duration.get_or_create(&[profile]).observe(turn.duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use portcullis_agent::{AccountWindow, Profile, Usage};

    use super::*;

    /// What waits for a place to draw says nothing of what waits for an answer.
    #[test]
    fn queues_are_counted_apart() {
        let metrics = Metrics::default();
        metrics.waiting("turns", 3);
        metrics.waiting("pictures", 0);
        let text = metrics.text();
        let mut lengths: Vec<_> =
            text.lines().filter(|line| line.starts_with("portcullis_queue_length{")).collect();
        lengths.sort_unstable();
        assert_eq!(
            lengths,
            ["portcullis_queue_length{queue=\"pictures\"} 0", "portcullis_queue_length{queue=\"turns\"} 3",]
        );
    }

    /// One of each, so that every metric has a sample.
    fn used() -> Metrics {
        let metrics = Metrics::default();
        metrics.answered("/v1/models", 200);
        metrics.parked.inc();
        metrics.unparked(Unparked::Resumed);
        metrics.weakened("bind");
        metrics.waiting("turns", 1);
        metrics.waited("turns", Duration::from_secs(1));
        metrics.refused("turns", "full");
        metrics.circuit("provider", false);
        metrics.ended(&EndedTurn {
            request: "req".into(),
            span: None,
            ids: None,
            principal: "k:app".into(),
            model: "gpt-5.5".into(),
            profile: Profile::Chat,
            outcome: "completed",
            error: "",
            usage: Usage::default(),
            pictures: 0,
            first_event: Some(Duration::from_secs(1)),
            duration: Duration::from_secs(2),
        });
        metrics.saw_workers(&[WorkerReport {
            name: "codex-1".to_owned(),
            state: "ready",
            age: Some(Duration::from_secs(3)),
            turns: 1,
            resident_bytes: Some(1 << 20),
            ended: BTreeMap::from([("signal", 2)]),
            account: BTreeMap::from([(
                ("codex".to_owned(), "primary"),
                AccountWindow {
                    used_percent: 40,
                    length: Some(Duration::from_hours(5)),
                    resets_at: Some(1_796_000_000),
                },
            )]),
        }]);
        metrics
    }

    /// The page's table is what Prometheus reads: the same names with the same labels, none more and none less.
    #[test]
    fn the_page_lists_what_is_there() {
        let text = used().text();
        let mut read = BTreeMap::<String, BTreeSet<String>>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
            let name =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels =
                labels.split('}').next().unwrap().split("\",").filter_map(|label| label.split('=').next());
            let labels = labels.filter(|label| !label.is_empty() && *label != "le").map(str::to_owned);
            read.entry(name.to_owned()).or_default().extend(labels);
        }
        let mut listed = BTreeMap::<String, BTreeSet<String>>::new();
        for row in Metrics::reference().lines().skip(2) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
            let labels = labels.filter(|label| label != "–").collect();
            listed.insert(cells[1].trim_matches('`').to_owned(), labels);
        }
        assert_eq!(read, listed);
    }

    /// A worker that is gone is not told of any more, but the ends that were counted are.
    #[test]
    fn workers_are_told_as_they_are_now() {
        let metrics = used();
        metrics.saw_workers(&[WorkerReport {
            name: "codex-1".to_owned(),
            state: "backoff",
            age: None,
            turns: 0,
            resident_bytes: None,
            ended: BTreeMap::from([("signal", 3)]),
            account: BTreeMap::new(),
        }]);
        let text = metrics.text();
        let of_workers = text
            .lines()
            .filter(|line| line.starts_with("portcullis_worker") || line.starts_with("portcullis_account"));
        assert_eq!(
            of_workers.collect::<Vec<_>>(),
            [
                "portcullis_workers{state=\"backoff\"} 1",
                "portcullis_worker_turns{worker=\"codex-1\"} 0",
                "portcullis_worker_ends_total{worker=\"codex-1\",why=\"signal\"} 3",
            ]
        );
    }
}
