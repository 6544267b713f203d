//! The table of everything that can be set, and the reference page made from it.

use std::fmt::Write as _;

/// Stands for a name of the user's own in [`Key::name`].
pub(super) const FREE: &str = "<name>";

/// One thing that can be set.
#[derive(Debug)]
pub(super) struct Key {
    /// Dotted; a part may be `<name>`.
    pub(super) name: &'static str,
    /// The kind of value, as the reference says it and as the reading type has it.
    pub(super) kind: &'static str,
    pub(super) default: Standard,
    pub(super) what: &'static str,
}

/// What holds when a key is not set.
#[derive(Debug)]
pub(super) enum Standard {
    /// This text, read like an environment variable.
    Text(&'static str),
    /// Something that depends on other values, in words.
    Computed(&'static str),
    /// Nothing.
    Unset,
}

/// What a path of names is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {
    Key(&'static Key),
    /// A table that holds keys.
    Section,
    Unknown,
}

const fn key(name: &'static str, kind: &'static str, default: Standard, what: &'static str) -> Key {
    Key { name, kind, default, what }
}

use Standard::{Computed, Text, Unset};

/// In the order in which `config show` and the reference print them.
pub(super) static KEYS: &[Key] = &[
    key("http.bind", "address", Text("127.0.0.1:8320"), "Where the gateway listens."),
    key(
        "http.hosts",
        "hosts",
        Text("\"\""),
        "Names under which the gateway is asked, separated by commas. Besides them it answers to `localhost`, loopback \
         addresses and the address on which a request came in; everything else is refused.",
    ),
    key(
        "http.origins",
        "origins",
        Text("\"\""),
        "Origins whose pages may call from a browser, separated by commas.",
    ),
    key(
        "http.connections",
        "count",
        Text("1024"),
        "The most connections; one more is answered with 503 and closed.",
    ),
    key(
        "http.drain",
        "duration",
        Text("10s"),
        "How long running requests have when the gateway is told to stop.",
    ),
    key(
        "state.dir",
        "path",
        Computed("`$XDG_STATE_HOME/portcullis` or `~/.local/state/portcullis`"),
        "Keys, login and everything else that Portcullis keeps.",
    ),
    key("codex.bin", "path", Unset, "The Codex program. Looked for when unset."),
    key(
        "codex.home",
        "path",
        Computed("`<state.dir>/codex`"),
        "The home of Codex, with the operator's login.",
    ),
    key("codex.model", "text", Text("gpt-5.5"), "The model that the default aliases stand for."),
    key(
        "codex.runner",
        "`app-server` or `exec`",
        Text("app-server"),
        "What runs turns of the profile `chat`: workers that run many turns each, or one process for each turn. With `exec` nothing of \
         a turn is in a process with another's; each costs a start and some 150 MB, answers arrive whole, and requests with tools, or \
         with a picture in the last message, are refused.",
    ),
    key(
        "provider.kind",
        "`openai`, `lab` or `custom`",
        Text("openai"),
        "Who serves the model: the operator's login, the built-in demo model, or another server. \
         All other keys of `[provider]` are for `custom`.",
    ),
    key("provider.name", "text", Text("custom"), "What the server is called in messages."),
    key(
        "provider.base_url",
        "URL",
        Unset,
        "Where it is; required for `custom`. Without user, password and query.",
    ),
    key("provider.requires_openai_auth", "boolean", Text("false"), "Send the operator's login to it."),
    key("provider.key_file", "path", Unset, "A file with the API key for it."),
    key("provider.supports_websockets", "boolean", Text("false"), "It can stream over WebSockets."),
    key("provider.request_max_retries", "whole number", Unset, "How often a failed request is repeated."),
    key("provider.stream_max_retries", "whole number", Unset, "How often a broken stream is resumed."),
    key("provider.stream_idle_timeout", "duration", Unset, "A stream silent for so long is broken."),
    key("provider.http_headers.<name>", "hidden text", Unset, "A header for every request to it."),
    key("provider.query_params.<name>", "hidden text", Unset, "A query parameter for every request to it."),
    key("turn.deadline", "duration", Text("10m"), "The longest that a turn may take."),
    key(
        "turn.first_event",
        "duration",
        Text("15s"),
        "How long a streamed answer waits for its first event. Until then an error has its own status; after that the \
         answer begins, still empty.",
    ),
    key(
        "turn.parked",
        "duration",
        Text("5m"),
        "How long a turn waits for the results of the client's tools.",
    ),
    key(
        "turn.steps",
        "count",
        Text("200"),
        "How many answers a model may give in a turn with hands, before the turn is ended.",
    ),
    key(
        "turn.tokens",
        "count",
        Text("1000000"),
        "How many tokens a turn with hands may take, read and written.",
    ),
    key(
        "workers.count",
        "count",
        Text("1"),
        "How many Codex processes serve, for turns without hands and, once there is one, with hands. One serves two cores; more \
         are so that fewer turns die with one.",
    ),
    key(
        "workers.spares",
        "whole number",
        Text("0"),
        "How many more run and wait, to serve at once when another one does not. Each takes some 80 MiB.",
    ),
    key(
        "workers.max_turns",
        "count",
        Text("2000"),
        "After so many turns a worker is replaced: another one serves first, and it ends when its turns have.",
    ),
    key("workers.max_age", "duration", Text("1d"), "At this age it is replaced."),
    key("workers.memory", "size", Text("1GiB"), "Above so much memory it is replaced."),
    key(
        "confine.level",
        "`best`, `namespaces`, `landlock`, `bare` or `off`",
        Text("best"),
        "What is built around workers: the best that the machine allows, or exactly this one, so that the gateway does not \
         start without it. `bare` and `off` have no hands. `off` is refused to root.",
    ),
    key(
        "confine.first_uid",
        "user id",
        Text("58000"),
        "The first of 1001 user ids (and group ids) that nobody else uses; cells run as them when the gateway runs as root.",
    ),
    key("hands.processes", "count", Text("256"), "The most processes and threads of a turn's commands."),
    key("hands.memory", "size", Text("1GiB"), "The most memory of a turn's commands, `/tmp` included."),
    key("hands.file", "size", Text("256MiB"), "The longest file that a turn's commands can write."),
    key("hands.tmp", "size", Text("256MiB"), "The size of `/tmp` for a turn's commands."),
    key(
        "hands.paths",
        "paths",
        Text("\"\""),
        "More directories that a turn's commands can read, separated by commas, such as a toolchain's.",
    ),
    key(
        "hands.spares",
        "whole number",
        Text("4"),
        "How many cells may wait for the next turns of recent users.",
    ),
    key("hands.idle", "duration", Text("10m"), "How long such a cell waits."),
    key(
        "workspaces.dir",
        "path",
        Computed("`<state.dir>/workspaces`"),
        "Where the workspaces are, one for each API key.",
    ),
    key("workspaces.size", "size", Text("1GiB"), "The most that a workspace holds."),
    key("workspaces.files", "count", Text("100000"), "The most files and directories in a workspace."),
    key("workspaces.free", "size", Text("1GiB"), "What stays free on the file system of the workspaces."),
    key("workspaces.keep", "duration", Text("30d"), "How long a workspace is kept after its last use."),
    key("limits.body", "size", Text("20MiB"), "The largest request body."),
    key("limits.messages", "count", Text("2048"), "The most messages in a request."),
    key("limits.text", "size", Text("4MiB"), "The most text in a request."),
    key("limits.turns", "count", Text("64"), "The most turns that run at once."),
    key(
        "limits.chat_turns",
        "count",
        Unset,
        "Of these, the most in the profile `chat`; without it as many as all.",
    ),
    key("limits.read_turns", "count", Unset, "Of these, the most in the profile `read`."),
    key("limits.work_turns", "count", Unset, "Of these, the most in the profile `work`."),
    key(
        "limits.queue",
        "count",
        Text("256"),
        "The most requests that wait for a turn, fairly between keys; one more is answered with 429.",
    ),
    key(
        "limits.queue_wait",
        "duration",
        Text("30s"),
        "The longest that a request waits for a turn, until a 429.",
    ),
    key(
        "breaker.failures",
        "whole number",
        Text("5"),
        "After so many turns in a row in which the provider failed, new ones and those that wait are refused for a while; with `0` never. Pictures count apart.",
    ),
    key(
        "breaker.wait",
        "duration",
        Text("10s"),
        "How long, until one turn may try. Each that fails doubles it, up to two minutes.",
    ),
    key(
        "store.url",
        "hidden text",
        Unset,
        "Where responses and conversations are kept: `sqlite:<path>` or `postgres://…`. Without it a SQLite file in \
         the state directory.",
    ),
    key("store.keep", "duration", Text("30d"), "How long a finished response is kept."),
    key("store.size", "size", Text("1GiB"), "How much of all responses is kept; the oldest go first."),
    key(
        "openai.sampling",
        "`ignore` or `reject`",
        Text("ignore"),
        "What happens to `temperature` and other knobs that Codex does not have: they have no effect and are named in \
         the header `x-portcullis-ignored`, or the request is refused.",
    ),
    key(
        "openai.image_hosts",
        "hosts",
        Text("\"\""),
        "Hosts from which pictures of requests are fetched, separated by commas. Without any, requests carry their \
         pictures themselves.",
    ),
    key(
        "images.backend",
        "`codex`, `openai` or `off`",
        Text("codex"),
        "Who makes pictures: Codex with the operator's ChatGPT login, OpenAI's Images API with a key from \
         `images.key_file`, or nobody.",
    ),
    key(
        "images.key_file",
        "path",
        Unset,
        "A file with the API key; required for the backend `openai`, and only for it.",
    ),
    key(
        "images.base_url",
        "URL",
        Text("https://api.openai.com/v1"),
        "Where the backend `openai` finds the Images API. Without user, password and query.",
    ),
    key(
        "images.bind",
        "address",
        Unset,
        "A second address of the gateway, on this machine only, for image plug-ins that know but one: \
         `127.0.0.1:17341`.",
    ),
    key(
        "images.public_url",
        "URL",
        Unset,
        "What the URLs of kept pictures begin with. Without it, the address that the gateway listens on.",
    ),
    key("images.concurrent", "count", Text("8"), "The most pictures that are drawn at once."),
    key("images.most", "count", Text("10"), "The most pictures in a request."),
    key("images.deadline", "duration", Text("10m"), "The longest that a picture may take."),
    key(
        "images.body",
        "size",
        Text("96MiB"),
        "The largest body of a request for pictures, references included.",
    ),
    key(
        "images.size_policy",
        "`report`, `strict` or `fit`",
        Text("report"),
        "What happens to a picture of another size than was asked for: its real size is told, it is not delivered, or \
         it is cut to size and marked. A request may choose otherwise.",
    ),
    key(
        "images.keep",
        "duration or `off`",
        Text("1h"),
        "How long pictures are kept that are fetched by a URL. With `off` nothing is kept, and answers carry them.",
    ),
    key("images.keep_size", "size", Text("1GiB"), "How much of all pictures is kept; the oldest go first."),
    key("images.keep_per_key", "size", Text("256MiB"), "How much of the pictures of one key is kept."),
    key(
        "approvals.read",
        "`decline`, `auto_review` or `ask`",
        Text("decline"),
        "Who answers when Codex asks before it acts in a turn of `read`: nobody, so that it does not; Codex's own reviewer; \
         the operator, at `/v1/approvals`.",
    ),
    key("approvals.work", "`decline`, `auto_review` or `ask`", Text("decline"), "The same for `work`."),
    key(
        "approvals.wait",
        "duration",
        Text("5m"),
        "How long a question waits for the operator. Then it is declined.",
    ),
    key("audit.enabled", "boolean", Text("true"), "Keep the audit log, in `<state.dir>/audit`."),
    key("audit.size", "size", Text("1GiB"), "How much of the audit log is kept; the oldest files go first."),
    key("dashboard.enabled", "boolean", Text("true"), "Serve the operator's pages under `/dashboard`."),
    key("log.format", "`text` or `json`", Text("text"), "How log lines look."),
    key(
        "log.level",
        "log filter",
        Text("info"),
        "A level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or a tracing filter \
         such as `info,portcullis_http=debug`.",
    ),
    key(
        "traces.otlp",
        "URL",
        Unset,
        "A collector that speaks OTLP over HTTP, such as `http://127.0.0.1:4318`: requests and turns are sent to `/v1/traces` \
         there as spans. Without it nothing is sent, and the trace of a client is passed on to Codex as it came.",
    ),
    key(
        "traces.one_in",
        "count",
        Text("1"),
        "Of the traces that begin here, one in so many is sent. A trace that a client began is sent if the client keeps it.",
    ),
    key("traces.headers.<name>", "hidden text", Unset, "A header for every request to the collector."),
    key("aliases.<name>.model", "text", Unset, "The model that this name stands for; required."),
    key("aliases.<name>.effort", "text", Unset, "The reasoning effort that this name stands for."),
    key(
        "aliases.<name>.profile",
        "`chat`, `read` or `work`",
        Unset,
        "What turns under this name may touch at most; without it, what the key allows.",
    ),
];

/// What a running gateway takes over from a file that changed, as beginnings of names. Everything else holds until it is
/// started again.
pub(super) static RELOADED: &[&str] = &[
    "http.hosts",
    "http.origins",
    "turn.",
    "limits.",
    "store.keep",
    "store.size",
    "openai.",
    "approvals.",
    "aliases.",
];

/// Whether a running gateway takes this key over.
pub(super) fn is_reloaded(name: &str) -> bool {
    RELOADED.iter().any(|beginning| name.starts_with(beginning))
}

/// The table's entry of this exact name.
pub(super) fn named(name: &str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).expect("the program reads only keys of its table")
}

/// What is at this path?
pub(super) fn lookup(path: &[String]) -> Lookup {
    let mut below = KEYS.iter().filter(|key| starts_with(key, path)).peekable();
    match below.peek() {
        None => Lookup::Unknown,
        Some(key) if key.name.split('.').count() == path.len() => Lookup::Key(key),
        Some(_) => Lookup::Section,
    }
}

/// The names that can follow this path; empty when any name can.
pub(super) fn names_below(path: &[String]) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter(|key| starts_with(key, path))
        .filter_map(|key| key.name.split('.').nth(path.len()))
        .filter(|name| *name != FREE)
        .collect();
    names.dedup();
    names
}

