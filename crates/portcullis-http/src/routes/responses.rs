//! `/v1/responses`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use portcullis_agent::PrincipalId;
use portcullis_openai::InvalidRequest;
use portcullis_openai::responses::{ResponseBuilder, ResponseRequest};
use portcullis_store::{Order, Page, PageOf, ResponseId, StoredItem, StoredResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Caller, tell_profile};
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::request_id::Id;
use crate::responses::{CancelOnDrop, Job, Live, Prepared, Reader, frame, prepare, spawn};
use crate::routes::chat::{IGNORED, unix_seconds};
use crate::sse;

/// `prefix_` and 32 random digits.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

/// Answers with a response, whole or piece by piece, or makes one in the background.
pub(crate) async fn create(
    caller: Caller,
    request_id: Id,
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let settings = app.settings();
    let mut ids = new_id;
    let request = ResponseRequest::parse(&body, &settings.chat, settings.sampling, &mut ids)?;
    let Prepared { turn, input } = prepare(&app, &caller, request_id, &request).await?;
    let id = new_id("resp");
    let builder = ResponseBuilder::new(&request, &id, unix_seconds(), turn.options.model.as_str());
    let object = builder.object();
    let job = Job {
        id,
        turn,
        input,
        builder,
        store: request.store,
        background: request.background,
        previous: request.previous,
        conversation: request.conversation,
    };
    let profile = job.turn.profile;
    let live = spawn(&app, job).await?;
    // Without the background, a client that leaves takes its response with it.
    let hold = (!request.background).then(|| CancelOnDrop(live.cancel.clone()));
    let mut response = if request.stream {
        // The head waits for the first word, so that an early error has its status; but not for ever.
        if let Ok(Some(end)) = tokio::time::timeout(settings.first_event, live.begun()).await
            && let Some(error) = end.early
        {
            return Err(error);
        }
        sse::response(Reader::new(live, 0, hold))
    } else if request.background {
        Json(object).into_response()
    } else {
        let end = live.ended().await;
        if let Some(error) = end.early {
            return Err(error);
        }
        Json(end.object).into_response()
    };
    tell_profile(&mut response, profile);
    if let Ok(names) = HeaderValue::from_str(&request.ignored.join(", "))
        && !request.ignored.is_empty()
    {
        response.headers_mut().insert(IGNORED, names);
    }
    Ok(response)
}

/// The query of `GET /v1/responses/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct RetrieveQuery {
    #[serde(default)]
    stream: bool,
    starting_after: Option<u64>,
}

/// A kept response, or its events from a number on.
pub(crate) async fn retrieve(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<RetrieveQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::bad_query())?;
    let (owner, kept) = kept(&app, &caller, &id).await?;
    if !query.stream {
        return Ok(Json(body_of(&kept)?).into_response());
    }
    if !kept.background {
        let message = "Only a response that was made with 'background' can be streamed again.";
        return Err(InvalidRequest::at("stream", message).into());
    }
    let next = query.starting_after.map_or(0, |after| after.saturating_add(1));
    match app.live.get(&owner, &id) {
        Some(live) => Ok(sse::response(Reader::new(live, usize::try_from(next).unwrap_or(usize::MAX), None))),
        None => past_events(&app, &owner, &id, query.starting_after).await,
    }
}

/// How many events are read from the store at once.
const EVENTS_AT_ONCE: u32 = 1000;

async fn past_events(
    app: &App,
    owner: &PrincipalId,
    id: &str,
    mut after: Option<u64>,
) -> Result<Response, ApiError> {
    let response_id = ResponseId::new(id.to_owned());
    let mut frames: Vec<Bytes> = Vec::new();
    loop {
        let events = app.responses.events(owner, &response_id, after, EVENTS_AT_ONCE).await?;
        let events = events.ok_or_else(|| ApiError::not_found("Response", id))?;
        let Some(last) = events.last() else { break };
        after = Some(last.sequence);
        for event in &events {
            let data: Value = serde_json::from_str(&event.json).map_err(|_corrupt| ApiError::internal())?;
            frames.push(frame(data["type"].as_str().unwrap_or("message"), &event.json));
        }
    }
    let mut response = frames.concat().into_response();
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Deletes a kept response; one that still runs is cancelled first.
pub(crate) async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if let Some(live) = live(&app, &caller, &id) {
        live.cancel.cancel();
        live.ended().await;
    }
    let (owner, _) = kept(&app, &caller, &id).await?;
    if !app.responses.delete(&owner, &ResponseId::new(id.clone())).await? {
        return Err(ApiError::not_found("Response", &id));
    }
    Ok(Json(json!({"id": id, "object": "response", "deleted": true})))
}

