//! The policy that stands above a brain's configuration: `/etc/codex/requirements.toml` in its cell, where nothing that a
//! client, a repository or the brain's own home says can override it (measured on 0.169.0; reference: Codex's managed
//! requirements).

use crate::worker_config::Kind;

/// The policy of a kind of worker.
pub(crate) fn requirements(kind: Kind) -> String {
    let mut table = toml::toml! {
        allowed_web_search_modes = ["disabled"]
        allow_managed_hooks_only = true
        allow_remote_control = false
        allow_login_shell = false
        allow_browser_and_computer_use = false
        allow_appshots = false

        [mcp_servers]

        [features]
        apps = false
        goals = false
        hooks = false
        image_generation = false
        multi_agent = false
        multi_agent_v2 = false
        plugins = false
        shell_snapshot = false
    };
    let policies: &[&str] = match kind {
        Kind::Chat | Kind::Drawing | Kind::Exec => &["never"],
        // With approvals Codex asks before every command.
        Kind::Hands => &["never", "untrusted"],
    };
    if kind == Kind::Drawing
        && let Some(toml::Value::Table(features)) = table.get_mut("features")
    {
        features.insert("image_generation".to_owned(), true.into());
    }
    table.insert("allowed_approval_policies".to_owned(), policies.to_vec().into());
    toml::to_string(&table).expect("a table of plain values is always TOML")
}
