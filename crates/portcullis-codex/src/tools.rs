//! The caller's tools as Codex takes them.
//!
//! Codex keeps two names for tools of its own and takes a caller's tool of that name away without a word (measured
//! on 0.169.0). Other coding agents use them, the Codex CLI itself among them. So these tools are offered in a
//! namespace: the model reads the same name, description and schema, one level deeper.

use portcullis_agent::ToolSpec;
use portcullis_app_server_protocol::DynamicTool;

/// The names that Codex would take away.
const KEPT_BY_CODEX: &[&str] = &["exec_command", "shell_command"];
/// Where they are offered instead.
const NAMESPACE: &str = "client";

/// The namespace of a tool of this name, if it needs one.
pub(crate) fn namespace_of(name: &str) -> Option<&'static str> {
    KEPT_BY_CODEX.contains(&name).then_some(NAMESPACE)
}

/// Whether a call in this namespace is a call of a caller's tool. `functions` is what some models call the
/// place of all functions.
pub(crate) fn is_callers(namespace: Option<&str>) -> bool {
    matches!(namespace, None | Some("functions" | NAMESPACE))
}

/// The tools of a thread.
pub(crate) fn dynamic_tools(tools: Vec<ToolSpec>) -> Vec<DynamicTool> {
    let (kept, plain): (Vec<_>, Vec<_>) =
        tools.into_iter().partition(|tool| namespace_of(&tool.name).is_some());
    let mut all: Vec<DynamicTool> = plain.into_iter().map(function).collect();
    if !kept.is_empty() {
        let description = "Functions of the application.".to_owned();
        let tools = kept.into_iter().map(function).collect();
        all.push(DynamicTool::Namespace { name: NAMESPACE.to_owned(), description, tools });
    }
    all
}

fn function(tool: ToolSpec) -> DynamicTool {
    DynamicTool::Function { name: tool.name, description: tool.description, input_schema: tool.parameters }
}
