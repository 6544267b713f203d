//! The model catalog that a worker is given: Codex's own, with every tool of Codex's taken away, or with those left
//! that work in a cell.
//!
//! Feature flags alone leave `apply_patch`, or a V8 host, with the model; only the catalog decides that
//! (measured on 0.169.0: with this catalog 27 forced tool calls all answer "unsupported call"). The price: the
//! catalog is the one bundled with the binary, so a model that OpenAI adds appears with the next Codex.

use serde_json::{Value, json};

use crate::worker_config::Kind;

/// The catalog of a kind of worker, with an entry for every name in `wanted` that Codex's does not have (a custom
/// provider's own models), made after the last listed one.
pub(crate) fn catalog(kind: Kind, bundled: &[u8], wanted: &[String]) -> Result<Value, CatalogError> {
    let mut catalog: Value = serde_json::from_slice(bundled).map_err(CatalogError::NotJson)?;
    let models = catalog.get_mut("models").and_then(Value::as_array_mut).ok_or(CatalogError::NoModels)?;
    let template =
        models.iter().rfind(|m| m["visibility"] == "list").cloned().ok_or(CatalogError::NoModels)?;
    for name in wanted {
        if !models.iter().any(|m| m["slug"] == name.as_str()) {
            let mut model = template.clone();
            model["slug"] = json!(name);
            model["display_name"] = json!(name);
            model["description"] = json!("A model of the configured provider.");
            models.push(model);
        }
    }
    for model in models {
        if kind != Kind::Hands {
            model["shell_type"] = json!("disabled");
            model["apply_patch_tool_type"] = Value::Null;
        }
        if kind == Kind::Exec {
            model["base_instructions"] = json!("");
            model["model_messages"] = Value::Null;
        }
        // Otherwise newer models write programs for a V8 host, which runs beside the brain and not in the cell.
        model["tool_mode"] = json!("direct");
        model["experimental_supported_tools"] = json!([]);
        model["multi_agent_version"] = json!("disabled");
        model["supports_search_tool"] = json!(false);
        // A verbosity that the client did not ask for.
        model["default_verbosity"] = Value::Null;
        // Otherwise Codex turns every picture's `detail` into `original`.
        model["supports_image_detail_original"] = json!(false);
    }
    Ok(catalog)
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error("`codex debug models` did not print JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("`codex debug models` printed no listed models")]
    NoModels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_gone_and_wanted_models_are_there() {
        let bundled = json!({"models": [
            {"slug": "a", "visibility": "list", "shell_type": "unified_exec", "apply_patch_tool_type": "freeform",
             "tool_mode": "code_mode_only", "experimental_supported_tools": ["clock"], "supports_search_tool": true,
             "multi_agent_version": "v2", "priority": 1},
            {"slug": "hidden", "visibility": "hide"},
        ]});
        let bundled = serde_json::to_vec(&bundled).unwrap();
        let catalog = catalog(Kind::Chat, &bundled, &["a".to_owned(), "mine".to_owned()]).unwrap();
        let bare = json!({"shell_type": "disabled", "apply_patch_tool_type": null, "tool_mode": "direct",
            "experimental_supported_tools": [], "multi_agent_version": "disabled", "supports_search_tool": false,
            "default_verbosity": null, "supports_image_detail_original": false});
        let with = |more: Value| {
            let mut model = more;
            for (key, value) in bare.as_object().unwrap() {
                model[key] = value.clone();
            }
            model
        };
        let expected = json!({"models": [
            with(json!({"slug": "a", "visibility": "list", "priority": 1})),
            with(json!({"slug": "hidden", "visibility": "hide"})),
            with(json!({"slug": "mine", "visibility": "list", "priority": 1, "display_name": "mine",
                "description": "A model of the configured provider."})),
        ]});
        assert_eq!(catalog, expected);
    }
}
