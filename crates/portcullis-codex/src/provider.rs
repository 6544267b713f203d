//! Where Codex sends model requests. An explicit choice, never guessed from the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

/// Where Codex sends model requests.
#[derive(Clone, Debug)]
pub enum Provider {
    /// OpenAI, with the operator's Codex login.
    OpenAi,
    /// Another endpoint that speaks the Responses API: a company proxy, Azure, a local model, a test.
    Custom(CustomProvider),
}

/// An endpoint that speaks the Responses API.
#[derive(Clone, Debug)]
pub struct CustomProvider {
    /// For people and logs.
    pub name: String,
    /// Codex posts to `<base_url>/responses`.
    pub base_url: String,
    /// Whether Codex's own login is sent there.
    pub requires_openai_auth: bool,
    /// A key of this provider; reaches the worker in its environment only.
    pub key: Option<SecretString>,
    /// Whether Codex may try a websocket first.
    pub supports_websockets: bool,
    /// How often Codex repeats a request that failed; its own default where absent.
    pub request_max_retries: Option<u64>,
    /// How often Codex repeats a stream that broke; its own default where absent.
    pub stream_max_retries: Option<u64>,
    /// How long a stream may be silent; Codex's own default where absent.
    pub stream_idle_timeout: Option<Duration>,
    /// Headers added to every request.
    pub http_headers: BTreeMap<String, String>,
    /// Query parameters added to every request.
    pub query_params: BTreeMap<String, String>,
}

/// The variable of the worker's environment that carries a custom provider's key.
pub(crate) const PROVIDER_KEY_VARIABLE: &str = "PORTCULLIS_PROVIDER_KEY";
