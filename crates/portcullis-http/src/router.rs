//! The table of routes, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use portcullis_access::Scope;

use crate::app::App;
use crate::auth::behind;
use crate::error::ApiError;
use crate::images::{plugin_routes, routes as images};
use crate::once::once;
use crate::request_id::identify;
use crate::routes::{approvals, chat, conversations, health, models, responses, usage};

/// Every route of the gateway, and the scope that a key needs for it; and pages, if there are any.
pub(crate) fn router(app: &Arc<App>, pages: Option<Router>) -> Router {
    let once = from_fn_with_state(Arc::clone(app), once);
    let inference = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::retrieve))
        .route("/v1/chat/completions", post(chat::create).layer(once.clone()))
        .route("/v1/responses", post(responses::create).layer(once.clone()))
        // Before `{id}`, whose place they would take.
        .route("/v1/responses/compact", post(responses::not_answerable))
        .route("/v1/responses/input_tokens", post(responses::not_answerable))
        .route("/v1/responses/{id}", get(responses::retrieve).delete(responses::delete))
        .route("/v1/responses/{id}/cancel", post(responses::cancel))
        .route("/v1/responses/{id}/input_items", get(responses::input_items))
        .route("/v1/conversations", post(conversations::create))
        .route(
            "/v1/conversations/{id}",
            get(conversations::retrieve).post(conversations::update).delete(conversations::delete),
        )
        .route("/v1/conversations/{id}/items", get(conversations::list_items).post(conversations::add_items))
        .route(
            "/v1/conversations/{id}/items/{item}",
            get(conversations::retrieve_item).delete(conversations::delete_item),
        );
    let usage = Router::new().route("/v1/usage", get(usage::read));
    let operator = Router::new()
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{id}", post(approvals::decide));
    let pictures = Router::new()
        .route("/v1/images", get(images::list))
        .route("/v1/images/generations", post(images::generations).layer(once.clone()))
        .route("/v1/images/edits", post(images::edits).layer(once.clone()))
        .route("/v1/images/variations", post(images::variations));
    // What image plug-ins know, with codes of their own.
    let plugins = Router::new()
        .route("/v1/capabilities", get(plugin_routes::capabilities))
        .route("/v1/images/generate", post(plugin_routes::generate).layer(once.clone()))
        .route("/v1/images/{id}/file", get(images::file).delete(images::delete));
    let metrics = Router::new().route("/metrics", get(health::metrics));
    let without_key = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(plugin_routes::health));

    Router::new()
        .merge(behind(app, &[Scope::Inference], inference))
        .merge(behind(app, &[Scope::Inference, Scope::Images, Scope::Operator], usage))
        .merge(behind(app, &[Scope::Operator], operator))
        .merge(behind(app, &[Scope::Images], pictures))
        .merge(
            behind(app, &[Scope::Images], plugins).route_layer(map_response(plugin_routes::as_the_contract)),
        )
        .merge(behind(app, &[Scope::Metrics], metrics))
        .merge(without_key)
        .with_state(Arc::clone(app))
        .merge(pages.unwrap_or_default())
        .fallback(|| async { ApiError::unknown_url() })
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        // Outermost, so that every answer has an id.
        .layer(from_fn_with_state(Arc::clone(app), identify))
}
