//! A worker's `config.toml`. Written by a TOML writer, never by hand-made text.
//!
//! What each line removes from the model's request is in docs/design/exact-chat-profile.md.

use camino::Utf8Path;
use toml::{Table, Value};

use crate::provider::{CustomProvider, PROVIDER_KEY_VARIABLE, Provider};

/// The name under which a custom provider stands in the worker's configuration.
const CUSTOM_PROVIDER: &str = "portcullis";

/// What a worker is for. Each kind has a home, a configuration and a model catalog of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Turns of the profile `chat`: what the model receives is what the client sent.
    Chat,
    /// Turns whose model has hands: commands and files, in a cell that somebody else builds.
    Hands,
    /// Turns that make a picture: the model has the one function that does, and nothing else.
    Drawing,
    /// One turn of the profile `chat`, in a process of its own. Unlike a thread's, its instructions can be taken away only in
    /// the catalog.
    Exec,
}

/// The whole configuration of a worker.
pub(crate) fn worker_config(kind: Kind, provider: &Provider, model: &str, catalog: &Utf8Path) -> Table {
    let mut config = base();
    let of_kind = match kind {
        Kind::Chat | Kind::Exec => without_hands(),
        Kind::Hands => with_hands(),
        Kind::Drawing => drawing(),
    };
    merge(&mut config, of_kind);
    config.insert("model".to_owned(), model.into());
    config.insert("model_catalog_json".to_owned(), catalog.as_str().into());
    if let Provider::Custom(custom) = provider {
        config.insert("model_provider".to_owned(), CUSTOM_PROVIDER.into());
        let mut providers = Table::new();
        providers.insert(CUSTOM_PROVIDER.to_owned(), Value::Table(custom_provider(custom)));
        config.insert("model_providers".to_owned(), Value::Table(providers));
    }
    config
}

/// What a provider is called in the worker's configuration.
pub(crate) fn provider_id(provider: &Provider) -> &'static str {
    match provider {
        Provider::OpenAi => "openai",
        Provider::Custom(_) => CUSTOM_PROVIDER,
    }
}

fn custom_provider(custom: &CustomProvider) -> Table {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| table.insert(key.to_owned(), value);
    set("name", custom.name.as_str().into());
    set("base_url", custom.base_url.as_str().into());
    set("wire_api", "responses".into());
    set("requires_openai_auth", custom.requires_openai_auth.into());
    set("supports_websockets", custom.supports_websockets.into());
    if custom.key.is_some() {
        set("env_key", PROVIDER_KEY_VARIABLE.into());
    }
    let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    if let Some(n) = custom.request_max_retries {
        set("request_max_retries", number(n));
    }
    if let Some(n) = custom.stream_max_retries {
        set("stream_max_retries", number(n));
    }
    if let Some(timeout) = custom.stream_idle_timeout {
        set("stream_idle_timeout_ms", number(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)));
    }
    let strings = |map: &std::collections::BTreeMap<String, String>| {
        Value::Table(map.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect())
    };
    if !custom.http_headers.is_empty() {
        set("http_headers", strings(&custom.http_headers));
    }
    if !custom.query_params.is_empty() {
        set("query_params", strings(&custom.query_params));
    }
    table
}

/// Lays one table over another; tables in both are merged.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// What holds for every kind: nothing is remembered, nothing is fetched, nobody is told, nothing starts by itself.
fn base() -> Table {
    toml::toml! {
        check_for_update_on_startup = false
        approval_policy = "never"
        sandbox_mode = "read-only"
        web_search = "disabled"
        include_apps_instructions = false
        include_collaboration_mode_instructions = false
        project_doc_max_bytes = 0
        // Threads that nobody holds any more are unloaded after a second: memory stays flat.
        thread_unload_delay_secs = 1
        cli_auth_credentials_store = "file"

        [skills]
        include_instructions = false
        bundled = { enabled = false }

        [orchestrator]
        skills = { enabled = false }
        mcp = { enabled = false }

        [tools]
        experimental_request_user_input = { enabled = false }

        [history]
        persistence = "none"

        [analytics]
        enabled = false

        [feedback]
        enabled = false

        [agents]
        enabled = false

        [features]
        apps = false
        browser_use = false
        code_mode = false
        code_mode_host = false
        computer_use = false
        enable_request_compression = false
        goals = false
        hooks = false
        image_generation = false
        in_app_browser = false
        memories = false
        plugins = false
        remote_plugin = false
        shell_snapshot = false
        skill_mcp_dependency_install = false
        skill_search = false
        tool_search = false
        tool_suggest = false
        workspace_dependencies = false
    }
}

/// What the model receives is what the client sent: no tools, no instructions, nothing of the machine.
fn without_hands() -> Table {
    toml::toml! {
        include_permissions_instructions = false
        include_environment_context = false

        [shell_environment_policy]
        inherit = "none"

        [features]
        shell_tool = false
        unified_exec = false
        view_image = false
    }
}

fn drawing() -> Table {
    let mut config = without_hands();
    let draws = toml::toml! {
        [features]
        image_generation = true
    };
    merge(&mut config, draws);
    config
}

/// Codex's own tools for commands and files. They run where the thread's environment is, and only there.
fn with_hands() -> Table {
    toml::toml! {
        include_permissions_instructions = true
        include_environment_context = true

        // The whole environment of every command.
        [shell_environment_policy]
        inherit = "none"
        set = { PATH = "/usr/local/bin:/usr/bin:/bin", HOME = "/tmp", LANG = "C.UTF-8" }

        [features]
        shell_tool = true
        unified_exec = true
        view_image = true
    }
}
