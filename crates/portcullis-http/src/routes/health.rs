//! `/livez`: the process runs. `/readyz`: a turn could start now, or what is missing. `/metrics`: what was counted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use portcullis_agent::{Condition, WorkerReport};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::account::{account_as_json, known};
use crate::app::App;
use crate::auth::{Caller, bearer};

/// The process runs.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Whether a turn could start now. No secrets, no paths. What is used of the login's limits is for the operator alone, who asks
/// with a word of the state directory.
pub(crate) async fn ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
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
    let mut body = json!({
        "ready": ready,
        "draining": draining,
        "conditions": readiness.conditions,
        "warnings": app.warnings,
    });
    let word = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    if word.is_some_and(|word| word.as_bytes().ct_eq(app.local.expose_secret().as_bytes()).into()) {
        body["account"] = account(&app);
    }
    (status, Json(body)).into_response()
}

/// What is known of the login's limits.
fn account(app: &App) -> Value {
    let workers = workers(app);
    account_as_json(known(&workers, jiff::Timestamp::now().as_second()))
}

/// Those that talk and those that draw.
fn workers(app: &App) -> Vec<WorkerReport> {
    let mut workers = app.agent.workers();
    workers.extend(app.studio.iter().flat_map(|studio| studio.agent.workers()));
    workers
}

/// What was counted, for Prometheus; with a key, since it tells how the gateway is used.
pub(crate) async fn metrics(_caller: Caller, State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    app.metrics.saw_workers(&workers(&app));
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}
