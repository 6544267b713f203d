//! `portcullis usage`: what the keys have used, from the database.

use jiff::civil::Date;
use portcullis_http::{usage_as_csv, usage_as_json};
use portcullis_store::{Grouping, Ledger as _, LedgerQuestion};

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::{gateway, print};

/// Print what was used, per day, key and model.
///
/// Reads the database, so that a gateway need not run; one that does writes down what it counts every second. What it
/// counts is what the model's provider reported, and nothing is estimated: `GET /v1/usage` in docs/API.md.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// From this day on, in UTC.
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// Up to this day, in UTC, it included.
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// Of the key with this id only.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Of this model only.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What stays apart: `day`, `key`, `model`, with commas between them.
    #[arg(long, value_name = "WORDS", default_value = "day,key,model")]
    group_by: Grouping,
    /// As JSON instead of CSV.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    home: Home,
}

const EXAMPLES: &str = "\
Examples:
  portcullis usage
  portcullis usage --from 2026-11-01 --to 2026-11-30 --group-by key > november.csv
  portcullis usage --json --group-by day,model";

pub(super) async fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let config = Layers::of(environment, args.home).config()?;
    let by = args.group_by;
    let question = LedgerQuestion { from: args.from, to: args.to, key: args.key, model: args.model, by };
    let store = gateway::open_store(&config, &config.state.dir).await?;
    let sums = store.sums(&question).await;
    store.close().await;
    let sums = sums?;
    let text = if args.json {
        usage_as_json(&sums, by).to_string()
    } else {
        String::from_utf8(usage_as_csv(&sums, by)?)?
    };
    Ok(print::page(&text)?)
}
