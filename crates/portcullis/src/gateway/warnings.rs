//! What is weaker than it could be. Weakening is possible, and loud: in the log at start, in `/readyz`, in the metric
//! `portcullis_weakened`, in the audit log, and in `portcullis doctor`.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_access::{Keys, Weakness};
use portcullis_codex::{CodexBinary, PINNED_VERSION};
use portcullis_confine::Missing;

use super::confinement::Confined;
use crate::config::{Config, Provider};

/// One thing that is weaker than it could be. This is the whole list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Weakened {
    /// The gateway's user is root.
    Root,
    /// Workers are not confined as well as they could be elsewhere: at which level, and why not better.
    Confinement {
        /// The level's word.
        level: &'static str,
        /// What was said of the better ones.
        why: String,
    },
    /// A part of what confines workers that this machine does not enforce.
    Barrier(Missing),
    /// Other machines reach the port.
    Address(IpAddr),
    /// Others can change the configuration.
    ConfigFile(Utf8PathBuf),
    /// Others can read or replace the operator's login.
    Login(Utf8PathBuf),
    /// Others can read the key of the model provider.
    ProviderKey(Utf8PathBuf),
    /// The file of the API keys, or its directory.
    Keys(Weakness),
    /// Not the Codex that everything was tested with.
    Codex(String),
    /// Nothing is written down.
    NoAudit,
}

/// What is looked at.
pub(crate) struct Seen<'a> {
    pub(crate) config: &'a Config,
    /// Where the gateway really listens, or will.
    pub(crate) address: SocketAddr,
    pub(crate) is_root: bool,
    /// `None`: that is looked at elsewhere.
    pub(crate) confined: Option<&'a Confined>,
    pub(crate) binary: &'a CodexBinary,
    pub(crate) keys: &'a Keys,
}

/// All of them, worst first.
pub(crate) fn of(seen: &Seen<'_>) -> Vec<Weakened> {
    let mut found = Vec::new();
    if seen.is_root {
        found.push(Weakened::Root);
    }
    if let Some(confined) = seen.confined {
        if confined.level != "namespaces" {
            let why: Vec<_> = confined.refused.iter().map(|refusal| refusal.why.replace('\n', " ")).collect();
            found.push(Weakened::Confinement { level: confined.level, why: why.join("; ") });
        }
        found.extend(confined.missing.iter().copied().map(Weakened::Barrier));
    }
    if !seen.address.ip().is_loopback() {
        found.push(Weakened::Address(seen.address.ip()));
    }
    found.extend(
        seen.config
            .file
            .as_deref()
            .filter(|file| has_mode(file, 0o022))
            .map(|file| Weakened::ConfigFile(file.to_owned())),
    );
    let home = &seen.config.codex.home;
    let login = home.join("auth.json");
    if has_mode(home, 0o022) {
        found.push(Weakened::Login(home.clone()));
    } else if has_mode(&login, 0o077) {
        found.push(Weakened::Login(login));
    }
    if let Provider::Custom(custom) = &seen.config.provider {
        let weak = custom.key_file.iter().filter(|file| has_mode(file, 0o077));
        found.extend(weak.map(|file| Weakened::ProviderKey(file.clone())));
    }
    let weak = seen.config.images.key_file.iter().filter(|file| has_mode(file, 0o077));
    found.extend(weak.map(|file| Weakened::ProviderKey(file.clone())));
    found.extend(seen.keys.weaknesses().into_iter().map(Weakened::Keys));
    if !seen.binary.is_pinned() {
        found.push(Weakened::Codex(seen.binary.version.clone()));
    }
    if !seen.config.audit.enabled {
        found.push(Weakened::NoAudit);
    }
    found
}

fn has_mode(path: &Utf8Path, bits: u32) -> bool {
    path.metadata().is_ok_and(|found| found.mode() & bits != 0)
}

