//! Reads every key once and makes the configuration; the rules between keys are here and in `provider`.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::BreakerLimits;

use super::given::dotted;
use super::meaning::Meaning;
use super::provider::{free_texts, is_header, provider};
use super::reader::Reader;
use super::{
    Alias, Approvals, Audit, Codex, Config, Confine, Dashboard, Hands, Http, ImageBackend, Images, Limits,
    Log, OpenAi, Origin, Place, Problem, State, Store, Traces, Turn, Workers, Workspaces,
};

/// Whether rules between keys are checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rules {
    /// The layers are complete.
    Check,
    /// Part of the file is unknown, so that what seems to be missing may be there.
    Skip,
}

/// Reads in the order of the table. The result is to be thrown away when the reader has problems.
pub(super) fn build(reader: &mut Reader, env: &[(String, String)], rules: Rules) -> Config {
    let http = Http {
        bind: reader.value("http.bind"),
        hosts: reader.value("http.hosts"),
        origins: reader.value("http.origins"),
        connections: reader.value("http.connections"),
        drain: reader.value("http.drain"),
    };
    let dir = state_dir(reader, env);
    let codex = Codex {
        bin: reader.optional("codex.bin"),
        home: reader.or_computed("codex.home", || Some(dir.join("codex"))).unwrap_or_default(),
        model: reader.value("codex.model"),
        runner: reader.value("codex.runner"),
    };
    let workspaces =
        reader.or_computed("workspaces.dir", || Some(dir.join("workspaces"))).unwrap_or_default();
    Config {
        file: None,
        http,
        state: State { dir },
        provider: provider(reader, rules),
        turn: Turn {
            deadline: reader.value("turn.deadline"),
            first_event: reader.value("turn.first_event"),
            parked: reader.value("turn.parked"),
            steps: reader.value("turn.steps"),
            tokens: reader.value("turn.tokens"),
        },
        workers: Workers {
            count: reader.value("workers.count"),
            spares: reader.value("workers.spares"),
            max_turns: reader.value("workers.max_turns"),
            max_age: reader.value("workers.max_age"),
            memory: reader.value("workers.memory"),
        },
        confine: Confine {
            level: reader.value("confine.level"),
            first_uid: reader.value("confine.first_uid"),
        },
        hands: Hands {
            processes: reader.value("hands.processes"),
            memory: reader.value("hands.memory"),
            file: reader.value("hands.file"),
            tmp: reader.value("hands.tmp"),
            paths: reader.value("hands.paths"),
            spares: reader.value("hands.spares"),
            idle: reader.value("hands.idle"),
        },
        workspaces: Workspaces {
            dir: workspaces,
            size: reader.value("workspaces.size"),
            files: reader.value("workspaces.files"),
            free: reader.value("workspaces.free"),
            keep: reader.value("workspaces.keep"),
        },
        limits: Limits {
            body: reader.value("limits.body"),
            messages: reader.value("limits.messages"),
            text: reader.value("limits.text"),
            turns: reader.value("limits.turns"),
            profile_turns: ["limits.chat_turns", "limits.read_turns", "limits.work_turns"]
                .map(|name| reader.optional(name)),
            queue: reader.value("limits.queue"),
            queue_wait: reader.value("limits.queue_wait"),
        },
        breaker: BreakerLimits {
            failures: reader.value("breaker.failures"),
            wait: reader.value("breaker.wait"),
        },
        store: Store {
            url: reader.optional("store.url"),
            keep: reader.value("store.keep"),
            size: reader.value("store.size"),
        },
        openai: OpenAi {
            sampling: reader.value("openai.sampling"),
            image_hosts: reader.value("openai.image_hosts"),
        },
        images: images(reader, rules),
        approvals: Approvals {
            read: reader.value("approvals.read"),
            work: reader.value("approvals.work"),
            wait: reader.value("approvals.wait"),
        },
        audit: Audit { enabled: reader.value("audit.enabled"), size: reader.value("audit.size") },
        dashboard: Dashboard { enabled: reader.value("dashboard.enabled") },
        log: Log { format: reader.value("log.format"), level: reader.value("log.level") },
        traces: Traces {
            otlp: reader.optional("traces.otlp"),
            one_in: reader.value("traces.one_in"),
            headers: free_texts(reader, ["traces", "headers"], is_header),
        },
        aliases: aliases(reader, &codex.model),
        codex,
    }
}

