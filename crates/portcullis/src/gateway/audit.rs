//! The audit log of a gateway: where it is, and the facts of starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::{ApprovalPolicies, Approvals};
use portcullis_audit::{Audit, Entry, Fact, Journal, Limits, OPERATOR, Text};
use tracing::info;

use super::warnings::Weakened;
use crate::config::{self, Config};

/// How large one file becomes.
const FILE: u64 = 16 * 1024 * 1024;

/// Where the log is in a state directory.
pub(crate) fn dir(state: &Utf8Path) -> Utf8PathBuf {
    state.join("audit")
}

/// How much of it is kept.
fn limits(config: &config::Audit) -> Limits {
    // One file is being written.
    let keep = (config.size.bytes() / FILE).saturating_sub(1);
    Limits { file: FILE.min(config.size.bytes()), keep: usize::try_from(keep).unwrap_or(usize::MAX) }
}

/// Opens the log, if there is to be one.
pub(super) fn start(config: &config::Audit, state: &Utf8Path) -> anyhow::Result<Audit> {
    if !config.enabled {
        return Ok(Audit::off());
    }
    Audit::start(&dir(state), limits(config)).context("the audit log cannot be opened")
}

/// How many questions of agents may wait; each holds up a turn.
const QUESTIONS: usize = 64;

/// The queue of what agents ask, which is written down.
pub(super) fn approvals(config: &config::Approvals, audit: &Audit) -> Approvals {
    let policies = ApprovalPolicies { read: config.read, work: config.work };
    Approvals::new(policies, QUESTIONS, config.wait, Arc::new(audit.clone()))
}

/// Writes down what the operator did with a command of this program; when it returns, the disk has it.
pub(crate) fn record(config: &Config, fact: Fact) -> anyhow::Result<()> {
    if !config.audit.enabled {
        return Ok(());
    }
    let mut journal = Journal::open(&dir(&config.state.dir), limits(&config.audit))?;
    journal.append(&[Entry::new(OPERATOR, fact)])?;
    Ok(journal.sync()?)
}

/// The first fact of a gateway.
pub(super) async fn started(audit: &Audit, codex: &str, address: SocketAddr, weakened: &[Weakened]) {
    let fact = Fact::GatewayStarted {
        version: Text::new(env!("CARGO_PKG_VERSION")),
        codex: Text::new(codex),
        listen: Text::new(&address.to_string()),
        weakened: weakened.iter().map(Weakened::word).collect(),
    };
    // A log that can not be written is told by its writer and by `/readyz`.
    let _ = audit.append(Entry::of_gateway(fact)).await;
}

/// The last one. The end of the chain is also told to the program's own log, which may be kept elsewhere: whoever can
/// write to the whole state directory can make another chain, but not with this end.
pub(super) async fn stop(audit: &Audit) {
    let _ = audit.append(Entry::of_gateway(Fact::GatewayStopped)).await;
    audit.close().await;
    if let Some((seq, hash)) = audit.state().and_then(|state| state.last) {
        info!(audit.seq = seq, audit.hash = %hash, "The audit log ends with line {seq}");
    }
}
