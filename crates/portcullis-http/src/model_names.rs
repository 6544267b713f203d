//! From the name in a request to a model that the agent offers.

use portcullis_agent::Model;
use portcullis_openai::InvalidRequest;

use crate::app::{Alias, App};
use crate::error::ApiError;

/// A model that the agent offers, and the effort that its name stands for.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) model: Model,
    effort: Option<String>,
}

/// Finds the model behind a name: an alias, or the model's own.
pub(crate) async fn resolve(app: &App, name: &str) -> Result<Resolved, ApiError> {
    let alias = app.settings.aliases.get(name);
    let wanted = alias.map_or(name, |Alias { model, .. }| model);
    let models = app.agent.models().await?;
    let model = models.into_iter().find(|model| model.id.as_str() == wanted);
    let model = model.ok_or_else(|| ApiError::unknown_model(name))?;
    Ok(Resolved { model, effort: alias.and_then(|alias| alias.effort.clone()) })
}

impl Resolved {
    /// The effort to run with: the request's own, else the alias's. Only words that the model advertises.
    pub(crate) fn effort(&self, asked: Option<String>) -> Result<Option<String>, InvalidRequest> {
        let Some(word) = asked.or_else(|| self.effort.clone()) else { return Ok(None) };
        if self.model.efforts.contains(&word) {
            return Ok(Some(word));
        }
        let known = self.model.efforts.join("', '");
        let shown: String = word.chars().take(50).collect();
        let message = format!(
            "Unsupported value: 'reasoning_effort' does not support '{shown}' with this model. Supported values are: '{known}'."
        );
        Err(InvalidRequest::at("reasoning_effort", message).code("unsupported_value"))
    }
}
