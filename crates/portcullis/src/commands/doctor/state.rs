//! The state directory, the port, and what is weaker than it could be.

use camino::Utf8Path;
use portcullis_access::Keys;
use portcullis_codex::CodexBinary;

use super::check::Check;
use crate::config::Config;
use crate::gateway::{self, Running, Seen, audit_dir};

/// Less free than this, and something will fail soon.
const LITTLE: u64 = 64 << 20;
/// Less free than this is worth a warning.
const SOME: u64 = 1 << 30;

/// The state directory, its disk, its keys and its audit log; the port.
pub(super) async fn checks(config: &Config, running: Option<&Running>) -> Vec<Check> {
    let dir = &config.state.dir;
    let mut checks = vec![match running {
        Some(Running { pid, .. }) => {
            Check::ok("state", format!("`{dir}` is used by a gateway (process {pid})"))
        }
        None if dir.exists() => Check::ok("state", format!("`{dir}`, used by nobody now")),
        None => Check::ok("state", format!("`{dir}`, made by the first start")),
    }];
    checks.push(disk(dir));
    checks.push(match running {
        Some(Running { address: Some(address), .. }) => {
            Check::ok("port", format!("the gateway listens on {address}"))
        }
        Some(_) => Check::ok("port", "the gateway is just starting".to_owned()),
        None => match portcullis_http::bind(config.http.bind).await {
            Ok(_free) => Check::ok("port", format!("{} is free", config.http.bind)),
            Err(error) => {
                Check::failed("port", &gateway::listen_error(config.http.bind, error, " or [http] bind"))
            }
        },
    });
    if dir.exists() {
        checks.push(match Keys::open(dir.join("keys.json")).map(|keys| keys.count()) {
            Ok(0) => {
                Check::warn("keys", "there is no API key".to_owned(), "`portcullis key create --name my-app`")
            }
            Ok(count) => Check::ok("keys", format!("{count}")),
            Err(error) => Check::failed("keys", &error.into()),
        });
    }
    let log = audit_dir(dir);
    if config.audit.enabled && log.exists() {
        checks.push(match portcullis_audit::verify(&log) {
            Ok(Ok(whole)) => match whole.files.last() {
                Some(file) => Check::ok("audit", format!("the chain is whole up to line {}", file.last)),
                None => Check::ok("audit", "the log is empty".to_owned()),
            },
            Ok(Err(broken)) => {
                Check::warn("audit", format!("the log is broken: {broken}"), "find out who did that")
            }
            Err(error) => Check::failed("audit", &error.into()),
        });
    }
    checks
}

/// Where the directory is, or will be.
fn disk(dir: &Utf8Path) -> Check {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Utf8Path::new("/"));
    let free = match rustix::fs::statvfs(there.as_std_path()) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(errno) => return Check::failed("disk", &std::io::Error::from(errno).into()),
    };
    let what = format!("{} MiB are free for `{dir}`", free >> 20);
    match free {
        ..LITTLE => Check::fail("disk", what, "make room"),
        LITTLE..SOME => Check::warn("disk", what, "make room"),
        _ => Check::ok("disk", what),
    }
}

/// What a gateway would warn about when it starts.
pub(super) fn weakened(
    config: &Config,
    running: Option<Running>,
    binary: &CodexBinary,
) -> anyhow::Result<Vec<Check>> {
    let found = gateway::weakened(&Seen {
        config,
        address: running.and_then(|running| running.address).unwrap_or(config.http.bind),
        is_root: rustix::process::geteuid().is_root(),
        confined: None,
        binary,
        keys: &Keys::open(config.state.dir.join("keys.json"))?,
    });
    // Codex and the confinement have lines of their own.
    let found = found.into_iter().filter(|weakened| weakened.word() != "codex_version");
    Ok(found.map(|weakened| Check::warn("weakened", weakened.sentence(), weakened.hint())).collect())
}
