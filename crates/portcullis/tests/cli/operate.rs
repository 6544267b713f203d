//! What an operator does around a gateway: a first configuration, its state, completions, the manual.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use camino_tempfile::Utf8TempDir;

use portcullis_lab::{Answer, ModelServer};
use serde_json::{Value, json};

use crate::program::{Program, ask, codex};

#[test]
fn init_writes_a_configuration_once() {
    let home = Utf8TempDir::new().unwrap();
    let init =
        |args: &[&str]| Program::new(&["init"]).args_slice(args).env("HOME", home.path().as_str()).output();
    let file = home.path().join(".config/portcullis/portcullis.toml");

    let wrong = init(&["--model", " "]);
    assert_eq!((wrong.code, file.exists()), (78, false), "{wrong:?}");

    let made = init(&["--bind", "127.0.0.1:9000", "--model", "gpt-6", "--provider", "lab"]);
    assert_eq!((made.code, made.stdout.trim()), (0, format!("Wrote `{file}`.").as_str()), "{made:?}");
    assert!(made.stderr.starts_with("Next:\n  portcullis doctor\n  portcullis login\n"), "{made:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let shown = Program::new(&["config", "show"]).env("HOME", home.path().as_str()).output().stdout;
    for expected in ["http.bind = \"127.0.0.1:9000\"", "codex.model = \"gpt-6\"", "provider.kind = \"lab\""] {
        let line = shown.lines().find(|line| line.starts_with(expected)).unwrap_or_else(|| panic!("{shown}"));
        assert!(line.contains(file.as_str()), "{line}");
    }

    let text = std::fs::read_to_string(&file).unwrap();
    let again = init(&[]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.stderr.contains("which is left as it is\n(hint: choose another with --config FILE)"),
        "{again:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let other = home.path().join("o/other.toml");
    let made = init(&["--yes", "--config", other.as_str()]);
    assert!(made.stderr.contains(&format!("portcullis serve --config {other}")), "{made:?}");
    let checked =
        Program::new(&["config", "check", "--config", other.as_str()]).env("HOME", "/nowhere").output();
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn status_tells_whether_a_gateway_is_ready() {
    let dir = Utf8TempDir::new().unwrap();
    let state = dir.path().join("state");
    let status =
        |args: &[&str]| Program::new(&["status", "--state-dir", state.as_str()]).args_slice(args).output();
    let none = status(&[]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(none.stderr.starts_with("error: no gateway runs on the state directory"), "{none:?}");
    assert_eq!(status(&["--json"]).stdout, "{\"running\":false,\"ready\":false}\n");

    let codex = codex();
    let serve = ["serve", "--provider", "lab", "--bind", "0.0.0.0:0", "--codex-bin", codex.as_str()];
    let gateway = Program::new(&serve).args(["--state-dir", state.as_str()]).start();
    gateway.told("Ready for turns");
    let told = status(&[]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.stdout.starts_with(&format!("A gateway (process {}) listens on 0.0.0.0:", gateway.pid())),
        "{told:?}"
    );
    for expected in [
        "  ok       worker         codex-1 is ready\n",
        "  ok       audit          ",
        "  limit    –              the provider has not told any yet\n",
        "  weakened the gateway listens on 0.0.0.0",
    ] {
        assert!(told.stdout.contains(expected), "{told:?}");
    }
    let json = status(&["--json"]);
    assert!(json.stdout.contains("\"ready\":true"), "{json:?}");
    gateway.interrupt();
    assert_eq!(gateway.end().code, 0);
    assert_eq!(status(&[]).code, 1);
}

/// As the provider said on its last answer, by way of Codex and the running gateway; a request without the word of the state
/// directory is not told.
#[tokio::test(flavor = "multi_thread")]
async fn status_tells_how_much_of_the_limits_is_used() {
    let dir = Utf8TempDir::new().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("portcullis.toml"));
    let model = ModelServer::start().await.unwrap();
    let resets_at = jiff::Timestamp::now().as_second() + 3 * 3600 + 600;
    let answer = Answer::text(["ok"])
        .header("x-codex-primary-used-percent", "42")
        .header("x-codex-primary-window-minutes", "300")
        .header("x-codex-primary-reset-at", &resets_at.to_string())
        .header("x-codex-secondary-used-percent", "7")
        .header("x-codex-secondary-window-minutes", "10080");
    model.enqueue(answer);
    let (codex, upstream) = (codex(), model.base_url());
    let text = format!(
        "provider = {{ kind = 'custom', base_url = '{upstream}' }}\nhttp.bind = '127.0.0.1:0'\n\
         codex.bin = '{codex}'\nstate.dir = '{state}'\nimages.backend = 'off'\n"
    );
    std::fs::write(&file, text).unwrap();
    let gateway = Program::new(&["serve", "--config", file.as_str()]).start();
    let base = format!("http://{}", gateway.told("Listening on http://").trim_end_matches("/v1,"));
    gateway.told("Ready for turns");
    let at = ["--state-dir", state.as_str()];
    let key = Program::new(&["key", "create", "--name", "app"]).args(at).output().stdout;
    let mut answer = String::new();
    let body = r#"{"model": "codex", "messages": [{"role": "user", "content": "Hi"}]}"#;
    ask(&base, key.trim(), body).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let status = |args: &[&str]| Program::new(&["status"]).args(at).args_slice(args).output().stdout;
    // Codex tells them beside the answer.
    let told = loop {
        let told = status(&[]);
        if !told.contains("has not told any yet") {
            break told;
        }
    };
    let limits: Vec<_> = told.lines().filter(|line| line.starts_with("  limit")).collect();
    let until = jiff::Timestamp::from_second(resets_at).unwrap().strftime("%Y-%m-%d %H:%M UTC");
    assert_eq!(
        limits,
        [
            format!("  limit    codex          42 % of 5 h used, for 3 h more (until {until})").as_str(),
            "  limit    codex          7 % of 7 d used",
        ],
        "{told}"
    );
    let json: Value = serde_json::from_str(&status(&["--json"])).unwrap();
    assert_eq!(
        json["account"],
        json!([
            {"limit": "codex", "window": "primary", "used_percent": 42, "window_seconds": 18000, "resets_at": resets_at},
            {"limit": "codex", "window": "secondary", "used_percent": 7, "window_seconds": 604_800, "resets_at": null},
        ])
    );
    gateway.interrupt();
    assert_eq!(gateway.end().code, 0);
    model.shutdown().await;
}

/// What `portcullis reload` says is what is so: for the file that was there when it was called, and for every request from
/// then on.
#[test]
fn a_running_gateway_takes_over_what_it_can_and_names_what_it_can_not() {
    let dir = Utf8TempDir::new().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("portcullis.toml"));
    let write = |more: &str| {
        let codex = codex();
        let fixed = "provider.kind = \"lab\"\nhttp.bind = \"127.0.0.1:0\"\n";
        std::fs::write(&file, format!("{fixed}codex.bin = \"{codex}\"\nstate.dir = \"{state}\"\n{more}"))
            .unwrap();
    };
    write("");
    let at = ["--state-dir", state.as_str()];
    let reload = |args: &[&str]| Program::new(&["reload"]).args(at).args_slice(args).output();
    let none = reload(&[]);
    assert!(
        none.code == 1 && none.stderr.starts_with("error: no gateway runs on the state directory"),
        "{none:?}"
    );

    let gateway = Program::new(&["serve", "--config", file.as_str()]).start();
    let base = format!("http://{}", gateway.told("Listening on http://").trim_end_matches("/v1,"));
    gateway.told("Ready for turns");
    let key = Program::new(&["key", "create", "--name", "app"]).args(at).output().stdout;
    let status_of = |model: &str| {
        let body = format!(r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "12*7"}}]}}"#);
        let mut answer = String::new();
        ask(&base, key.trim(), &body).read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status_of("fast"), "404");
    assert!(reload(&[]).stdout.ends_with("Nothing has changed.\n"));

    write("limits.queue = 3\naudit.size = \"2GiB\"\naliases.fast.model = \"gpt-5.5\"\n");
    let told = reload(&[]);
    assert_eq!(
        (told.code, told.stdout.as_str()),
        (
            0,
            format!(
                "The gateway (process {}) has read its configuration again.\n\
                 In force now:\n  limits.queue: 256 -> 3\n  aliases.fast.model: not set -> \"gpt-5.5\"\n\
                 Not in force, needs a restart:\n  audit.size: \"1GiB\" -> \"2GiB\"\n",
                gateway.pid()
            )
            .as_str()
        ),
        "{told:?}"
    );
    assert_eq!(status_of("fast"), "200");
    gateway.told("`audit.size` in the configuration is not in force: it needs a restart");

    // A mistake changes nothing, and is told with its place.
    write("limits.queue = 3\naliases.fast.model = 7\n");
    let refused = reload(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("has changed nothing: the configuration has a problem"), "{refused:?}");
    assert!(
        refused.stderr.contains(&format!("{file}:6:22: `aliases.fast.model` cannot be `7`")),
        "{refused:?}"
    );
    std::fs::remove_file(&file).unwrap();
    let missing = reload(&["--json"]);
    assert!(missing.code == 1 && missing.stdout.contains("there is no such file"), "{missing:?}");
    assert_eq!(status_of("fast"), "200");

    write("");
    assert!(reload(&["--json"]).stdout.contains(r#""key":"limits.queue","from":"3","to":"256""#));
    assert_eq!(status_of("fast"), "404");
    let shown = Program::new(&["audit", "show", "--event", "config_reloaded"]).args(at).output().stdout;
    assert_eq!(shown.lines().count(), 3, "{shown}");
    gateway.interrupt();
    assert_eq!(gateway.end().code, 0);
}

#[test]
fn completions_and_the_manual_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = Program::new(&["completions", shell]).output();
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.stdout.contains("revoke") && told.stdout.contains("audit"), "{shell}: {told:?}");
    }
    let page = Program::new(&["man"]).output();
    assert_eq!(page.code, 0, "{page:?}");
    let headings: Vec<_> = page.stdout.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    for expected in [
        "NAME",
        "SYNOPSIS",
        "\"PORTCULLIS SERVE\"",
        "\"PORTCULLIS KEY CREATE\"",
        "\"PORTCULLIS AUDIT VERIFY\"",
    ] {
        assert!(headings.contains(&expected), "{headings:?}");
    }
    let schema = Program::new(&["config", "schema"]).output();
    assert!(schema.stdout.starts_with("{\n") && schema.stdout.contains("\"deadline\""), "{schema:?}");
}

