//! What is counted, under the names of the words. No label takes a value from a client.

use std::time::Duration;

use portcullis_agent::{EndedTurn, QueueWatcher, TurnCounter};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Labels<const N: usize> = [(&'static str, String); N];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels<2>, Counter>,
    turns: Family<Labels<2>, Counter>,
    tokens: Family<Labels<1>, Counter>,
    first_event: Histogram,
    duration: Histogram,
    /// Turns that wait for the outputs of their caller's tools.
    pub(crate) parked: Gauge<i64>,
    unparked: Family<Labels<1>, Counter>,
    queue_length: Gauge<i64>,
    queue_wait: Histogram,
    queue_refused: Family<Labels<1>, Counter>,
    connections_refused: Counter,
    weakened: Family<Labels<1>, Gauge<i64>>,
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
        let mut registry = Registry::with_prefix("portcullis");
        let requests = Family::default();
        registry.register("requests", "Answered requests, by route and status", requests.clone());
        let turns = Family::default();
        registry.register("turns", "Turns, by outcome and kind of error", turns.clone());
        let tokens = Family::default();
        registry.register("tokens", "Tokens as the provider counted them, by kind", tokens.clone());
        let first_event = Histogram::new(FIRST_EVENT_SECONDS);
        let help = "From the start of a turn to its first event";
        registry.register_with_unit("turn_first_event", help, Unit::Seconds, first_event.clone());
        let duration = Histogram::new(DURATION_SECONDS);
        registry.register_with_unit(
            "turn_duration",
            "From the start of a turn to its end",
            Unit::Seconds,
            duration.clone(),
        );
        let parked = Gauge::default();
        registry.register(
            "parked_turns",
            "Turns that wait for the outputs of their caller's tools",
            parked.clone(),
        );
        let unparked = Family::default();
        registry.register("parked_turns_ended", "Parked turns that are no longer, by how", unparked.clone());
        let weakened = Family::default();
        registry.register(
            "weakened",
            "Settings that are weaker than they could be, by what",
            weakened.clone(),
        );
        let queue_length = Gauge::default();
        registry.register("queue_length", "Requests that wait for a place", queue_length.clone());
        let queue_wait = Histogram::new(DURATION_SECONDS);
        let help = "How long requests that had to wait for a place did so";
        registry.register_with_unit("queue_wait", help, Unit::Seconds, queue_wait.clone());
        let queue_refused = Family::default();
        registry.register("queue_refused", "Requests without a place, by why", queue_refused.clone());
        let connections_refused = Counter::default();
        registry.register("connections_refused", "Connections beyond the bound", connections_refused.clone());
        Self {
            registry,
            requests,
            turns,
            tokens,
            first_event,
            duration,
            parked,
            unparked,
            queue_length,
            queue_wait,
            queue_refused,
            connections_refused,
            weakened,
        }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _written = encode(&mut text, &self.registry);
        text
    }

    /// Something is weaker than it could be; a short permanent word.
    pub fn weakened(&self, what: &'static str) {
        self.weakened.get_or_create(&[("what", what.to_owned())]).set(1);
    }

    pub(crate) fn answered(&self, route: &str, status: u16) {
        self.requests.get_or_create(&[("route", route.to_owned()), ("status", status.to_string())]).inc();
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub(crate) fn unparked(&self, how: Unparked) {
        self.parked.dec();
        self.unparked.get_or_create(&[("how", how.word().to_owned())]).inc();
    }
}

impl QueueWatcher for Metrics {
    fn waiting(&self, count: usize) {
        self.queue_length.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn waited(&self, time: Duration) {
        self.queue_wait.observe(time.as_secs_f64());
    }

    fn refused(&self, why: &'static str) {
        self.queue_refused.get_or_create(&[("why", why.to_owned())]).inc();
    }
}

impl TurnCounter for Metrics {
    fn ended(&self, turn: &EndedTurn) {
        self.turns
            .get_or_create(&[("outcome", turn.outcome.to_owned()), ("error", turn.error.to_owned())])
            .inc();
        let kinds = [
            ("input", turn.usage.input),
            ("cached_input", turn.usage.cached_input),
            ("output", turn.usage.output),
            ("reasoning", turn.usage.reasoning),
        ];
        for (kind, count) in kinds {
            self.tokens.get_or_create(&[("kind", kind.to_owned())]).inc_by(count);
        }
        if let Some(first_event) = turn.first_event {
            self.first_event.observe(first_event.as_secs_f64());
        }
        self.duration.observe(turn.duration.as_secs_f64());
    }
}
