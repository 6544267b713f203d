//! Workers as they would be started: what Codex makes of their configuration, and what their cells let through.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_agent::Profile;
use portcullis_codex::{
    Barriers, Cells, CodexBinary, Confinement, Effective, Fault, ReadBack, Tried, try_barriers,
};
use portcullis_confine::Level;

use super::check::Check;
use crate::config::Config;
use crate::gateway;

/// Starts what a gateway would start, in a directory that is gone afterwards.
pub(super) async fn checks(binary: &CodexBinary, config: &Config) -> Vec<Check> {
    match all(binary, config).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::failed("workers", &error)],
    }
}

async fn all(binary: &CodexBinary, config: &Config) -> anyhow::Result<Vec<Check>> {
    let dir = Utf8TempDir::new().context("there is no place to try workers in")?;
    let through = std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711));
    through.context("there is no place to try workers in")?;
    let mut as_started = config.clone();
    if !config.codex.home.exists() {
        // A start would make both.
        as_started.state.dir = dir.path().to_owned();
        as_started.codex.home = dir.path().join("codex");
    }
    let confined = gateway::decide_confinement(&as_started, binary).await?;
    let upstream = gateway::upstream(&config.provider).await?;
    let profiles = if confined.has_hands { &Profile::ALL[..] } else { &Profile::ALL[..1] };

    let read_back = ReadBack {
        binary: binary.clone(),
        confinement: confined.confinement.clone(),
        provider: upstream.provider,
        model: config.codex.model.clone(),
        dir: dir.path().to_owned(),
    };
    let mut checks = Vec::new();
    // `read` and `work` share a configuration.
    for profile in profiles.iter().filter(|profile| **profile != Profile::Read) {
        checks.push(match read_back.settings(*profile).await {
            Ok(effective) => settings(*profile, &effective),
            Err(error) => Check::failed("settings", &error.into()),
        });
    }
    if let Confinement::Cells(cells) = &confined.confinement
        && cells.level >= Level::Landlock
    {
        checks.extend(barriers(cells, binary, config, dir.path(), profiles).await?);
    }
    Ok(checks)
}

fn settings(profile: Profile, effective: &Effective) -> Check {
    let Effective { written, otherwise, has_policy, wants_policy } = effective;
    let hint = "run the Codex that Portcullis is tested with";
    if !otherwise.is_empty() {
        let what = format!("{profile}: Codex takes the configuration otherwise: {}", otherwise.join("; "));
        return Check::fail("settings", what, hint);
    }
    match (has_policy, wants_policy) {
        (true, _) => {
            let what = format!(
                "{profile}: Codex reads back all {written} settings as written, and the policy above them"
            );
            Check::ok("settings", what)
        }
        (false, false) => {
            let what = format!(
                "{profile}: Codex reads back all {written} settings as written; the policy above them needs namespaces"
            );
            Check::ok("settings", what)
        }
        (false, true) => Check::fail(
            "settings",
            format!("{profile}: Codex does not find the policy above its settings"),
            hint,
        ),
    }
}

async fn barriers(
    cells: &Cells,
    binary: &CodexBinary,
    config: &Config,
    dir: &Utf8Path,
    profiles: &[Profile],
) -> anyhow::Result<Vec<Check>> {
    let prober = std::env::current_exe().context("this program does not know where it is")?;
    let prober = Utf8PathBuf::try_from(prober).context("this program's path is no text")?;
    let state = &config.state.dir;
    let secrets = [
        ("the state directory", state.clone()),
        ("the keys", state.join("keys.json")),
        ("the audit log", gateway::audit_dir(state)),
        ("the operator's login", config.codex.home.join("auth.json")),
    ];
    let barriers = Barriers { cells, binary, prober: &prober, dir, secrets: &secrets };
    let mut checks = Vec::new();
    for profile in profiles {
        checks.push(match try_barriers(&barriers, *profile).await {
            Ok(tried) => cell(*profile, &tried),
            Err(error) => Check::failed("cell", &anyhow::Error::from(error).context(format!("{profile}"))),
        });
    }
    Ok(checks)
}

fn cell(profile: Profile, Tried { trials, faults, is_whole }: &Tried) -> Check {
    if faults.is_empty() {
        return Check::ok("cell", format!("{profile}: {trials} attempts ended as they must"));
    }
    let fault = |Fault { name, succeeded, detail }: &Fault| match succeeded {
        true => format!("could {name}"),
        false => format!("could not {name} ({detail})"),
    };
    let faults: Vec<_> = faults.iter().map(fault).collect();
    let what = format!(
        "{profile}: of {trials} attempts, {} ended otherwise than they must: it {}",
        faults.len(),
        faults.join(", it ")
    );
    let hint = "docs/SECURITY-MODEL.md says what each barrier takes; do not give out this profile until then";
    if *is_whole { Check::fail("cell", what, hint) } else { Check::warn("cell", what, hint) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::table;

    #[test]
    fn what_ends_otherwise_is_named() {
        let fault =
            |name: &str, succeeded| Fault { name: name.to_owned(), succeeded, detail: "so".to_owned() };
        let faults = vec![fault("read the login", true), fault("write to /tmp", false)];
        let effective = |otherwise: &[&str], has_policy| Effective {
            written: 47,
            otherwise: otherwise.iter().map(|&text| text.to_owned()).collect(),
            has_policy,
            wants_policy: true,
        };
        let checks = [
            cell(Profile::Chat, &Tried { trials: 70, faults: Vec::new(), is_whole: true }),
            cell(Profile::Read, &Tried { trials: 70, faults: faults.clone(), is_whole: true }),
            cell(Profile::Work, &Tried { trials: 70, faults, is_whole: false }),
            settings(Profile::Chat, &effective(&[], true)),
            settings(Profile::Work, &effective(&["a is 1 and not 2"], true)),
            settings(Profile::Work, &effective(&[], false)),
        ];
        insta::assert_snapshot!(table(&checks));
    }
}