impl Weakened {
    /// A short permanent word, for metrics and the audit log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Confinement { .. } => "confinement",
            Self::Barrier(Missing::CellProcesses) => "cell_processes",
            Self::Barrier(Missing::Processes) => "processes",
            Self::Barrier(Missing::CellMemory) => "cell_memory",
            Self::Barrier(Missing::Ports) => "ports",
            Self::Barrier(Missing::Scopes) => "scopes",
            Self::Address(_) => "address",
            Self::ConfigFile(_) => "config_file",
            Self::Login(_) => "login",
            Self::ProviderKey(_) => "provider_key",
            Self::Keys(Weakness::FileMode { .. }) => "keys_file",
            Self::Keys(Weakness::DirectoryMode { .. }) => "keys_directory",
            Self::Keys(Weakness::OldKeys { .. }) => "old_keys",
            Self::Codex(_) => "codex_version",
            Self::NoAudit => "no_audit",
        }
    }

    /// For everybody who can reach `/readyz`: without paths.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Root => {
                "the gateway runs as root, so that whoever breaks into it owns the machine".to_owned()
            }
            Self::Confinement { level: "off", .. } => "workers are not confined at all".to_owned(),
            Self::Confinement { level, .. } => {
                format!("workers are confined at the level `{level}`, and not by namespaces")
            }
            Self::Barrier(missing) => {
                let text = missing.to_string();
                text.split_once(" (hint: ").map_or(text.as_str(), |(sentence, _)| sentence).to_owned()
            }
            Self::Address(ip) => {
                format!("the gateway listens on {ip}, where other machines reach it without TLS")
            }
            Self::ConfigFile(_) => "others can change the configuration file".to_owned(),
            Self::Login(_) => "others can read or replace the operator's login".to_owned(),
            Self::ProviderKey(_) => "others can read the key of the model provider".to_owned(),
            Self::Keys(Weakness::FileMode { .. }) => "others can use the file of the API keys".to_owned(),
            Self::Keys(Weakness::DirectoryMode { .. }) => {
                "others can replace the file of the API keys".to_owned()
            }
            Self::Keys(Weakness::OldKeys { .. }) => {
                "the file of the API keys cannot be used, and older keys are in force".to_owned()
            }
            Self::Codex(version) => {
                format!("Codex {version} is not the version that Portcullis is tested with")
            }
            Self::NoAudit => "no audit log is kept".to_owned(),
        }
    }

    /// For the operator: what to do.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Root => "run Portcullis as a user of its own".to_owned(),
            Self::Confinement { why, .. } if why.is_empty() => {
                "set [confine] level to `best`; docs/SECURITY-MODEL.md says what this one leaves open"
                    .to_owned()
            }
            Self::Confinement { why, .. } => {
                format!("docs/SECURITY-MODEL.md says what this leaves open; it was tried: {why}")
            }
            Self::Barrier(missing) => {
                let text = missing.to_string();
                let hint = text.split_once(" (hint: ").map(|(_, hint)| hint.trim_end_matches(')').to_owned());
                hint.unwrap_or_else(|| "use a newer kernel".to_owned())
            }
            Self::Address(_) => "bind it to 127.0.0.1 and put a server with TLS in front of it".to_owned(),
            Self::ConfigFile(path) => format!("chmod go-w '{path}'"),
            Self::Login(path) => format!("chmod go-rwx '{path}'"),
            Self::ProviderKey(path) | Self::Keys(Weakness::FileMode { path, .. }) => {
                format!("chmod 600 '{path}'")
            }
            Self::Keys(Weakness::DirectoryMode { path, .. }) => format!("chmod 700 '{path}'"),
            Self::Keys(Weakness::OldKeys { why }) => {
                format!("put the file right: {}", why.replace('\n', " "))
            }
            Self::Codex(_) => format!("`npm install -g @openai/codex@{PINNED_VERSION}`"),
            Self::NoAudit => "set `enabled = true` in `[audit]`".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use camino_tempfile::{Utf8TempDir, tempdir};
    use portcullis_codex::Confinement;

    use super::*;
    use crate::environment::Environment;
    use crate::flags::Layers;

    fn set(path: &Utf8Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A state directory whose files have this mode, and a configuration that is at home there.
    fn gateway(mode: u32, audit: bool) -> (Utf8TempDir, Config) {
        let dir = tempdir().unwrap();
        set(dir.path(), 0o700);
        std::fs::create_dir(dir.path().join("codex")).unwrap();
        set(&dir.path().join("codex"), 0o700);
        for (name, text) in [
            ("keys.json", r#"{"version":1,"keys":[]}"#.to_owned()),
            ("codex/auth.json", String::new()),
            ("key", "k".to_owned()),
            (
                "portcullis.toml",
                format!(
                    "state.dir = '.'\naudit.enabled = {audit}\n[provider]\nkind = 'custom'\nkey_file = 'key'\n\
                     base_url = 'http://127.0.0.1:1'\n"
                ),
            ),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
            set(&dir.path().join(name), mode);
        }
        let environment = Environment::default();
        let config =
            Layers::with_file(&environment, Some(dir.path().join("portcullis.toml"))).config().unwrap();
        (dir, config)
    }

    fn found(config: &Config, is_root: bool, address: &str, version: &str) -> Vec<Weakened> {
        of(&Seen {
            config,
            address: address.parse().unwrap(),
            is_root,
            confined: Some(&Confined {
                confinement: Confinement::Off,
                has_hands: false,
                level: "namespaces",
                missing: Vec::new(),
                refused: Vec::new(),
            }),
            binary: &CodexBinary { path: "/codex".into(), version: version.to_owned() },
            keys: &Keys::open(config.state.dir.join("keys.json")).unwrap(),
        })
    }

    #[test]
    fn nothing_to_say_about_a_strong_gateway() {
        let (_dir, config) = gateway(0o600, true);
        assert_eq!(found(&config, false, "127.0.0.1:1", PINNED_VERSION), []);
        assert_eq!(found(&config, false, "[::1]:1", PINNED_VERSION), []);
    }

    #[test]
    fn every_weakness_is_named() {
        let (dir, config) = gateway(0o666, false);
        let found = found(&config, true, "0.0.0.0:1", "0.1.0");
        let told: Vec<_> = found
            .iter()
            .map(|weakened| {
                let (sentence, hint) = (weakened.sentence(), weakened.hint());
                assert!(!sentence.contains('/'), "a path: {sentence}");
                assert!(!sentence.contains('\n') && !hint.contains('\n'), "{weakened:?}");
                format!("{}: {sentence} ({})", weakened.word(), hint.replace(dir.path().as_str(), "DIR"))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        root: the gateway runs as root, so that whoever breaks into it owns the machine (run Portcullis as a user of its own)
        address: the gateway listens on 0.0.0.0, where other machines reach it without TLS (bind it to 127.0.0.1 and put a server with TLS in front of it)
        config_file: others can change the configuration file (chmod go-w 'DIR/portcullis.toml')
        login: others can read or replace the operator's login (chmod go-rwx 'DIR/codex/auth.json')
        provider_key: others can read the key of the model provider (chmod 600 'DIR/key')
        keys_file: others can use the file of the API keys (chmod 600 'DIR/keys.json')
        codex_version: Codex 0.1.0 is not the version that Portcullis is tested with (`npm install -g @openai/codex@0.169.0`)
        no_audit: no audit log is kept (set `enabled = true` in `[audit]`)
        ");
    }
}
