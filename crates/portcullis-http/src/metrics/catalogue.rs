//! The registry, and beside it what a page says of every metric in it.

use std::fmt::Write as _;

use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry, Unit};

const PREFIX: &str = "portcullis";

/// Metrics that are registered, and what a page says of them.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) registry: Registry,
    listed: Vec<Listed>,
}

/// What a page says of a metric.
#[derive(Debug)]
struct Listed {
    name: String,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), listed: Vec::new() }
    }

    /// Registers a metric under a name, without the prefix and the unit.
    pub(super) fn add<M: Metric + TypedMetric + Clone>(
        &mut self,
        name: &'static str,
        unit: Option<Unit>,
        labels: &'static [&'static str],
        help: &'static str,
        metric: M,
    ) -> M {
        let mut whole = format!("{PREFIX}_{name}");
        if let Some(unit) = &unit {
            let _memory = write!(whole, "_{}", unit.as_str());
        }
        if matches!(M::TYPE, MetricType::Counter) {
            whole.push_str("_total");
        }
        self.listed.push(Listed { name: whole, kind: M::TYPE, labels, help });
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric.clone()),
            None => self.registry.register(name, help, metric.clone()),
        }
        metric
    }

    /// A table in Markdown, in the order of names.
    pub(super) fn table(&self) -> String {
        let mut table = "| metric | kind | labels | what |\n|---|---|---|---|\n".to_owned();
        let mut listed: Vec<&Listed> = self.listed.iter().collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        for Listed { name, kind, labels, help } in listed {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
            let _memory = writeln!(table, "| `{name}` | {} | {labels} | {help} |", kind.as_str());
        }
        table
    }
}