/// The dotted name of a key in another section that is called `name`.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    let last = |key: &&Key| key.name.rsplit('.').next() == Some(name);
    KEYS.iter().filter(|key| !key.name.contains(FREE)).find(last).map(|key| key.name)
}

/// The keys of `[provider]` that only `kind = "custom"` has.
pub(super) fn custom_only(path: &[String]) -> bool {
    path.first().is_some_and(|section| section == "provider") && path.get(1).is_some_and(|key| key != "kind")
}

fn starts_with(key: &Key, path: &[String]) -> bool {
    let mut parts = key.name.split('.');
    path.iter().all(|name| parts.next().is_some_and(|part| part == FREE || part == name))
}

/// All keys as a page.
pub(crate) fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut section = "";
    for key in KEYS {
        let (this, _) = key.name.split_once('.').unwrap_or((key.name, ""));
        if this != section {
            section = this;
            let _ =
                write!(page, "\n## `[{section}]`\n\n| key | type | default | what |\n|---|---|---|---|\n");
        }
        let default = match key.default {
            Text(text) => format!("`{text}`"),
            Computed(words) => words.to_owned(),
            Unset => "–".to_owned(),
        };
        let again = if is_reloaded(key.name) { " ↻" } else { "" };
        let _ = writeln!(page, "| `{}` | {} | {default} | {}{again} |", key.name, key.kind, key.what);
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

Defaults are overridden by the TOML file, that by the environment, and that by flags. `portcullis config show` prints
every value and where it came from.

- **Environment:** `http.bind` is `PORTCULLIS__HTTP__BIND`: upper case, two underscores between the parts. A value is
  read as TOML if it is TOML, otherwise as text. A table replaces what lower layers have there:
  `PORTCULLIS__ALIASES='{ fast = { model = \"gpt-5.5\", effort = \"low\" } }'`.
- **path:** relative to the directory of the file, or to the working directory when it comes from elsewhere.
- **duration:** `250ms`, `30s`, `10m`, `1h30m`; at most `365d`.
- **size:** bytes, or with a unit: `4096`, `20MiB`, `1GB`.
- **count:** a whole number from 1.
- **hidden text:** text that no output or log shows, as it may be a secret.
- **↻:** `portcullis reload` (or SIGHUP) has a running gateway take it over. Everything else holds until the gateway is started again.
- Unless they are set, the aliases are `codex` (`codex.model`) and `codex-high` (the same with effort `high`).
";
