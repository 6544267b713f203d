//! `portcullis audit`: reads the audit log, and checks that nobody has changed it.

use anyhow::{Context as _, bail};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::{SignedDuration, Timestamp};
use portcullis_audit::{Line, Whole};

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::gateway::audit_dir;
use crate::print;

/// Read the audit log, or check that it is whole.
///
/// The log has one line for each fact that matters to security: who ran which turn, what the hands did, what was
/// refused, keys, sign-ins, starts with weakened settings. It never has prompts, answers or secrets. Each line holds
/// the hash of the one before.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  portcullis audit show --since 2h
  portcullis audit show --event command_run --json
  portcullis audit verify";

#[derive(clap::Subcommand)]
enum Action {
    /// Print its lines, oldest first.
    Show {
        /// Only what happened since then: a time such as `2026-11-27T10:00:00Z`, or so long ago, such as `2h`.
        #[arg(long, value_name = "WHEN", value_parser = since)]
        since: Option<Timestamp>,
        /// Only facts of this kind, such as `command_run`.
        #[arg(long, value_name = "WORD")]
        event: Option<String>,
        /// As they stand in the log: JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        home: Home,
    },
    /// Check every line's hash and that none is missing; exits with 1 at the first fault.
    ///
    /// It does not find the work of somebody who can write to the whole state directory and makes another chain: for
    /// that, keep the last number and hash, which the gateway also writes into its own log, somewhere else.
    Verify {
        /// Only this file, such as one that was put away. What came before and after it is not known then.
        #[arg(long, value_name = "FILE")]
        file: Option<Utf8PathBuf>,
        #[command(flatten)]
        home: Home,
    },
}

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let dir = |home: Home| -> anyhow::Result<_> {
        Ok(audit_dir(&Layers::of(environment, home).config()?.state.dir))
    };
    match args.action {
        Action::Show { since, event, json, home } => show(&dir(home)?, since, event.as_deref(), json),
        Action::Verify { file, home } => verify(&dir(home)?, file.as_deref()),
    }
}

/// A time, or how long ago.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago: Option<SignedDuration> = text.parse().ok().filter(|ago| *ago >= SignedDuration::ZERO);
    let time = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    time.ok_or_else(|| {
        "expected a time such as `2026-11-27T10:00:00Z`, or how long ago, such as `2h`".to_owned()
    })
}

fn show(dir: &Utf8Path, since: Option<Timestamp>, event: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut left = Ok(());
    portcullis_audit::read(dir, |line, text| {
        let wanted =
            since.is_none_or(|since| line.at >= since) && event.is_none_or(|event| line.event == event);
        if wanted && left.is_ok() {
            left = if json { print::out(text) } else { print::out(&shown(&line)) };
        }
    })?;
    match left {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        left => Ok(left?),
    }
}

/// For people: when, which line, who, what, and everything else as `name=value`.
fn shown(line: &Line) -> String {
    let mut shown = format!("{} {:>6} {} {}", line.at, line.seq, line.who, line.event);
    let ids = [("request", &line.request), ("turn", &line.turn)];
    let ids = ids.into_iter().filter_map(|(name, id)| Some(format!(" {name}={}", id.as_ref()?)));
    let fields = line.fields.iter().filter(|(name, _)| *name != "prev");
    shown.extend(fields.map(|(name, value)| format!(" {name}={value}")).chain(ids));
    shown
}

fn verify(dir: &Utf8Path, file: Option<&Utf8Path>) -> anyhow::Result<()> {
    let result = match file {
        Some(file) => portcullis_audit::verify_file(file)?,
        None if !dir.exists() => bail!("there is no audit log at `{dir}`"),
        None => portcullis_audit::verify(dir).context("the audit log cannot be checked")?,
    };
    match result {
        Ok(whole) => Ok(print::page(&told(&whole))?),
        Err(broken) => bail!("the audit log is broken: {broken}"),
    }
}

fn told(Whole { files, last }: &Whole) -> String {
    let files: Vec<_> =
        files.iter().map(|file| format!("{}: lines {} to {}", file.path, file.first, file.last)).collect();
    match files.last() {
        Some(_) => format!("{}\nThe chain is whole; the hash of its last line is {last}.", files.join("\n")),
        None => "The log is empty.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_how_long_ago() {
        assert_eq!(since("2026-11-27T10:00:00Z").unwrap().to_string(), "2026-11-27T10:00:00Z");
        let ago = since("1h30m").unwrap();
        let seconds = Timestamp::now().as_second() - ago.as_second();
        assert!((5400..5410).contains(&seconds), "{seconds}");
        for wrong in ["", "yesterday", "2", "-1h"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
