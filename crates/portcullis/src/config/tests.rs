//! Whole inputs against whole outputs.

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
fn all_mistakes_of_a_file() {
    let file = r#"colour = true
[http]
bindd = "127.0.0.1:1"
bind = "localhost:8320"
[htpp]
bind = "127.0.0.1:1"
[state]
dir = "~/portcullis"
[codex]
model = 5
bin = { path = "x" }
deadline = "1m"
[provider]
base_url = "http://localhost"
http_headers = { a = "b" }
[turn]
deadline = 10
first_event = "soon"
parked = "0s"
[limits]
body = "20M"
messages = 0
turns = "many"
text = -1
[log]
format = "xml"
level = "inof"
[aliases]
fast = "gpt-5.5"
empty = {}
"my model" = { model = "m" }
codex-high = { effort = "" }
slow = { effort = "high", modell = "gpt-5.5" }
"#;
    assert_snapshot!(errors(file, &[], &[]), @r#"
    the configuration has 26 problems
      DIR/portcullis.toml:1:1: `colour` is not known
        known tables: `http`, `state`, `codex`, `provider`, `turn`, `workers`, `confine`, `hands`, `workspaces`, `limits`, `breaker`, `store`, `openai`, `images`, `approvals`, `audit`, `dashboard`, `log`, `traces`, `aliases`
      DIR/portcullis.toml:3:1: `http.bindd` is not known
        did you mean `bind`?
        known in `http`: `bind`, `hosts`, `origins`, `connections`, `drain`
      DIR/portcullis.toml:4:8: `http.bind` cannot be "localhost:8320"
        expected an IP address and a port, such as `127.0.0.1:8320` or `[::1]:8320`
      DIR/portcullis.toml:5:2: `htpp` is not known
        did you mean `http`?
        known tables: `http`, `state`, `codex`, `provider`, `turn`, `workers`, `confine`, `hands`, `workspaces`, `limits`, `breaker`, `store`, `openai`, `images`, `approvals`, `audit`, `dashboard`, `log`, `traces`, `aliases`
      DIR/portcullis.toml:8:7: `state.dir` cannot be "~/portcullis"
        expected a path; `~` and variables are not expanded
      DIR/portcullis.toml:10:9: `codex.model` cannot be `5`
        expected a text that is not empty, on one line
      DIR/portcullis.toml:11:7: `codex.bin` cannot be a table
        expected a path; `~` and variables are not expanded
      DIR/portcullis.toml:12:1: `codex.deadline` is not known
        did you mean `turn.deadline`?
        known in `codex`: `bin`, `home`, `model`, `runner`
      DIR/portcullis.toml:14:12: `provider.base_url` is only for `provider.kind` = "custom"
        the kind is "openai" (default)
      DIR/portcullis.toml:15:22: `provider.http_headers.a` is only for `provider.kind` = "custom"
        the kind is "openai" (default)
      DIR/portcullis.toml:17:12: `turn.deadline` cannot be `10`
        expected a duration with its unit, such as "250ms", "30s", "10m" or "1h30m", at most "365d"
      DIR/portcullis.toml:18:15: `turn.first_event` cannot be "soon"
        expected a duration with its unit, such as "250ms", "30s", "10m" or "1h30m", at most "365d"
      DIR/portcullis.toml:19:10: `turn.parked` cannot be "0s"
        expected a duration with its unit, such as "250ms", "30s", "10m" or "1h30m", at most "365d"
      DIR/portcullis.toml:21:8: `limits.body` cannot be "20M"
        expected a size from 1 byte to 4 TiB, such as 4096, "512KiB", "20MiB" or "1GB"
      DIR/portcullis.toml:22:12: `limits.messages` cannot be `0`
        expected a whole number from 1 to 1000000
      DIR/portcullis.toml:23:9: `limits.turns` cannot be "many"
        expected a whole number from 1 to 1000000
      DIR/portcullis.toml:24:8: `limits.text` cannot be `-1`
        expected a size from 1 byte to 4 TiB, such as 4096, "512KiB", "20MiB" or "1GB"
      DIR/portcullis.toml:26:10: `log.format` cannot be "xml"
        expected `text` or `json`
      DIR/portcullis.toml:27:9: `log.level` cannot be "inof"
        expected `off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,portcullis_http=debug`
      DIR/portcullis.toml:29:8: `aliases.fast` cannot be "gpt-5.5", it is a table
        with `model`, `effort`, `profile`
      DIR/portcullis.toml:30:1: `aliases.empty` is empty
        it can have `model`, `effort`, `profile`
      DIR/portcullis.toml:31:24: `aliases."my model"` is not a model name
        expected 1 to 128 letters, digits, `.`, `_`, `-`, `:` or `/`
      DIR/portcullis.toml:32:25: `aliases.codex-high` names no model
        add `model`
      DIR/portcullis.toml:32:25: `aliases.codex-high.effort` cannot be ""
        expected a text that is not empty, on one line
      DIR/portcullis.toml:33:19: `aliases.slow` names no model
        add `model`
      DIR/portcullis.toml:33:27: `aliases.slow.modell` is not known
        did you mean `model`?
        known in `aliases.slow`: `model`, `effort`, `profile`
    "#);
}

#[test]
fn mistakes_in_the_environment_and_in_flags() {
    let env = [
        ("PORTCULLIS__HTTP__BINDD", "127.0.0.1:1"),
        ("PORTCULLIS__HTTP__BIND__PORT", "1"),
        ("PORTCULLIS__HTTP", "127.0.0.1:1"),
        ("PORTCULLIS__PROVIDER__API_KEY", "sk-secret"),
        ("PORTCULLIS__LIMITS__MESSAGES", "1.5"),
        ("PORTCULLIS__LOG__FORMAT", ""),
        ("PORTCULLIS__", "x"),
        ("PORTCULLIS_OTHER", "not ours"),
    ];
    let flags =
        [("turn.deadline", "10", "--deadline"), ("no key", "1", "--set"), ("turn.dedline", "1s", "--set")];
    assert_snapshot!(errors("", &env, &flags), @r#"
    the configuration has 10 problems
      environment variable PORTCULLIS__: `""` is not known
        known tables: `http`, `state`, `codex`, `provider`, `turn`, `workers`, `confine`, `hands`, `workspaces`, `limits`, `breaker`, `store`, `openai`, `images`, `approvals`, `audit`, `dashboard`, `log`, `traces`, `aliases`
      environment variable PORTCULLIS__HTTP: `http` cannot be "127.0.0.1:1", it is a table
        with `bind`, `hosts`, `origins`, `connections`, `drain`
      environment variable PORTCULLIS__HTTP__BINDD: `http.bindd` is not known
        did you mean `PORTCULLIS__HTTP__BIND`?
        known in `http`: `bind`, `hosts`, `origins`, `connections`, `drain`
      environment variable PORTCULLIS__HTTP__BIND__PORT: `http.bind` is one value (address), it has nothing inside
      environment variable PORTCULLIS__LIMITS__MESSAGES: `limits.messages` cannot be a number with a fraction
        expected a whole number from 1 to 1000000
      environment variable PORTCULLIS__LOG__FORMAT: `log.format` cannot be ""
        expected `text` or `json`
      environment variable PORTCULLIS__PROVIDER__API_KEY: `provider.api_key` is not known
        known in `provider`: `kind`, `name`, `base_url`, `requires_openai_auth`, `key_file`, `supports_websockets`, `request_max_retries`, `stream_max_retries`, `stream_idle_timeout`, `http_headers`, `query_params`
      flag --deadline: `turn.deadline` cannot be `10`
        expected a duration with its unit, such as "250ms", "30s", "10m" or "1h30m", at most "365d"
      flag --set: `no key` is not a dotted key
      flag --set: `turn.dedline` is not known
        did you mean `turn.deadline`?
        known in `turn`: `deadline`, `first_event`, `parked`, `steps`, `tokens`
    "#);
}

#[test]
fn mistakes_between_keys() {
    let custom = "[provider]\nkind = 'custom'\n";
    assert_snapshot!(errors(custom, &[], &[]), @r#"
    the configuration has a problem
      DIR/portcullis.toml:2:8: `provider.base_url` is missing, `provider.kind` = "custom" needs it
        such as `base_url = "http://127.0.0.1:8000/v1"`
    "#);
    let other = "[provider]\nname = 'x'\nkind = 'lab'\nquery_params.a = 'b'\n";
    assert_snapshot!(errors(other, &[], &[]), @r#"
    the configuration has 2 problems
      DIR/portcullis.toml:2:8: `provider.name` is only for `provider.kind` = "custom"
        the kind is "lab" (DIR/portcullis.toml:3)
      DIR/portcullis.toml:4:18: `provider.query_params.a` is only for `provider.kind` = "custom"
        the kind is "lab" (DIR/portcullis.toml:3)
    "#);
    let secrets = "[provider]\nkind = 'custom'\nbase_url = 'http://me:sk-1@host/'\nhttp_headers = { 'a b' = 'sk-2', c = \"sk-3\\n\" }\n";
    assert_snapshot!(errors(secrets, &[], &[]), @r#"
    the configuration has 3 problems
      DIR/portcullis.toml:3:12: `provider.base_url` cannot be this text
        expected an http or https URL with a host, such as "http://127.0.0.1:8000/v1", without user, password, query and fragment
      DIR/portcullis.toml:4:26: `provider.http_headers."a b"` is not allowed here as a name and value
      DIR/portcullis.toml:4:38: `provider.http_headers.c` cannot be this text
        expected a text on one line
    "#);
    for bad in ["ftp://host", "host:80", "http://", "/v1", "http://host?key=sk", "http://host#x", "unix:/x"] {
        errors(&format!("[provider]\nkind = 'custom'\nbase_url = '{bad}'\n"), &[], &[]);
    }
}

#[test]
fn a_file_that_is_not_toml() {
    let file = "[provider]\nkind = 'custom'\nbase_url = 'http://x\n[http]\nbind = 1\nbind = 2\n[turn\ndeadline = '5m'\nfirst_evnt = '5m'\n";
    assert_snapshot!(errors(file, &[], &[]), @r#"
    the configuration has 4 problems
      DIR/portcullis.toml:3:21: not TOML: invalid literal string, expected `'`
      DIR/portcullis.toml:5:8: `http.bind` cannot be `1`
        expected an IP address and a port, such as `127.0.0.1:8320` or `[::1]:8320`
      DIR/portcullis.toml:6:1: not TOML: duplicate key
      DIR/portcullis.toml:7:6: not TOML: unclosed table, expected `]`
    "#);
}

#[test]
fn missing_files_and_directories() {
    let dir = Utf8TempDir::new().unwrap();
    let told = |file: &str, explicit_file, home: &str| {
        let env = vec![("HOME".to_owned(), home.to_owned())];
        let sources = Sources { file: Some(dir.path().join(file)), explicit_file, env, flags: Vec::new() };
        let told = load(sources).map(|loaded| format!("file: {:?}", loaded.config.file));
        told.unwrap_or_else(|errors| errors.to_string()).replace(dir.path().as_str(), "DIR")
    };
    assert_snapshot!(told("none.toml", true, "/home/op"), @r#"
    the configuration has a problem
      DIR/none.toml: there is no such file
    "#);
    assert_snapshot!(told("none.toml", false, "/home/op"), @r#"file: None"#);
    assert_snapshot!(told(".", false, "not/absolute"), @r#"
    the configuration has 2 problems
      default: `state.dir` has no default here, as neither XDG_STATE_HOME nor HOME is an absolute path
        set `dir` in `[state]`, or PORTCULLIS__STATE__DIR
      DIR: the file cannot be read: Is a directory (os error 21)
    "#);
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

#[test]
fn the_image_backend_and_its_key_belong_together() {
    let said = |file: &str| errors(file, &[], &[]);
    assert!(said("images.backend = 'openai'").contains("`images.key_file` is missing"));
    assert!(said("images.key_file = '/key'").contains("is only for `images.backend`"));
    assert!(said("images.bind = '0.0.0.0:17341'").contains("is not an address of this machine alone"));
    assert!(said("images.keep = 'never'").contains("`images.keep`"));
}
