//! From the name in a request to a model that the agent offers.

use std::time::Duration;

use portcullis_agent::{Model, Profile, ReasoningSummary, TurnOptions};
use portcullis_audit::Why;
use portcullis_openai::InvalidRequest;
use portcullis_openai::chat::Format;

use crate::app::{Alias, App};
use crate::auth::Caller;
use crate::error::ApiError;

/// A model that the agent offers, and the effort that its name stands for.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) model: Model,
    effort: Option<String>,
    /// What its turn may touch.
    pub(crate) profile: Profile,
}

/// What a request says about how its turn is run.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) effort: Option<&'a str>,
    pub(crate) summary: ReasoningSummary,
    pub(crate) verbosity: Option<&'a str>,
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) format: &'a Format,
}

/// Finds the model behind a name: an alias, or the model's own. The caller may have to do without it.
pub(crate) async fn resolve(app: &App, caller: &Caller, name: &str) -> Result<Resolved, ApiError> {
    let settings = app.settings();
    let alias = settings.aliases.get(name);
    let wanted = alias.map_or(name, |Alias { model, .. }| model);
    let models = app.agent.models().await?;
    let model = models.into_iter().find(|model| model.id.as_str() == wanted);
    let model = model.ok_or_else(|| ApiError::unknown_model(name))?;
    if !caller.grant.allows_model(&[name, wanted]) {
        caller.refused(Why::Model, name);
        return Err(ApiError::model_not_allowed(name));
    }
    let profile = caller.profile(alias.and_then(|alias| alias.profile))?;
    Ok(Resolved { model, effort: alias.and_then(|alias| alias.effort.clone()), profile })
}

impl Resolved {
    /// How a turn is run on this model, as the request asks for it.
    pub(crate) fn options(
        &self,
        asked: Asked<'_>,
        deadline: Duration,
    ) -> Result<TurnOptions, InvalidRequest> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(TurnOptions {
            model: self.model.id.clone(),
            effort: self.effort(owned(asked.effort))?,
            summary: asked.summary,
            verbosity: owned(asked.verbosity),
            service_tier: owned(asked.service_tier),
            output_schema: match asked.format {
                Format::JsonSchema(schema) => Some(schema.clone()),
                Format::Text | Format::JsonObject => None,
            },
            deadline,
        })
    }

    /// The effort to run with: the request's own, else the alias's. Only words that the model advertises.
    fn effort(&self, asked: Option<String>) -> Result<Option<String>, InvalidRequest> {
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
