//! From a request to a turn: the kept conversation, the new items, the model.

use std::sync::Arc;

use portcullis_agent::{Author, HistoryItem, Message, Part, PrincipalId, TurnRequest};
use portcullis_openai::InvalidRequest;
use portcullis_openai::responses::{ResponseRequest, check_calls, stored_item};
use portcullis_store::{ConversationId, ResponseId, StoredItem};
use serde_json::Value;

use crate::app::App;
use crate::auth::{Caller, owner};
use crate::error::ApiError;
use crate::model_names::{Asked, resolve};
use crate::request_id::Id;

/// A request that can be run.
pub(crate) struct Prepared {
    pub(crate) turn: TurnRequest,
    /// The new items as they are kept; references are not.
    pub(crate) input: Vec<StoredItem>,
}

/// Puts together what the model reads.
pub(crate) async fn prepare(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    request: &ResponseRequest,
) -> Result<Prepared, ApiError> {
    let resolved = resolve(app, caller, &request.model).await?;
    let owner = owner(&caller.principal, resolved.profile);
    let kept = kept_items(app, &owner, request).await?;
    let mut history = Vec::with_capacity(kept.len() + request.input.len() + 1);
    if let Some(instructions) = &request.instructions {
        let parts = vec![Part::Text(instructions.clone())];
        history.push(HistoryItem::Message(Message { author: Author::Developer, parts }));
    }
    for item in &kept {
        history.push(read_kept(item)?);
    }
    let mut input = Vec::with_capacity(request.input.len());
    for item in &request.input {
        if let Some(read) = &item.history {
            history.push(read.clone());
            input.push(StoredItem { id: item.id.clone(), json: item.json.to_string() });
        } else if !kept.iter().any(|kept| kept.id == item.id) {
            // A reference stands for an item of an earlier answer; one that is in the conversation stands there already.
            let found =
                app.responses.item_by_id(&owner, &item.id).await?.ok_or_else(|| not_found(&item.id))?;
            history.push(read_kept(&found)?);
            input.push(found);
        }
    }
    check_calls(&history)?;
    app.remote_images.inline(&app.settings(), &mut history).await?;
    if !resolved.model.reads_images && crate::routes::chat::has_images(&history) {
        return Err(InvalidRequest::at("input", "This model does not read pictures.").into());
    }
    let asked = Asked {
        effort: request.effort.as_deref(),
        summary: request.summary,
        verbosity: request.verbosity.as_deref(),
        service_tier: request.service_tier.as_deref(),
        format: &request.format,
    };
    let options = resolved.options(asked, app.settings().deadline)?;
    let turn = TurnRequest {
        picture: None,
        request: id.request,
        trace: id.trace,
        principal: caller.principal.clone(),
        profile: resolved.profile,
        place: caller.place(),
        history,
        tools: request.tools.clone(),
        options,
    };
    Ok(Prepared { turn, input })
}

fn not_found(id: &str) -> ApiError {
    InvalidRequest::at("input", format!("Item with id '{id}' not found.")).code("item_not_found").into()
}

async fn kept_items(
    app: &App,
    owner: &PrincipalId,
    request: &ResponseRequest,
) -> Result<Vec<StoredItem>, ApiError> {
    if let Some(previous) = &request.previous {
        let id = ResponseId::new(previous.clone());
        return app.responses.history(owner, &id).await?.ok_or_else(|| ApiError::no_previous(previous));
    }
    if let Some(conversation) = &request.conversation {
        let id = ConversationId::new(conversation.clone());
        let items = app.conversations.all_items(owner, &id).await?;
        return items.ok_or_else(|| ApiError::not_found("Conversation", conversation));
    }
    Ok(Vec::new())
}

fn read_kept(item: &StoredItem) -> Result<HistoryItem, ApiError> {
    let json: Value = serde_json::from_str(&item.json).map_err(|_corrupt| ApiError::internal())?;
    stored_item(&json).map_err(|fault| {
        tracing::error!(item.id = item.id, fault = fault.message, "A stored item can not be read");
        ApiError::internal()
    })
}
