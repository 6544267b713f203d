//! `/livez`: the process runs. `/readyz`: a turn could start now, or what is missing. `/metrics`: what was counted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use portcullis_agent::Condition;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;

/// The process runs.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Whether a turn could start now. No secrets, no paths.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut readiness = app.agent.readiness().await;
    if let Some(studio) = &app.studio {
        // A gateway that can not draw can still talk.
        let pictures = studio.agent.readiness().await.conditions.into_iter();
        for condition in pictures {
            // What both agents share is said once.
            if !readiness.conditions.contains(&condition) {
                readiness.conditions.push(Condition { required: false, ..condition });
            }
        }
    }
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

/// What was counted, for Prometheus; with a key, since it tells how the gateway is used.
pub(crate) async fn metrics(_caller: Caller, State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut workers = app.agent.workers();
    workers.extend(app.studio.iter().flat_map(|studio| studio.agent.workers()));
    app.metrics.saw_workers(&workers);
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}
