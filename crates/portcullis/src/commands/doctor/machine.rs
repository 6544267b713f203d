//! The kernel: what it can build around a worker, found out by building it.

use camino::Utf8Path;
use jiff::Timestamp;
use portcullis_codex::CodexBinary;
use portcullis_confine::{Cgroup, Level, Report, Support, User};

use super::check::Check;

/// The running program itself is the launcher of cells.
const LAUNCHER: &str = "/proc/self/exe";

/// No worker runs as root, and so no trial does.
const SOMEBODY: User = User { uid: 58000, gid: 58000 };

/// What this machine allows, and whether its clock can be right.
pub(super) async fn checks(binary: &CodexBinary) -> Vec<Check> {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let bubblewrap = binary.bubblewrap();
    let user = rustix::process::geteuid().is_root().then_some(SOMEBODY);
    let support = portcullis_confine::support(Utf8Path::new(LAUNCHER), bubblewrap.as_deref(), user).await;
    let mut checks = confinement(&kernel, &support);
    if bubblewrap.is_none() {
        let what = "this Codex brings no bubblewrap, so that nothing can make namespaces".to_owned();
        checks.push(Check::warn("bubblewrap", what, "install Codex from npm"));
    }
    checks.push(clock(Timestamp::now()));
    checks
}

fn confinement(kernel: &str, Support { best, refused }: &Support) -> Vec<Check> {
    let reasons: Vec<_> =
        refused.iter().map(|refused| format!("{:?}: {}", refused.level, refused.why)).collect();
    let reasons = reasons.join("; ").replace('\n', " ");
    let Some(Report { level, landlock, cgroup, missing }) = best else {
        let what = format!("Linux {kernel} does not let a worker be confined at all ({reasons})");
        return vec![Check::fail("confinement", what, "docs/SECURITY-MODEL.md says what it takes")];
    };
    let landlock = if *landlock > 0 { format!("Landlock {landlock}") } else { "no Landlock".to_owned() };
    let cgroup = match cgroup {
        Cgroup::None => "no cgroup",
        Cgroup::V1 => "cgroups of version 1",
        Cgroup::V2 => "cgroups of version 2",
    };
    let found = |level: &str| format!("{level}; Linux {kernel}, {landlock}, {cgroup}");
    let mut checks = vec![match level {
        Level::Namespaces => Check::ok("confinement", found("namespaces")),
        Level::Landlock => {
            let what = format!("{} ({reasons})", found("Landlock without namespaces"));
            Check::warn(
                "confinement",
                what,
                "allow unprivileged user namespaces, or run outside of a container",
            )
        }
        Level::Bare => {
            let what = format!("{} ({reasons})", found("neither namespaces nor Landlock, so only `chat`"));
            Check::warn("confinement", what, "a kernel with Landlock (Linux 5.13) or with user namespaces")
        }
    }];
    checks.extend(missing.iter().map(|missing| {
        let text = missing.to_string();
        let (what, hint) = text.split_once(" (hint: ").unwrap_or((&text, ""));
        Check::warn("barrier", what.to_owned(), hint.trim_end_matches(')'))
    }));
    checks
}

/// Certificates and logins are checked by the clock.
fn clock(now: Timestamp) -> Check {
    let program = std::fs::metadata(LAUNCHER).and_then(|found| found.modified()).ok();
    let made = program.and_then(|made| Timestamp::try_from(made).ok());
    match made {
        Some(made) if now < made => {
            let what = format!("it is {now} by the clock, and this program was made at {made}");
            Check::fail("clock", what, "set the clock, or let NTP do it")
        }
        _ => Check::ok("clock", format!("{}", now.strftime("%Y-%m-%d %H:%M UTC"))),
    }
}
