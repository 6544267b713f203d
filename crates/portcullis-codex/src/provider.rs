//! Where Codex sends model requests. An explicit choice, never guessed from the environment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
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

impl Provider {
    /// The port at which it is reached.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::OpenAi => 443,
            Self::Custom(custom) => {
                let plain = custom.base_url.starts_with("http:");
                custom.authority().and_then(|at| at.port_u16()).unwrap_or(if plain { 80 } else { 443 })
            }
        }
    }

    /// Whether its host must be looked up.
    pub(crate) fn has_a_name(&self) -> bool {
        match self {
            Self::OpenAi => true,
            Self::Custom(custom) => custom.authority().is_none_or(|at| {
                let host = at.host().trim_start_matches('[').trim_end_matches(']');
                host != "localhost" && host.parse::<IpAddr>().is_err()
            }),
        }
    }
}

impl CustomProvider {
    fn authority(&self) -> Option<Authority> {
        self.base_url.parse::<Uri>().ok()?.into_parts().authority
    }
}

/// The variable of the worker's environment that carries a custom provider's key.
pub(crate) const PROVIDER_KEY_VARIABLE: &str = "PORTCULLIS_PROVIDER_KEY";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_provider_is() {
        let at = |url: &str| {
            let provider = Provider::Custom(CustomProvider {
                name: "p".to_owned(),
                base_url: url.to_owned(),
                requires_openai_auth: false,
                key: None,
                supports_websockets: false,
                request_max_retries: None,
                stream_max_retries: None,
                stream_idle_timeout: None,
                http_headers: BTreeMap::new(),
                query_params: BTreeMap::new(),
            });
            (provider.port(), provider.has_a_name())
        };
        assert_eq!(at("http://127.0.0.1:4000/v1"), (4000, false));
        assert_eq!(at("http://[::1]:4000/v1"), (4000, false));
        assert_eq!(at("http://localhost/v1"), (80, false));
        assert_eq!(at("https://models.example/v1"), (443, true));
        assert_eq!((Provider::OpenAi.port(), Provider::OpenAi.has_a_name()), (443, true));
    }
}
