//! Codex and its login.

use portcullis_codex::{CodexBinary, PINNED_VERSION};

use super::check::Check;
use crate::config::{Config, Provider};
use crate::gateway;

/// What can be said of Codex, or why it can not be used.
pub(super) async fn checks(binary: Result<&CodexBinary, &anyhow::Error>, config: &Config) -> Vec<Check> {
    let binary = match binary {
        Ok(binary) => binary,
        Err(error) => return vec![Check::failed("codex", error)],
    };
    let found = format!("Codex {} at `{}`", binary.version, binary.path);
    let mut checks = vec![if binary.is_pinned() {
        Check::ok("codex", found)
    } else {
        let what = format!("{found}, which is not the version that Portcullis is tested with");
        Check::warn("codex", what, format!("`npm install -g @openai/codex@{PINNED_VERSION}`"))
    }];
    let needs_login = match &config.provider {
        Provider::OpenAi => true,
        Provider::Lab => false,
        Provider::Custom(custom) => custom.requires_openai_auth,
    };
    checks.push(if !needs_login {
        Check::ok("login", "the provider needs no Codex login".to_owned())
    } else if !config.codex.home.exists() {
        // Codex would make it, and a doctor makes nothing.
        Check::fail("login", "nobody is signed in".to_owned(), "`portcullis login`")
    } else {
        match account(binary, config).await {
            Ok(Some(who)) => Check::ok("login", format!("signed in with {who}")),
            Ok(None) => Check::fail("login", "nobody is signed in".to_owned(), "`portcullis login`"),
            Err(error) => Check::failed("login", &error),
        }
    });
    checks
}

/// Who is signed in, as Codex itself says.
async fn account(binary: &CodexBinary, config: &Config) -> anyhow::Result<Option<String>> {
    let confined = gateway::decide_confinement(config, binary).await?;
    Ok(portcullis_codex::account(binary, &config.codex.home, &confined.confinement).await?)
}
