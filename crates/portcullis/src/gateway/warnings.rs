//! What is weaker than it could be. Weakening is possible, and loud: in the log at start, and in `/readyz`.

use std::net::SocketAddr;

use camino::Utf8Path;
use portcullis_access::{Keys, Weakness};
use portcullis_codex::{CodexBinary, PINNED_VERSION};

/// One weakness, for its two readers.
#[derive(Debug)]
pub(super) struct Warning {
    /// For the operator: with paths, and what to do.
    pub(super) log: String,
    /// For everybody who can reach `/readyz`: without paths.
    pub(super) shown: String,
}

/// What is looked at.
pub(super) struct Seen<'a> {
    pub(super) address: SocketAddr,
    pub(super) is_root: bool,
    pub(super) binary: &'a CodexBinary,
    pub(super) keys: &'a Keys,
    /// The provider's key file, if others than its owner can use it.
    pub(super) key_file: Option<&'a Utf8Path>,
}

/// All of them, worst first.
pub(super) fn of(seen: &Seen<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |shown: String, hint: &str| {
        found.push(Warning { log: format!("{shown} (hint: {hint})"), shown });
    };
    if seen.is_root {
        warn(
            "workers run as root, so that whoever breaks out of one owns the machine".to_owned(),
            "run Portcullis as a user of its own",
        );
    }
    if !seen.address.ip().is_loopback() {
        warn(
            format!(
                "the gateway listens on {}, where other machines reach it without TLS",
                seen.address.ip()
            ),
            "bind it to 127.0.0.1 and put a server with TLS in front of it",
        );
    }
    if let Some(path) = seen.key_file {
        warn("others can read the key of the model provider".to_owned(), &format!("chmod 600 '{path}'"));
    }
    if !seen.binary.is_pinned() {
        warn(
            format!("Codex {} is not the version that Portcullis is tested with", seen.binary.version),
            &format!("`npm install -g @openai/codex@{PINNED_VERSION}`"),
        );
    }
    found.extend(seen.keys.weaknesses().iter().map(weakness));
    found
}

fn weakness(found: &Weakness) -> Warning {
    let shown = match found {
        Weakness::FileMode { .. } => "others can use the file of the API keys",
        Weakness::DirectoryMode { .. } => "others can replace the file of the API keys",
        Weakness::OldKeys { .. } => "the file of the API keys cannot be used, and older keys are in force",
    };
    Warning { log: found.to_string().replace('\n', " "), shown: shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use camino_tempfile::Utf8TempDir;

    use super::*;

    fn shown(is_root: bool, address: &str, version: &str, key_file: Option<&str>, mode: u32) -> Vec<String> {
        let dir = Utf8TempDir::new().unwrap();
        let path = dir.path().join("keys.json");
        std::fs::write(&path, r#"{"version":1,"keys":[]}"#).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let seen = Seen {
            address: address.parse().unwrap(),
            is_root,
            binary: &CodexBinary { path: "/codex".into(), version: version.to_owned() },
            keys: &Keys::open(&path).unwrap(),
            key_file: key_file.map(Utf8Path::new),
        };
        let found = of(&seen);
        for warning in &found {
            assert!(warning.log.contains("(hint: "), "{warning:?}");
            assert!(!warning.shown.contains('/'), "a path: {warning:?}");
            assert!(!warning.log.contains('\n'), "{warning:?}");
        }
        found.into_iter().map(|warning| warning.shown).collect()
    }

    #[test]
    fn nothing_to_say_about_a_strong_gateway() {
        assert_eq!(shown(false, "127.0.0.1:1", PINNED_VERSION, None, 0o600), [""; 0]);
        assert_eq!(shown(false, "[::1]:1", PINNED_VERSION, None, 0o600), [""; 0]);
    }

    #[test]
    fn every_weakness_is_named() {
        assert_eq!(
            shown(true, "0.0.0.0:1", "0.1.0", Some("/key"), 0o644),
            [
                "workers run as root, so that whoever breaks out of one owns the machine",
                "the gateway listens on 0.0.0.0, where other machines reach it without TLS",
                "others can read the key of the model provider",
                "Codex 0.1.0 is not the version that Portcullis is tested with",
                "others can use the file of the API keys",
            ]
        );
    }
}
