//! Signing Codex in, from the command line.

use camino_tempfile::Utf8TempDir;
use serde_json::{Value, json};

use crate::program::{Program, codex};
use crate::sign_in_service::{CODE, RESETS_AT, SignInService};

#[test]
fn codex_is_signed_in_with_a_code_and_who_gives_up_is_written_down() {
    let state = Utf8TempDir::new().unwrap();
    let home = state.path().join("codex");
    let service = SignInService::start();
    service.is_known_in(&home);
    let codex = codex();
    let at = ["--state-dir", state.path().as_str()];
    let begin = || {
        let login = Program::new(&["login", "--codex-bin", codex.as_str()]).args(at);
        let mut login = SignInService::reached_by(login).start();
        let shown: Vec<_> = (0..7).map(|_| login.line()).collect();
        assert_eq!((shown[2].as_str(), shown[6].trim()), ("  https://auth.openai.com/codex/device", CODE));
        login
    };
    let left = begin();
    left.interrupt();
    let left = left.end();
    assert_eq!(left.code, 1, "{left:?}");
    assert!(left.stderr.ends_with("error: SIGINT came before anybody was signed in\n"), "{left:?}");
    assert!(!home.join("auth.json").exists());

    let done = begin();
    service.type_in();
    let done = done.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stdout.ends_with(&format!("Signed in: chatgpt (plus). The login is in `{home}`.\n")),
        "{done:?}"
    );
    assert!(home.join("auth.json").exists());
    let status = |args: &[&str]| {
        let status = Program::new(&["status", "--login", "--codex-bin", codex.as_str()]).args(at);
        SignInService::reached_by(status).args_slice(args).output()
    };
    let told = status(&[]);
    let told: Vec<_> = told.stdout.lines().map(|line| line.split(", for ").next().unwrap()).collect();
    assert_eq!(
        told,
        [
            "Signed in with chatgpt (plus).",
            "  limit    codex          42 % of 5 h used",
            "  limit    codex          7 % of 7 d used"
        ]
    );
    let json: Value = serde_json::from_str(&status(&["--json"]).stdout).unwrap();
    let window = |name: &str, used: i32, seconds: i32| json!({"limit": "codex", "window": name, "used_percent": used, "window_seconds": seconds, "resets_at": RESETS_AT});
    assert_eq!(
        json,
        json!({"login": "chatgpt (plus)", "account": [window("primary", 42, 18_000), window("secondary", 7, 604_800)]})
    );
    // A key has no limits that Codex knows of, and nobody has none at all.
    std::fs::write(home.join("auth.json"), r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test"}"#).unwrap();
    let key = status(&[]);
    assert!(
        key.stdout.starts_with("Signed in with apiKey.\n  limit    –              not told: "),
        "{key:?}"
    );
    std::fs::remove_file(home.join("auth.json")).unwrap();
    let nobody = status(&["--json"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, "{\"login\":null,\"account\":null}\n"));
    assert!(nobody.stderr.starts_with("error: nobody is signed in in `"), "{nobody:?}");
    assert_eq!(
        written(at),
        [
            "     1 operator sign_in_failed outcome=\"cancelled\"",
            "     2 operator signed_in account=\"chatgpt (plus)\""
        ]
    );
}

/// What was tried and did not happen is written down as well.
#[test]
fn a_login_that_fails_is_in_the_audit_log() {
    let state = Utf8TempDir::new().unwrap();
    // A program that has a version and is no Codex: this one.
    let no_codex = env!("CARGO_BIN_EXE_portcullis");
    let at = ["--state-dir", state.path().as_str()];
    let failed = Program::new(&["login", "--codex-bin", no_codex]).args(at).output();
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""), "{failed:?}");
    assert!(failed.stderr.starts_with("error: Codex could not begin the sign-in: "), "{failed:?}");
    assert_eq!(written(at), ["     1 operator sign_in_failed outcome=\"failed\""]);
}

/// The lines of the audit log, without their times.
fn written(at: [&str; 2]) -> Vec<String> {
    let shown = Program::new(&["audit", "show"]).args(at).output().stdout;
    shown.lines().map(|line| line.split_once(' ').expect("a time and the rest").1.to_owned()).collect()
}
