//! Who serves the model: from the configuration to what Codex is told.

use std::collections::BTreeMap;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use portcullis_codex::{CustomProvider, Provider};
use portcullis_lab::{ModelServer, demo, draw};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config;

/// Where model requests go.
pub(crate) struct Upstream {
    /// In words.
    pub(super) name: String,
    pub(crate) provider: Provider,
    /// The built-in model, if it is the one.
    pub(super) lab: Option<ModelServer>,
}

/// The provider's key cannot be had: the configuration names a file that is not one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// It cannot be read.
    #[error("`{name}` cannot be read: `{path}`")]
    Unreadable {
        /// The key of the configuration.
        name: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing in it, or more than a key.
    #[error("`{name}` holds no key, which is one line of printable ASCII: `{path}`")]
    NoKey {
        /// The key of the configuration.
        name: &'static str,
        /// The file.
        path: Utf8PathBuf,
    },
}

/// Reads the provider's key, or starts the built-in model.
pub(crate) async fn open(provider: &config::Provider) -> anyhow::Result<Upstream> {
    match provider {
        config::Provider::OpenAi => Ok(Upstream {
            name: "OpenAI with the operator's Codex login".to_owned(),
            provider: Provider::OpenAi,
            lab: None,
        }),
        config::Provider::Lab => lab().await,
        config::Provider::Custom(custom) => Ok(self::custom(custom)?),
    }
}

async fn lab() -> anyhow::Result<Upstream> {
    let server = ModelServer::start().await.context("the built-in demo model did not start")?;
    server.respond_with(demo::answer);
    server.draw_with(draw::answer);
    let provider = CustomProvider {
        name: "portcullis-lab".to_owned(),
        base_url: server.base_url(),
        requires_openai_auth: false,
        key: None,
        supports_websockets: false,
        // It is in this process: what fails once fails again.
        request_max_retries: Some(0),
        stream_max_retries: Some(0),
        stream_idle_timeout: None,
        http_headers: BTreeMap::new(),
        query_params: BTreeMap::new(),
    };
    Ok(Upstream {
        name: "the built-in demo model".to_owned(),
        provider: Provider::Custom(provider),
        lab: Some(server),
    })
}

fn custom(custom: &config::CustomProvider) -> Result<Upstream, KeyFileError> {
    let key = custom.key_file.as_deref().map(|path| read_key("provider.key_file", path)).transpose()?;
    let exposed = |texts: &BTreeMap<String, SecretString>| {
        texts.iter().map(|(name, text)| (name.clone(), text.expose_secret().to_owned())).collect()
    };
    let provider = CustomProvider {
        name: custom.name.clone(),
        base_url: custom.base_url.as_str().to_owned(),
        requires_openai_auth: custom.requires_openai_auth,
        key,
        supports_websockets: custom.supports_websockets,
        request_max_retries: custom.request_max_retries,
        stream_max_retries: custom.stream_max_retries,
        stream_idle_timeout: custom.stream_idle_timeout,
        http_headers: exposed(&custom.http_headers),
        query_params: exposed(&custom.query_params),
    };
    let name = format!("`{}` at {}", provider.name, provider.base_url);
    Ok(Upstream { name, provider: Provider::Custom(provider), lab: None })
}

/// The key in a file that the configuration names under `name`.
pub(super) fn read_key(name: &'static str, path: &Utf8Path) -> Result<SecretString, KeyFileError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| KeyFileError::Unreadable { name, path: path.to_owned(), source })?;
    let key = text.trim();
    // It becomes a header and a variable, where a line end would be somebody else's line.
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyFileError::NoKey { name, path: path.to_owned() });
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use camino_tempfile::Utf8TempDir;

    use super::*;

    #[test]
    fn a_key_file_holds_one_key() {
        let dir = Utf8TempDir::new().unwrap();
        let path = dir.path().join("key");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_key("provider.key_file", &path)
                .map(|key| key.expose_secret().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(" sk-1\n").as_deref(), Ok("sk-1"));
        for bad in ["", " \n", "sk-1\nsk-2", "sk 1", "schlüssel"] {
            assert!(read(bad).unwrap_err().contains("holds no key"), "{bad:?}");
        }
        let missing = read_key("provider.key_file", &dir.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"));
    }
}
