//! The dashboard of the real program, in a real browser. What is looked at is in tests/clients/node/dashboard*.mjs.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;

use crate::program::{Program, Running, codex};
use crate::sign_in_service::SignInService;

/// Where Debian, Ubuntu and others have it.
const BROWSERS: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/snap/bin/chromium"];

/// A gateway on a demo model, with a state directory of its own.
struct Gateway {
    program: Running,
    state: Utf8PathBuf,
}

impl Gateway {
    fn start(state: Utf8PathBuf, codex: &str, with: impl FnOnce(Program) -> Program) -> Self {
        let args = ["serve", "--provider", "lab", "--bind", "127.0.0.1:0", "--codex-bin", codex];
        let program = with(Program::new(&args).args(["--state-dir", state.as_str()])).start();
        Self { program, state }
    }

    /// What a command on this gateway's state directory prints.
    fn printed(&self, args: &[&str]) -> String {
        let ended = Program::new(args).args(["--state-dir", self.state.as_str()]).output();
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout.trim().to_owned()
    }

    /// What its audit log says of Codex's login.
    fn signed_in(&self) -> Vec<String> {
        let shown = self.printed(&["audit", "show"]);
        let lines =
            shown.lines().filter_map(|line| Some(format!("operator {}", line.split_once(" operator ")?.1)));
        lines.filter(|line| line.contains(" sign")).collect()
    }

    fn stop(self) {
        self.program.interrupt();
        assert_eq!(self.program.end().code, 0);
    }
}

fn browse(script: &str, home: &Utf8Path, settings: &[(&str, &str)]) {
    let browser = BROWSERS.into_iter().find(|path| Utf8Path::new(path).exists());
    let browser = browser.expect("there is no Chromium (hint: apt install chromium)");
    let scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/node");
    assert!(scripts.join("node_modules").exists(), "there are no clients (hint: `make clients`)");
    let output = Command::new("node")
        .arg(script)
        .current_dir(&scripts)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("CHROMIUM", browser)
        .envs(settings.iter().copied())
        .output()
        .expect("there is no Node.js");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_browser_shows_every_page_and_axe_finds_nothing() {
    let home = Utf8TempDir::new().unwrap();
    let gateway = Gateway::start(home.path().join("state"), codex().as_str(), |program| program);
    gateway.program.told("worker is ready worker.name=\"codex-images-1\"");
    let key = gateway.printed(&["key", "create", "--name", "browser"]);
    let link = gateway.printed(&["dashboard"]);
    browse("dashboard.mjs", home.path(), &[("DASHBOARD_LINK", &link), ("API_KEY", &key)]);
    gateway.stop();
}

/// What waits for the operator, and what fails.
#[test]
fn a_browser_shows_what_waits_and_what_is_broken() {
    // Not below `/tmp`, which is another one in a cell.
    let home =
        camino_tempfile::Builder::new().prefix("portcullis-dashboard-").tempdir_in("/var/tmp").unwrap();
    let codex = codex();
    let no_pictures = |program: Program| program.env("PORTCULLIS__IMAGES__BACKEND", "off");
    let asking = Gateway::start(home.path().join("asking"), codex.as_str(), |program| {
        no_pictures(program).env("PORTCULLIS__APPROVALS__WORK", "ask")
    });
    // A program that has a version and is no Codex: this one.
    let broken = Gateway::start(home.path().join("broken"), env!("CARGO_BIN_EXE_portcullis"), no_pictures);
    let service = SignInService::start();
    let signing = Gateway::start(home.path().join("signing"), codex.as_str(), |program| {
        SignInService::reached_by(no_pictures(program))
    });
    asking.program.told("Ready for turns");
    for gateway in [&broken, &signing] {
        gateway.program.told("Listening on ");
    }
    // Its state directory is there now, and is nobody else's.
    service.is_known_in(&signing.state.join("codex"));
    let key = asking.printed(&["key", "create", "--name", "worker", "--profile", "work"]);
    let [asking_link, broken_link, signing_link] =
        [&asking, &broken, &signing].map(|gateway| gateway.printed(&["dashboard"]));
    browse(
        "dashboard_states.mjs",
        home.path(),
        &[
            ("ASKING_LINK", &asking_link),
            ("WORK_KEY", &key),
            ("BROKEN_LINK", &broken_link),
            ("SIGNING_LINK", &signing_link),
            ("TYPE_IN", &service.url()),
        ],
    );
    assert_eq!(broken.signed_in(), ["operator sign_in_failed outcome=\"failed\""]);
    assert_eq!(
        signing.signed_in(),
        ["operator sign_in_failed outcome=\"cancelled\"", "operator signed_in account=\"chatgpt (plus)\""]
    );
    for gateway in [asking, broken, signing] {
        gateway.stop();
    }
}
