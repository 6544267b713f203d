//! `GET /v1/models`, `GET /v1/models/{model}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use portcullis_openai::{model_list, model_object};
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::model_names::resolve;

/// The models that the agent offers and the caller may use, and the aliases that lead to one of them.
pub(crate) async fn list(caller: Caller, State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let models = app.agent.models().await?;
    let offered = |name: &str| models.iter().any(|model| model.id.as_str() == name);
    let allowed = |names: &[&str]| caller.grant.allows_model(names);
    let settings = app.settings();
    let aliases = settings.aliases.iter().filter(|(name, alias)| {
        offered(&alias.model)
            && !offered(name)
            && allowed(&[name, &alias.model])
            && alias.profile.is_none_or(|profile| profile <= caller.grant.profile)
    });
    let own = models.iter().map(|model| model.id.as_str()).filter(|name| allowed(&[name]));
    let own = own.map(|name| model_object(name, "codex"));
    let all: Vec<Value> = own.chain(aliases.map(|(name, _)| model_object(name, "portcullis"))).collect();
    Ok(Json(model_list(&all)))
}

/// One of them.
pub(crate) async fn retrieve(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let resolved = resolve(&app, &caller, &name).await?;
    let owner = if resolved.model.id.as_str() == name { "codex" } else { "portcullis" };
    Ok(Json(model_object(&name, owner)))
}
