//! What is wrong, where, and what to do.

use camino_tempfile::Utf8TempDir;
use insta::assert_snapshot;

use super::errors;
use crate::config::{Sources, load};

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
fn the_image_backend_and_its_key_belong_together() {
    let said = |file: &str| errors(file, &[], &[]);
    assert!(said("images.backend = 'openai'").contains("`images.key_file` is missing"));
    assert!(said("images.key_file = '/key'").contains("is only for `images.backend`"));
    assert!(said("images.bind = '0.0.0.0:17341'").contains("is not an address of this machine alone"));
    assert!(said("images.keep = 'never'").contains("`images.keep`"));
}
