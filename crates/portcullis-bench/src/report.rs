//! Tables of figures, as Markdown for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use serde_json::{Map, Value, json};

/// Everything that one run found.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) tables: Vec<Table>,
    pub(crate) goals: Vec<Goal>,
    pub(crate) quick: bool,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What was done, and how to read it.
    pub(crate) about: String,
    pub(crate) rows: Vec<Row>,
}

/// One row: names of columns and what stands there.
pub(crate) type Row = Vec<(&'static str, Cell)>;

/// What stands in a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    /// With so many digits after the point.
    Number(f64, usize),
}

/// A figure that was promised.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Number(count as f64, 0)
    }
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> Cell {
    Cell::Number(duration.as_secs_f64() * 1e3, 3)
}

/// Bytes in MiB.
pub(crate) fn mib(bytes: u64) -> Cell {
    Cell::Number(bytes as f64 / f64::from(1 << 20), 1)
}

/// The value below which so many of a thousand lie; zero of nothing.
pub(crate) fn percentile(values: &[Duration], per_mille: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = sorted.len().saturating_sub(1) * per_mille / 1000;
    sorted.get(at).copied().unwrap_or_default()
}

impl Report {
    pub(crate) fn goal(&mut self, what: &'static str, wanted: &'static str, measured: String, met: bool) {
        self.goals.push(Goal { what, wanted, measured, met });
    }

    /// As a page.
    pub fn markdown(&self, commit: &str) -> String {
        let mut page = format!("# Benchmarks\n\n<!-- Made by `make bench`. -->\n\n{}\n", self.head(commit));
        if !self.goals.is_empty() {
            page.push_str("## Goals\n\n| what | wanted | measured | |\n|---|---|---|---|\n");
            for Goal { what, wanted, measured, met } in &self.goals {
                let met = if *met { "met" } else { "**missed**" };
                let _memory = writeln!(page, "| {what} | {wanted} | {measured} | {met} |");
            }
        }
        for table in &self.tables {
            table.write(&mut page);
        }
        page
    }

    fn head(&self, commit: &str) -> String {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
        let (processors, name) = processors();
        let kind = if self.quick {
            " A quick run: it shows that everything works, its figures say little."
        } else {
            ""
        };
        format!(
            "{date}, commit {commit}, {processors} × {name}.{kind}\n\nAll parts share the machine: the gateway, what stands behind it, and who asks.\nRatios between rows of one table are what counts. [Why goals are missed](../design/speed.md).\n"
        )
    }

    /// Writes `results.md` and `results.json`.
    pub fn write(&self, dir: &Utf8Path, commit: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("results.md"), self.markdown(commit))
            .context("the page could not be written")?;
        let (processors, processor) = processors();
        let goals: Vec<Value> = self.goals.iter().map(Goal::json).collect();
        let tables: Map<String, Value> =
            self.tables.iter().map(|table| (table.title.to_owned(), table.json())).collect();
        let all = json!({
            "commit": commit, "date": jiff::Timestamp::now().to_string(), "quick": self.quick,
            "machine": {"processors": processors, "processor": processor}, "goals": goals, "tables": tables,
        });
        let text = serde_json::to_string_pretty(&all)? + "\n";
        std::fs::write(dir.join("results.json"), text).context("the figures could not be written")
    }
}

impl Goal {
    fn json(&self) -> Value {
        let Self { what, wanted, measured, met } = self;
        json!({"what": what, "wanted": wanted, "measured": measured, "met": met})
    }
}

impl Table {
    pub(crate) fn write(&self, page: &mut String) {
        let _memory = writeln!(page, "\n## {}\n\n{}\n", self.title, self.about);
        let Some(first) = self.rows.first() else { return };
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        page.push_str(&line(first.iter().map(|(name, _)| (*name).to_owned()).collect()));
        page.push_str(&line(first.iter().map(|(_, cell)| cell.rule().to_owned()).collect()));
        for row in &self.rows {
            page.push_str(&line(row.iter().map(|(_, cell)| cell.to_string()).collect()));
        }
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let cells = row.iter().map(|(name, cell)| ((*name).to_owned(), cell.json()));
            Value::Object(cells.collect())
        };
        self.rows.iter().map(row).collect()
    }
}

impl Cell {
    /// Figures stand on the right.
    fn rule(&self) -> &'static str {
        match self {
            Self::Text(_) => "---",
            Self::Number(..) => "---:",
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(value, _) => json!(value),
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(value, digits) => write!(f, "{value:.digits$}"),
        }
    }
}

fn processors() -> (usize, String) {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (count, name.map_or("unknown", |(_, name)| name).to_owned())
}
