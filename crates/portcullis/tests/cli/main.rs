//! The binary from the outside: its words, its exit codes, and a whole demo with the real Codex.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests start the binary, and wait for it, as a shell would"
)]

mod dashboard;
mod demo;
mod handover;
mod operate;
mod program;
mod sign_in;
mod sign_in_service;
mod starved;
mod traces;

use std::net::TcpListener;

use camino_tempfile::Utf8TempDir;
use jiff::Timestamp;
use portcullis_access::{KeyStore, Keys};

use crate::program::{Program, codex};

#[test]
fn a_new_key_is_alone_on_stdout() {
    let state = Utf8TempDir::new().unwrap();
    let key = |args: &[&str]| Program::new(args).args(["--state-dir", state.path().as_str()]).output();

    let made = key(&["key", "create", "--name", "my app"]);
    assert_eq!(made.code, 0, "{made:?}");
    let text = made.stdout.strip_suffix('\n').unwrap();
    assert!(text.starts_with("pcl_") && !text.contains(char::is_whitespace), "{made:?}");
    assert!(made.stderr.contains("`my app`") && !made.stderr.contains(text), "{made:?}");
    let keys = Keys::open(KeyStore::open(state.path()).unwrap().path()).unwrap();
    assert_eq!(keys.authenticate(text, Timestamp::now()).unwrap().name, "my app");

    let again = key(&["key", "create", "--name", "my app"]);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(again.stderr.starts_with("error: there is already a key named `my app`"), "{again:?}");

    let listed = key(&["key", "list"]);
    assert!(listed.stdout.contains("  my app  "), "{listed:?}");
    assert!(!listed.stdout.contains(text), "{listed:?}");

    let revoked = key(&["key", "revoke", "my app"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert!(keys.authenticate(text, Timestamp::now()).is_err());
    assert_eq!(key(&["key", "revoke", "my app"]).code, 1);

    let audit = key(&["audit", "show"]).stdout;
    let events: Vec<_> = audit.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(events, ["key_created", "key_revoked"], "{audit}");
    assert!(audit.contains("operator key_created key=") && !audit.contains(text), "{audit}");
    assert_eq!(key(&["audit", "verify"]).code, 0);

    // A key of which the log knows nothing is not made.
    let log = state.path().join("audit/audit.jsonl");
    std::fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let unrecorded = key(&["key", "create", "--name", "other"]);
    assert_eq!((unrecorded.code, unrecorded.stdout.as_str()), (1, ""), "{unrecorded:?}");
    assert!(unrecorded.stderr.starts_with("error: no key was made"), "{unrecorded:?}");
    assert_eq!(KeyStore::open(state.path()).unwrap().list().unwrap().len(), 0);
}

#[test]
fn a_key_is_narrowed_listed_and_rotated() {
    let state = Utf8TempDir::new().unwrap();
    let key = |args: &[&str]| Program::new(args).args(["--state-dir", state.path().as_str()]).output();
    let narrow =
        ["--profile", "read", "--model", "codex", "--scope", "inference", "--turns", "2", "--expires", "30d"];
    let made = key(&[&["key", "create", "--name", "ci"][..], &narrow].concat());
    assert_eq!(made.code, 0, "{made:?}");
    let listed = key(&["key", "list"]).stdout;
    assert!(
        listed.contains("  up to read, models codex, scopes inference, 2 turns at once, expires 20"),
        "{listed}"
    );

    let rotated = key(&["key", "rotate", "ci", "--grace", "1h"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let keys = Keys::open(KeyStore::open(state.path()).unwrap().path()).unwrap();
    for text in [&made.stdout, &rotated.stdout] {
        let principal = keys.authenticate(text.trim_end(), Timestamp::now()).unwrap();
        assert_eq!((principal.name.as_str(), principal.grant.profile.word()), ("ci", "read"));
    }
    assert_eq!(key(&["key", "list"]).stdout, listed);

    for (wrong, told) in [
        (["--profile", "root"], "a profile is one of `chat`, `read`, `work`"),
        (["--scope", "all"], "a scope is one of `inference`, `images`, `metrics`, `operator`"),
        (["--turns", "0"], "number would be zero"),
        (["--expires", "tomorrow"], "expected a time from now such as `12h`"),
    ] {
        let refused = key(&[&["key", "create", "--name", "x"][..], &wrong].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{wrong:?}: {refused:?}");
        assert!(refused.stderr.contains(told), "{wrong:?}: {refused:?}");
    }
    let past = key(&["key", "create", "--name", "x", "--expires", "2020-01-01"]);
    assert!(past.code == 1 && past.stderr.contains("would have expired already"), "{past:?}");
}

#[test]
fn every_mistake_in_the_configuration_is_told_with_its_line() {
    let dir = Utf8TempDir::new().unwrap();
    let file = dir.path().join("portcullis.toml");
    std::fs::write(&file, "[http]\nbind = \"localhost\"\n[turn]\ndedline = \"5m\"\n").unwrap();
    for args in [&["serve"][..], &["config", "check"], &["config", "show"], &["key", "list"], &["login"]] {
        let told = Program::new(args).args(["--config", file.as_str()]).env("HOME", "/nowhere").output();
        assert_eq!(told.code, 78, "{args:?}: {told:?}");
        assert_eq!(told.stdout, "");
        assert!(told.stderr.starts_with("error: the configuration has 2 problems\n"), "{told:?}");
        assert!(told.stderr.contains(&format!("{file}:2:8: `http.bind` cannot be")), "{told:?}");
        assert!(told.stderr.contains(&format!("{file}:4:1: `turn.dedline` is not known")), "{told:?}");
    }
    let missing = Program::new(&["config", "check", "--config", "/none.toml"]).output();
    assert_eq!((missing.code, missing.stderr.contains("/none.toml: there is no such file")), (78, true));
}

#[test]
fn the_default_file_is_found_and_flags_are_stronger() {
    let home = Utf8TempDir::new().unwrap();
    let show = |variable: &str, value: &str| {
        Program::new(&["config", "show"]).env("HOME", "/nowhere").env(variable, value).output().stdout
    };
    let dir = home.path().join(".config/portcullis");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("portcullis.toml"), "codex.model = 'from-file'\n").unwrap();
    assert!(show("HOME", home.path().as_str()).contains("codex.model = \"from-file\""));
    assert!(show("XDG_CONFIG_HOME", home.path().join(".config").as_str()).contains("\"from-file\""));
    assert!(show("XDG_CONFIG_HOME", ".config").starts_with("# file: none\n"));
    assert!(show("PORTCULLIS__CODEX__MODEL", "m").contains("environment variable PORTCULLIS__CODEX__MODEL"));
}

#[test]
fn usage_is_told_by_help_and_by_exit_codes() {
    for args in [
        &[][..],
        &["serve"],
        &["demo"],
        &["lab"],
        &["key"],
        &["login"],
        &["config"],
        &["audit"],
        &["init"],
        &["status"],
        &["completions"],
        &["man"],
    ] {
        let help = Program::new(args).args(["--help"]).output();
        assert_eq!(help.code, 0, "{help:?}");
        let examples = if args.is_empty() { "First steps:" } else { "Examples:" };
        assert!(help.stdout.contains(examples), "{help:?}");
    }
    assert_eq!(Program::new(&["--version"]).output().stdout, "portcullis 0.1.0\n");
    for wrong in
        [&[][..], &["open"], &["serve", "--bind", "localhost"], &["serve", "--provider", "x"], &["key"]]
    {
        let told = Program::new(wrong).output();
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{wrong:?}: {told:?}");
    }
    let page = Program::new(&["config", "reference"]).output();
    assert!(page.stdout.starts_with("# Configuration\n"), "{page:?}");
}

#[test]
fn a_taken_port_says_what_to_do() {
    let state = Utf8TempDir::new().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let codex = codex();
    let told = Program::new(&["serve", "--provider", "lab", "--bind", &address])
        .args(["--state-dir", state.path().as_str(), "--codex-bin", codex.as_str()])
        .output();
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
    let expected = format!(
        "error: the port {} on 127.0.0.1 is taken; stop the other program or choose another with \
         --bind 127.0.0.1:PORT or [http] bind\n",
        other.local_addr().unwrap().port()
    );
    assert!(told.stderr.ends_with(&expected), "{told:?}");
}

#[test]
fn a_missing_codex_says_what_to_do() {
    let state = Utf8TempDir::new().unwrap();
    let serve = ["serve", "--bind", "127.0.0.1:0", "--state-dir", state.path().as_str()];
    let told = Program::new(&serve).env("PATH", "/nowhere").output();
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("error: there is no `codex` on the PATH\n(hint: `npm install"), "{told:?}");
    let told = Program::new(&serve).args(["--codex-bin", "/nowhere/codex"]).output();
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("there is no Codex at `/nowhere/codex`"), "{told:?}");
}

#[test]
fn a_provider_without_its_key_is_a_configuration_error() {
    let dir = Utf8TempDir::new().unwrap();
    let file = dir.path().join("portcullis.toml");
    let text = "state.dir = 'state'\nhttp.bind = '127.0.0.1:0'\n[provider]\nkind = 'custom'\n\
                base_url = 'http://127.0.0.1:1/v1'\nkey_file = 'none'\n";
    std::fs::write(&file, text).unwrap();
    let codex = codex();
    let told = Program::new(&["serve", "--config", file.as_str(), "--codex-bin", codex.as_str()]).output();
    assert_eq!(told.code, 78, "{told:?}");
    assert!(told.stderr.contains("error: `provider.key_file` cannot be read: `"), "{told:?}");
}

#[test]
fn the_lab_prints_where_it_is_until_it_is_stopped() {
    let mut lab = Program::new(&["lab"]).start();
    let base_url = lab.line();
    let address = base_url.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
    std::net::TcpStream::connect(address).unwrap();
    lab.interrupt();
    assert_eq!(lab.end().code, 0);
}