#[test]
fn doctor_says_what_to_do_and_exits_by_it() {
    let dir = Utf8TempDir::new().unwrap();
    let file = dir.path().join("portcullis.toml");
    let codex = codex();
    let doctor = |text: &str, args: &[&str]| {
        std::fs::write(&file, format!("state.dir = 'state'\nhttp.bind = '127.0.0.1:0'\n{text}")).unwrap();
        Program::new(&["doctor", "--config", file.as_str()]).args_slice(args).output()
    };
    let lab = format!("codex.bin = '{codex}'\nprovider.kind = 'lab'\n");
    let well = doctor(&lab, &[]);
    assert_eq!(well.code, 0, "{well:?}");
    for expected in [
        "ok    configuration  `",
        "ok    codex          Codex 0.169.0 at `",
        "ok    login          the provider needs no",
        "ok    settings       chat: Codex reads back all ",
        "ok    settings       work: Codex reads back all ",
        "ok    cell           chat: ",
        "ok    cell           read: ",
        "ok    cell           work: ",
    ] {
        assert!(well.stdout.contains(expected), "{well:?}");
    }
    assert!(!dir.path().join("state").exists(), "a doctor makes nothing");

    // Nobody is signed in; Codex itself says so.
    std::fs::create_dir_all(dir.path().join("state/codex")).unwrap();
    let ill = doctor(&format!("codex.bin = '{codex}'\naudit.enabled = false\n"), &[]);
    assert_eq!(ill.code, 1, "{ill:?}");
    assert!(ill.stdout.contains("fail  login          nobody is signed in\n"), "{ill:?}");
    assert!(
        ill.stdout.contains("-> `portcullis login`\n")
            && ill.stdout.contains("warn  weakened       no audit log"),
        "{ill:?}"
    );
    assert_eq!(ill.stderr, "error: one check failed\n");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = format!("PORTCULLIS__HTTP__BIND={}", taken.local_addr().unwrap());
    let (name, value) = bind.split_once('=').unwrap();
    std::fs::write(&file, "state.dir = 'state'\ncodex.bin = '/none'\n").unwrap();
    let both = Program::new(&["doctor", "--json", "--config", file.as_str()]).env(name, value).output();
    assert_eq!((both.code, both.stderr.as_str()), (1, "error: 2 checks failed\n"), "{both:?}");
    assert!(both.stdout.starts_with("{\"ok\":false,") && both.stdout.contains("is taken"), "{both:?}");
}

#[test]
fn logout_is_codexs_own() {
    let state = Utf8TempDir::new().unwrap();
    let codex = codex();
    let logout = || {
        let args = ["logout", "--state-dir", state.path().as_str(), "--codex-bin", codex.as_str()];
        Program::new(&args).output()
    };
    let nobody = logout();
    assert_eq!(nobody.code, 0, "{nobody:?}");
    assert!(nobody.stdout.starts_with("Nobody was signed in in `"), "{nobody:?}");

    let login = state.path().join("codex/auth.json");
    std::fs::write(&login, r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test"}"#).unwrap();
    let done = logout();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("Signed out: apiKey. The login in `"), "{done:?}");
    assert!(!login.exists());
    let shown = Program::new(&["audit", "show", "--state-dir", state.path().as_str()]).output().stdout;
    assert!(shown.contains(" operator signed_out") && shown.lines().count() == 1, "{shown}");
}
