//! Whole inputs against whole outputs.

mod mistakes;

use camino_tempfile::Utf8TempDir;
use insta::assert_snapshot;

use super::{ConfigErrors, Loaded, Origin, Provider, Sources, load, reference_markdown};

/// A file (none when empty), an environment and flags; `HOME` is `/home/op`. Loads them in a directory of their own,
/// which is called `DIR` in the answer.
fn try_load(
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> (Utf8TempDir, Result<Loaded, ConfigErrors>) {
    let dir = Utf8TempDir::new().expect("a temporary directory");
    let path = dir.path().join("portcullis.toml");
    if !file.is_empty() {
        std::fs::write(&path, file).expect("a file");
    }
    let own = |text: &str| text.to_owned();
    let home = ("HOME", "/home/op");
    let sources = Sources {
        file: Some(path),
        explicit_file: false,
        env: env.iter().chain([&home]).map(|(name, value)| (own(name), own(value))).collect(),
        flags: flags.iter().map(|(key, value, flag)| (own(key), own(value), own(flag))).collect(),
    };
    (dir, load(sources))
}

fn good(file: &str, env: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Loaded {
    match try_load(file, env, flags) {
        (_, Ok(loaded)) => loaded,
        (_, Err(errors)) => panic!("{errors}"),
    }
}

fn shown(file: &str, env: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
    let (dir, loaded) = try_load(file, env, flags);
    loaded.expect("a good configuration").show().replace(dir.path().as_str(), "DIR")
}

fn errors(file: &str, env: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
    let (dir, loaded) = try_load(file, env, flags);
    loaded.expect_err("a bad configuration").to_string().replace(dir.path().as_str(), "DIR")
}

#[test]
fn defaults() {
    assert_snapshot!(shown("", &[], &[]), @r#"
    # file: none
    http.bind = "127.0.0.1:8320"                           # default
    http.hosts = ""                                        # default
    http.origins = ""                                      # default
    http.connections = 1024                                # default
    http.drain = "10s"                                     # default
    state.dir = "/home/op/.local/state/portcullis"         # default
    # codex.bin is not set
    codex.home = "/home/op/.local/state/portcullis/codex"  # default
    codex.model = "gpt-5.5"                                # default
    codex.runner = "app-server"                            # default
    workspaces.dir = "/home/op/.local/state/portcullis/workspaces"  # default
    provider.kind = "openai"                               # default
    turn.deadline = "10m"                                  # default
    turn.first_event = "15s"                               # default
    turn.parked = "5m"                                     # default
    turn.steps = 200                                       # default
    turn.tokens = 1000000                                  # default
    workers.count = 1                                      # default
    workers.spares = 0                                     # default
    workers.max_turns = 2000                               # default
    workers.max_age = "1d"                                 # default
    workers.memory = "1GiB"                                # default
    confine.level = "best"                                 # default
    confine.first_uid = 58000                              # default
    hands.processes = 256                                  # default
    hands.memory = "1GiB"                                  # default
    hands.file = "256MiB"                                  # default
    hands.tmp = "256MiB"                                   # default
    hands.paths = ""                                       # default
    hands.spares = 4                                       # default
    hands.idle = "10m"                                     # default
    workspaces.size = "1GiB"                               # default
    workspaces.files = 100000                              # default
    workspaces.free = "1GiB"                               # default
    workspaces.keep = "30d"                                # default
    limits.body = "20MiB"                                  # default
    limits.messages = 2048                                 # default
    limits.text = "4MiB"                                   # default
    limits.turns = 64                                      # default
    # limits.chat_turns is not set
    # limits.read_turns is not set
    # limits.work_turns is not set
    limits.queue = 256                                     # default
    limits.queue_wait = "30s"                              # default
    breaker.failures = 5                                   # default
    breaker.wait = "10s"                                   # default
    # store.url is not set
    store.keep = "30d"                                     # default
    store.size = "1GiB"                                    # default
    openai.sampling = "ignore"                             # default
    openai.image_hosts = ""                                # default
    images.backend = "codex"                               # default
    # images.key_file is not set
    images.base_url = "https://api.openai.com/v1"          # default
    # images.bind is not set
    # images.public_url is not set
    images.concurrent = 8                                  # default
    images.most = 10                                       # default
    images.deadline = "10m"                                # default
    images.body = "96MiB"                                  # default
    images.size_policy = "report"                          # default
    images.keep = "1h"                                     # default
    images.keep_size = "1GiB"                              # default
    images.keep_per_key = "256MiB"                         # default
    approvals.read = "decline"                             # default
    approvals.work = "decline"                             # default
    approvals.wait = "5m"                                  # default
    audit.enabled = true                                   # default
    audit.size = "1GiB"                                    # default
    dashboard.enabled = true                               # default
    log.format = "text"                                    # default
    log.level = "info"                                     # default
    # traces.otlp is not set
    traces.one_in = 1                                      # default
    aliases.codex.model = "gpt-5.5"                        # default
    # aliases.codex.effort is not set
    # aliases.codex.profile is not set
    aliases.codex-high.model = "gpt-5.5"                   # default
    aliases.codex-high.effort = "high"                     # default
    # aliases.codex-high.profile is not set
    "#);
}

#[test]
fn stronger_layers_win_and_are_named() {
    let file = r#"
[http]
bind = "127.0.0.1:1"
[codex]
model = "from-file"
bin = "/opt/codex"
home = "/abs/../home"
[turn]
deadline = "90s"
first_event = "1h30m"
[limits]
body = 4096
text = "1GB"
[log]
level = "warn"
[aliases]
codex = { model = "mine" }
"gpt-4.1" = { model = "gpt-5.5", effort = "low" }
"#;
    let env = [
        ("PORTCULLIS__HTTP__BIND", "127.0.0.1:2"),
        ("PORTCULLIS__CODEX__MODEL", "5"),
        ("PORTCULLIS__LOG__LEVEL", "\"info,portcullis_http=debug\""),
        ("PORTCULLIS__LIMITS__TURNS", "8"),
        ("PORTCULLIS__ALIASES__GPT-4.1__EFFORT", "medium"),
        ("PORTCULLIS__ALIASES__FAST", "{ model = 'm', effort = 'minimal' }"),
        ("OPENAI_API_KEY", "sk-never-read"),
        ("XDG_STATE_HOME", "relative/is/ignored"),
    ];
    let flags = [("http.bind", "[::1]:3", "--bind"), ("log.format", "json", "--log-format")];
    assert_snapshot!(shown(file, &env, &flags), @r#"
    # file: DIR/portcullis.toml
    http.bind = "[::1]:3"                           # flag --bind (default "127.0.0.1:8320")
    http.hosts = ""                                 # default
    http.origins = ""                               # default
    http.connections = 1024                         # default
    http.drain = "10s"                              # default
    state.dir = "/home/op/.local/state/portcullis"  # default
    codex.bin = "/opt/codex"                        # DIR/portcullis.toml:6
    codex.home = "/abs/../home"                     # DIR/portcullis.toml:7
    codex.model = "5"                               # environment variable PORTCULLIS__CODEX__MODEL (default "gpt-5.5")
    codex.runner = "app-server"                     # default
    workspaces.dir = "/home/op/.local/state/portcullis/workspaces"  # default
    provider.kind = "openai"                        # default
    turn.deadline = "1m30s"                         # DIR/portcullis.toml:9 (default "10m")
    turn.first_event = "1h30m"                      # DIR/portcullis.toml:10 (default "15s")
    turn.parked = "5m"                              # default
    turn.steps = 200                                # default
    turn.tokens = 1000000                           # default
    workers.count = 1                               # default
    workers.spares = 0                              # default
    workers.max_turns = 2000                        # default
    workers.max_age = "1d"                          # default
    workers.memory = "1GiB"                         # default
    confine.level = "best"                          # default
    confine.first_uid = 58000                       # default
    hands.processes = 256                           # default
    hands.memory = "1GiB"                           # default
    hands.file = "256MiB"                           # default
    hands.tmp = "256MiB"                            # default
    hands.paths = ""                                # default
    hands.spares = 4                                # default
    hands.idle = "10m"                              # default
    workspaces.size = "1GiB"                        # default
    workspaces.files = 100000                       # default
    workspaces.free = "1GiB"                        # default
    workspaces.keep = "30d"                         # default
    limits.body = "4KiB"                            # DIR/portcullis.toml:12 (default "20MiB")
    limits.messages = 2048                          # default
    limits.text = "1000000000B"                     # DIR/portcullis.toml:13 (default "4MiB")
    limits.turns = 8                                # environment variable PORTCULLIS__LIMITS__TURNS (default 64)
    # limits.chat_turns is not set
    # limits.read_turns is not set
    # limits.work_turns is not set
    limits.queue = 256                              # default
    limits.queue_wait = "30s"                       # default
    breaker.failures = 5                            # default
    breaker.wait = "10s"                            # default
    # store.url is not set
    store.keep = "30d"                              # default
    store.size = "1GiB"                             # default
    openai.sampling = "ignore"                      # default
    openai.image_hosts = ""                         # default
    images.backend = "codex"                        # default
    # images.key_file is not set
    images.base_url = "https://api.openai.com/v1"   # default
    # images.bind is not set
    # images.public_url is not set
    images.concurrent = 8                           # default
    images.most = 10                                # default
    images.deadline = "10m"                         # default
    images.body = "96MiB"                           # default
    images.size_policy = "report"                   # default
    images.keep = "1h"                              # default
    images.keep_size = "1GiB"                       # default
    images.keep_per_key = "256MiB"                  # default
    approvals.read = "decline"                      # default
    approvals.work = "decline"                      # default
    approvals.wait = "5m"                           # default
    audit.enabled = true                            # default
    audit.size = "1GiB"                             # default
    dashboard.enabled = true                        # default
    log.format = "json"                             # flag --log-format (default "text")
    log.level = "info,portcullis_http=debug"        # environment variable PORTCULLIS__LOG__LEVEL (default "info")
    # traces.otlp is not set
    traces.one_in = 1                               # default
    aliases.codex.model = "mine"                    # DIR/portcullis.toml:17
    # aliases.codex.effort is not set
    # aliases.codex.profile is not set
    aliases.fast.model = "m"                        # environment variable PORTCULLIS__ALIASES__FAST
    aliases.fast.effort = "minimal"                 # environment variable PORTCULLIS__ALIASES__FAST
    # aliases.fast.profile is not set
    aliases."gpt-4.1".model = "gpt-5.5"             # DIR/portcullis.toml:18
    aliases."gpt-4.1".effort = "medium"             # environment variable PORTCULLIS__ALIASES__GPT-4.1__EFFORT
    # aliases."gpt-4.1".profile is not set
    aliases.codex-high.model = "5"                  # default
    aliases.codex-high.effort = "high"              # default
    # aliases.codex-high.profile is not set
    "#);
}

#[test]
fn values_are_parsed_to_their_meaning() {
    let file = r#"
[state]
dir = "state"
[provider]
kind = "custom"
base_url = "https://models.example/v1/"
key_file = "../key"
stream_idle_timeout = "250ms"
stream_max_retries = 0
http_headers = { X-Team = "blue", authorization = "Bearer sk-header" }
query_params = { api-version = "2026-01-01" }
"#;
    let (dir, loaded) = try_load(file, &[], &[]);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.state.dir, dir.path().join("state"));
    assert_eq!(loaded.config.codex.home, dir.path().join("state/codex"));
    let Provider::Custom(custom) = &loaded.config.provider else { panic!("{:?}", loaded.config.provider) };
    assert_eq!(custom.key_file.as_deref(), Some(dir.path().join("../key").as_path()));
    assert_eq!(custom.base_url.as_str(), "https://models.example/v1");
    assert_eq!((custom.stream_max_retries, custom.request_max_retries), (Some(0), None));
    assert_eq!(custom.stream_idle_timeout.unwrap().as_millis(), 250);
    let key = "provider.http_headers.X-Team";
    let file = dir.path().join("portcullis.toml");
    let setting = loaded.settings.iter().find(|setting| setting.key == key).expect("it is set");
    assert_eq!(setting.origin, Origin::File { path: file.clone(), line: 10 });
    assert_eq!(loaded.config.file, Some(file));
    let everything = format!("{loaded:?}{}", loaded.show());
    assert!(!everything.contains("sk-header") && everything.contains("(hidden)"), "{everything}");

    // The directory of the state follows the environment that was passed in.
    let xdg = good("", &[("XDG_STATE_HOME", "/var/state")], &[]);
    assert_eq!(xdg.config.state.dir, "/var/state/portcullis");
    // A path from elsewhere is made absolute too.
    let elsewhere = good("", &[("PORTCULLIS__CODEX__BIN", "bin/codex")], &[]).config.codex.bin.unwrap();
    assert!(elsewhere.is_absolute() && elsewhere.ends_with("bin/codex"), "{elsewhere}");
}

#[test]
fn what_is_shown_can_be_loaded() {
    let file =
        "[provider]\nkind = 'custom'\nbase_url = 'http://[::1]:1/v1'\n[aliases.'a.b']\nmodel = '\"\\'\n";
    let once = good(file, &[], &[]);
    let again = good(&once.show(), &[], &[]);
    // Both were files, of different names.
    let values = |loaded: Loaded| format!("{:?}", super::Config { file: None, ..loaded.config });
    assert_eq!(values(once), values(again));
}

#[test]
fn a_stronger_layer_may_choose_another_provider() {
    let file = "[provider]\nkind = 'custom'\nbase_url = 'http://localhost:1'\n";
    let lab = good(file, &[], &[("provider.kind", "lab", "--provider")]);
    assert!(matches!(lab.config.provider, Provider::Lab));
}

#[test]
fn the_reference_lists_every_key() {
    let page = reference_markdown();
    let shown = shown("[provider]\nkind = 'custom'\nbase_url = 'http://x'", &[], &[]);
    let key = |line: &str| line.trim_start_matches("# ").split(' ').next().map(str::to_owned).expect("a key");
    for key in shown.lines().skip(1).map(key).filter(|key| !key.starts_with("aliases")) {
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
    }
    assert_snapshot!(page.lines().filter(|line| line.starts_with("| `turn")).collect::<Vec<_>>().join("\n"), @"
    | `turn.deadline` | duration | `10m` | The longest that a turn may take. ↻ |
    | `turn.first_event` | duration | `15s` | How long a streamed answer waits for its first event. Until then an error has its own status; after that the answer begins, still empty. ↻ |
    | `turn.parked` | duration | `5m` | How long a turn waits for the results of the client's tools. ↻ |
    | `turn.steps` | count | `200` | How many answers a model may give in a turn with hands, before the turn is ended. ↻ |
    | `turn.tokens` | count | `1000000` | How many tokens a turn with hands may take, read and written. ↻ |
    ");
}