/// Cancels a background response; one that has ended is answered as it is.
pub(crate) async fn cancel(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if let Some(live) = live(&app, &caller, &id) {
        live.cancel.cancel();
        return Ok(Json(live.ended().await.object));
    }
    let (_, kept) = kept(&app, &caller, &id).await?;
    if !kept.background {
        let message = "Only a response that was made with 'background' can be cancelled.";
        return Err(InvalidRequest { message: message.to_owned(), param: None, code: None }.into());
    }
    Ok(Json(body_of(&kept)?))
}

/// The query of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    after: Option<String>,
    limit: Option<u32>,
    order: Option<String>,
}

impl ListQuery {
    /// The page that it asks for: 20 items, newest first, unless it says otherwise.
    pub(crate) fn page(self) -> Result<Page, ApiError> {
        let order = match self.order.as_deref() {
            None | Some("desc") => Order::Descending,
            Some("asc") => Order::Ascending,
            Some(_) => return Err(InvalidRequest::at("order", "'order' is 'asc' or 'desc'.").into()),
        };
        let limit = self.limit.unwrap_or(20);
        if !(1..=100).contains(&limit) {
            return Err(InvalidRequest::at("limit", "'limit' is a number from 1 to 100.").into());
        }
        Ok(Page { after: self.after, limit, order })
    }
}

/// A page as clients read it.
pub(crate) fn list_body(page: &PageOf<StoredItem>) -> Result<Value, ApiError> {
    let (first, last) = (page.items.first().map(|i| i.id.clone()), page.items.last().map(|i| i.id.clone()));
    let data =
        page.items.iter().map(|item| serde_json::from_str(&item.json)).collect::<Result<Vec<Value>, _>>();
    let mut data = data.map_err(|_corrupt| ApiError::internal())?;
    // Sealed reasoning is kept for the continuation and is nobody's reading.
    for item in data.iter_mut().filter_map(Value::as_object_mut) {
        item.remove("encrypted_content");
    }
    Ok(json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": page.has_more}))
}

/// What a kept response was asked.
pub(crate) async fn input_items(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let page = query.map_err(|_| ApiError::bad_query())?.0.page()?;
    let (owner, _) = kept(&app, &caller, &id).await?;
    let items = app.responses.input_items(&owner, &ResponseId::new(id.clone()), page).await?;
    Ok(Json(list_body(&items.ok_or_else(|| ApiError::not_found("Response", &id))?)?))
}

/// Codex tells nobody how many tokens an input has, and compacts only threads of its own.
pub(crate) async fn not_answerable(_caller: Caller) -> (StatusCode, Json<Value>) {
    let message = "This gateway can not answer this truthfully: Codex offers no such call.";
    let body = portcullis_openai::error_body(message, "invalid_request_error", None, Some("not_implemented"));
    (StatusCode::NOT_IMPLEMENTED, Json(body))
}

/// A response that runs now, and is the caller's.
fn live(app: &App, caller: &Caller, id: &str) -> Option<Arc<Live>> {
    caller.owners().find_map(|owner| app.live.get(&owner, id))
}

/// A kept response, and in which of the caller's profiles it was made.
async fn kept(app: &App, caller: &Caller, id: &str) -> Result<(PrincipalId, StoredResponse), ApiError> {
    for owner in caller.owners() {
        if let Some(kept) = app.responses.get(&owner, &ResponseId::new(id.to_owned())).await? {
            return Ok((owner, kept));
        }
    }
    Err(ApiError::not_found("Response", id))
}

fn body_of(kept: &StoredResponse) -> Result<Value, ApiError> {
    serde_json::from_str(&kept.body).map_err(|_corrupt| ApiError::internal())
}
