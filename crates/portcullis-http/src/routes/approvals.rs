//! `/v1/approvals`: what agents ask, for keys with the scope `operator`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, State};
use portcullis_agent::{Approval, Verdict};
use portcullis_audit::Entry;
use portcullis_openai::InvalidRequest;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::ApiError;

/// Everything that waits, oldest first.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let waiting: Vec<_> = app.approvals.waiting().iter().map(shown).collect();
    Json(json!({"object": "list", "data": waiting}))
}

/// Answers one. A yes is in the audit log before the agent hears it; where it can not be written, it is a no.
pub(crate) async fn decide(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let yes = match body.get("decision").and_then(Value::as_str) {
        Some("approve") => true,
        Some("decline") => false,
        _ => return Err(InvalidRequest::at("decision", "The decision is 'approve' or 'decline'.").into()),
    };
    let waiting = app.approvals.take(&id).ok_or_else(|| ApiError::not_found("Approval", &id))?;
    let verdict = if yes { Verdict::Approved } else { Verdict::Declined };
    let written =
        app.audit.append(Entry::decided(caller.principal.as_str(), waiting.approval(), verdict)).await;
    if yes && written.is_err() {
        return Err(ApiError::unaudited());
    }
    let in_time = waiting.answer(yes);
    Ok(Json(json!({"id": id, "decision": verdict.word(), "in_time": in_time})))
}

fn shown(Approval { id, question, asked_at, expires_at }: &Approval) -> Value {
    json!({
        "id": id.as_str(),
        "kind": question.kind,
        "about": question.about,
        "principal": question.principal.as_str(),
        "profile": question.profile,
        "request": question.request.as_str(),
        "thread": question.thread.as_str(),
        "turn": question.turn.as_str(),
        "asked_at": unix_seconds(*asked_at),
        "expires_at": unix_seconds(*expires_at),
    })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