/// The backend `openai` needs a key, and only that one does.
fn images(reader: &mut Reader, rules: Rules) -> Images {
    let backend_place = reader.place(&["images.backend"]).unwrap_or(Place::Default);
    let key_place = reader.place(&["images.key_file"]);
    let bind_place = reader.place(&["images.bind"]).unwrap_or(Place::Default);
    let images = Images {
        backend: reader.value("images.backend"),
        key_file: reader.optional("images.key_file"),
        base_url: reader.value("images.base_url"),
        bind: reader.optional("images.bind"),
        public_url: reader.optional("images.public_url"),
        concurrent: reader.value("images.concurrent"),
        most: reader.value("images.most"),
        deadline: reader.value("images.deadline"),
        body: reader.value("images.body"),
        size_policy: reader.value("images.size_policy"),
        keep: reader.value("images.keep"),
        keep_size: reader.value("images.keep_size"),
        keep_per_key: reader.value("images.keep_per_key"),
    };
    if rules == Rules::Check {
        match (images.backend, key_place) {
            (ImageBackend::OpenAi, None) => {
                let what = "is missing, `images.backend` = \"openai\" needs it";
                let problem = Problem::of_key(backend_place, "images.key_file", what);
                reader.problem(problem.hint("the path of a file that holds the API key and nothing else"));
            }
            (ImageBackend::Codex | ImageBackend::Off, Some(place)) => {
                let what = "is only for `images.backend` = \"openai\"";
                reader.problem(Problem::of_key(place, "images.key_file", what));
            }
            _ => {}
        }
        if images.bind.is_some_and(|address| !address.ip().is_loopback()) {
            let problem =
                Problem::of_key(bind_place, "images.bind", "is not an address of this machine alone");
            reader.problem(problem.hint("`127.0.0.1:17341`; for other machines there is `http.bind`"));
        }
    }
    images
}

fn state_dir(reader: &mut Reader, env: &[(String, String)]) -> Utf8PathBuf {
    // The XDG specification has relative paths ignored.
    let absolute = |wanted: &str| {
        let found = env.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| Utf8Path::new(value)).filter(|path| path.is_absolute())
    };
    let given = reader.place(&["state.dir"]).is_some();
    let dir = reader.or_computed("state.dir", || {
        let state_home = absolute("XDG_STATE_HOME").map(Utf8Path::to_owned);
        let home = || absolute("HOME").map(|home| home.join(".local/state"));
        state_home.or_else(home).map(|state| state.join("portcullis"))
    });
    if dir.is_none() && !given {
        let what = "has no default here, as neither XDG_STATE_HOME nor HOME is an absolute path";
        let hint = "set `dir` in `[state]`, or PORTCULLIS__STATE__DIR";
        reader.problem(Problem::of_key(Place::Default, "state.dir", what).hint(hint));
    }
    dir.unwrap_or_default()
}

fn aliases(reader: &mut Reader, default_model: &str) -> BTreeMap<String, Alias> {
    let mut aliases = BTreeMap::new();
    for name in reader.names_below(&["aliases"]) {
        let path = |key: &str| vec!["aliases".to_owned(), name.clone(), key.to_owned()];
        let place = reader.place(&["aliases", &name]).unwrap_or(Place::Default);
        let has_model = reader.place(&["aliases", &name, "model"]).is_some();
        let shown = dotted(&path("model")[..2]);
        if !is_model_name(&name) {
            let problem = Problem::of_key(place.clone(), &shown, "is not a model name");
            reader.problem(problem.hint("expected 1 to 128 letters, digits, `.`, `_`, `-`, `:` or `/`"));
        }
        let model: Option<String> = reader.at(&path("model"));
        let effort = reader.at(&path("effort"));
        let profile = reader.at(&path("profile"));
        match model {
            Some(model) => {
                aliases.insert(name, Alias { model, effort, profile });
            }
            None if !has_model => {
                let problem = Problem::of_key(place, shown, "names no model");
                reader.problem(problem.hint("add `model`"));
            }
            None => {}
        }
    }
    // A default gives way as a whole: its effort must not leak into an alias that the user made.
    for (name, effort) in [("codex", None), ("codex-high", Some("high"))] {
        if !aliases.contains_key(name) {
            let alias =
                Alias { model: default_model.to_owned(), effort: effort.map(str::to_owned), profile: None };
            let mut note = |key: &str, value: Option<String>| {
                reader.note(format!("aliases.{name}.{key}"), value, Origin::Default, None);
            };
            note("model", Some(alias.model.show()));
            note("effort", alias.effort.as_ref().map(Meaning::show));
            note("profile", None);
            aliases.insert(name.to_owned(), alias);
        }
    }
    aliases
}

fn is_model_name(name: &str) -> bool {
    let allowed =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '/');
    (1..=128).contains(&name.len()) && name.chars().all(allowed)
}
