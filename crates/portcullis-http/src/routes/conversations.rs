//! `/v1/conversations`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use portcullis_agent::PrincipalId;
use portcullis_openai::InvalidRequest;
use portcullis_openai::responses::read_items;
use portcullis_store::{ConversationId, NewConversation, StoredConversation, StoredItem};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::routes::responses::{ListQuery, list_body, new_id};

/// How many items one request may add.
const MOST_ITEMS: usize = 20;
/// How large the metadata may be, in bytes.
const MOST_METADATA: usize = 16 * 1024;

/// Makes a conversation.
pub(crate) async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let metadata = metadata(&body)?.unwrap_or_else(|| json!({}));
    let items = match body.get("items").filter(|items| !items.is_null()) {
        Some(items) => read(&app, items)?,
        None => Vec::new(),
    };
    let id = ConversationId::new(new_id("conv"));
    let new = NewConversation {
        id: id.clone(),
        principal: caller.owner(),
        created: jiff::Timestamp::now(),
        metadata: metadata.to_string(),
    };
    app.conversations.create(new).await?;
    if !items.is_empty() {
        app.conversations.append(&caller.owner(), &id, items).await?;
    }
    retrieved(&app, &caller, &id).await
}

/// A conversation.
pub(crate) async fn retrieve(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    retrieved(&app, &caller, &ConversationId::new(id)).await
}

/// Replaces the metadata.
pub(crate) async fn update(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let Some(metadata) = metadata(&body)? else {
        return Err(InvalidRequest::at("metadata", "Missing required parameter: 'metadata'.").into());
    };
    let id = ConversationId::new(id);
    let owner = owner_of(&app, &caller, &id).await?;
    if !app.conversations.set_metadata(&owner, &id, metadata.to_string()).await? {
        return Err(ApiError::not_found("Conversation", id.as_str()));
    }
    retrieved(&app, &caller, &id).await
}

/// Deletes a conversation with its items.
pub(crate) async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let found = ConversationId::new(id.clone());
    if !app.conversations.delete(&owner_of(&app, &caller, &found).await?, &found).await? {
        return Err(ApiError::not_found("Conversation", &id));
    }
    Ok(Json(json!({"id": id, "object": "conversation.deleted", "deleted": true})))
}

/// Adds items.
pub(crate) async fn add_items(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let items = read(&app, body.get("items").unwrap_or(&Value::Null))?;
    let page = portcullis_store::PageOf { items: items.clone(), has_more: false };
    let id = ConversationId::new(id);
    let owner = owner_of(&app, &caller, &id).await?;
    if !app.conversations.append(&owner, &id, items).await? {
        return Err(ApiError::not_found("Conversation", id.as_str()));
    }
    Ok(Json(list_body(&page)?))
}

/// Lists items.
pub(crate) async fn list_items(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let page = query.map_err(|_| ApiError::bad_query())?.0.page()?;
    let found = ConversationId::new(id.clone());
    let owner = owner_of(&app, &caller, &found).await?;
    let items = app.conversations.items(&owner, &found, page).await?;
    Ok(Json(list_body(&items.ok_or_else(|| ApiError::not_found("Conversation", &id))?)?))
}

/// One item.
pub(crate) async fn retrieve_item(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, item)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let id = ConversationId::new(id);
    let found = app.conversations.item(&owner_of(&app, &caller, &id).await?, &id, &item).await?;
    let found = found.ok_or_else(|| ApiError::not_found("Item", &item))?;
    serde_json::from_str(&found.json).map(Json).map_err(|_corrupt| ApiError::internal())
}

/// Deletes one item; the answer is the conversation.
pub(crate) async fn delete_item(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, item)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let id = ConversationId::new(id);
    let owner = owner_of(&app, &caller, &id).await?;
    if !app.conversations.delete_item(&owner, &id, &item).await? {
        return Err(ApiError::not_found("Item", &item));
    }
    retrieved(&app, &caller, &id).await
}

async fn retrieved(app: &App, caller: &Caller, id: &ConversationId) -> Result<Json<Value>, ApiError> {
    let StoredConversation { id, created, metadata, .. } = found(app, caller, id).await?.1;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|_corrupt| ApiError::internal())?;
    let created = created.as_second();
    Ok(Json(
        json!({"id": id.as_str(), "object": "conversation", "created_at": created, "metadata": metadata}),
    ))
}

/// A conversation, and in which of the caller's profiles it was made.
async fn found(
    app: &App,
    caller: &Caller,
    id: &ConversationId,
) -> Result<(PrincipalId, StoredConversation), ApiError> {
    for owner in caller.owners() {
        if let Some(found) = app.conversations.get(&owner, id).await? {
            return Ok((owner, found));
        }
    }
    Err(ApiError::not_found("Conversation", id.as_str()))
}

async fn owner_of(app: &App, caller: &Caller, id: &ConversationId) -> Result<PrincipalId, ApiError> {
    found(app, caller, id).await.map(|(owner, _)| owner)
}

fn metadata(body: &Value) -> Result<Option<Value>, ApiError> {
    match body.get("metadata").filter(|metadata| !metadata.is_null()) {
        None => Ok(None),
        Some(metadata) if metadata.is_object() && metadata.to_string().len() <= MOST_METADATA => {
            Ok(Some(metadata.clone()))
        }
        Some(_) => {
            let message = format!("'metadata' is an object of at most {MOST_METADATA} bytes.");
            Err(InvalidRequest::at("metadata", message).into())
        }
    }
}

fn read(app: &App, items: &Value) -> Result<Vec<StoredItem>, ApiError> {
    let mut ids = new_id;
    let read = read_items(items, "items", &app.settings().chat, &mut ids)?;
    if read.len() > MOST_ITEMS || read.is_empty() {
        return Err(InvalidRequest::at("items", format!("'items' has 1 to {MOST_ITEMS} items.")).into());
    }
    if read.iter().any(|item| item.history.is_none()) {
        return Err(InvalidRequest::at("items", "A reference can not be kept; send the item itself.").into());
    }
    Ok(read.into_iter().map(|item| StoredItem { id: item.id, json: item.json.to_string() }).collect())
}
