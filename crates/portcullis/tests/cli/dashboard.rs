//! The dashboard of the real program, in a real browser. What is looked at is in tests/clients/node/dashboard.mjs.

use std::process::Command;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;

use crate::program::{Program, codex};

/// Where Debian, Ubuntu and others have it.
const BROWSERS: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/snap/bin/chromium"];

#[test]
fn a_browser_shows_every_page_and_axe_finds_nothing() {
    let browser = BROWSERS.into_iter().find(|path| Utf8Path::new(path).exists());
    let browser = browser.expect("there is no Chromium (hint: apt install chromium)");
    let scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/node");
    assert!(scripts.join("node_modules").exists(), "there are no clients (hint: `make clients`)");
    let home = Utf8TempDir::new().unwrap();
    let state = home.path().join("state");
    let codex = codex();
    let gateway = Program::new(&["serve", "--provider", "lab", "--bind", "127.0.0.1:0"])
        .args(["--codex-bin", codex.as_str(), "--state-dir", state.as_str()])
        .start();
    gateway.told("worker is ready worker.name=\"codex-images-1\"");
    let printed = |args: &[&str]| {
        let ended = Program::new(args).args(["--state-dir", state.as_str()]).output();
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout.trim().to_owned()
    };
    let key = printed(&["key", "create", "--name", "browser"]);
    let link = printed(&["dashboard"]);
    let output = Command::new("node")
        .arg("dashboard.mjs")
        .current_dir(&scripts)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .envs([("DASHBOARD_LINK", link.as_str()), ("API_KEY", key.as_str()), ("CHROMIUM", browser)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    gateway.interrupt();
    assert_eq!(gateway.end().code, 0);
}
