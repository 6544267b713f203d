//! `/livez`: the process runs. `/readyz`: a turn could start now, or what is missing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

/// The process runs.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Whether a turn could start now. No secrets, no paths.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let readiness = app.agent.readiness().await;
    let draining = app.draining.is_cancelled();
    let ready = readiness.ready && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "draining": draining,
        "conditions": readiness.conditions,
        "warnings": app.warnings,
    });
    (status, Json(body)).into_response()
}
