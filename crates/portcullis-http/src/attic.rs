//! What is kept does not stay for ever, and what a dead gateway left running is said to have failed.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use portcullis_store::StoredResponse;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::usage::today;

/// How often old responses are looked for.
const EVERY: Duration = Duration::from_mins(1);
/// How many days of usage are kept: a year can be compared with the one before it, and no more.
const KEEP_USAGE: i32 = 800;

/// At the start: nothing runs, so what is kept as running was running when the gateway before this one died.
pub(crate) async fn settle(app: &App) {
    match app.responses.fail_unfinished(jiff::Timestamp::now(), &lost).await {
        Ok(ids) if ids.is_empty() => {}
        Ok(ids) => tracing::warn!(
            responses = ids.len(),
            "Background responses of an earlier run have failed with it"
        ),
        Err(error) => {
            tracing::error!(error = %error, "The responses of an earlier run could not be looked through");
        }
    }
}

fn lost(response: &StoredResponse) -> String {
    let mut body: Value =
        serde_json::from_str(&response.body).unwrap_or_else(|_| json!({"id": response.id.as_str()}));
    body["status"] = json!("failed");
    let message = "The gateway was stopped while this response was running.";
    body["error"] = json!({"code": "server_error", "message": message});
    body.to_string()
}

/// Removes what is too old or too much, until the gateway ends.
pub(crate) async fn keep_clean(app: Arc<App>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Some(shelf) = app.studio.as_ref().and_then(|studio| studio.shelf.clone()) {
            // A few files at most; reading the clock is the most of it.
            let expired = tokio::task::spawn_blocking(move || shelf.expire(std::time::Instant::now()));
            if expired.await.is_err() {
                tracing::error!("Old pictures could not be removed");
            }
        }
        let keep = app.settings().keep;
        let age = jiff::SignedDuration::try_from(keep.age).unwrap_or(jiff::SignedDuration::MAX);
        let Ok(before) = jiff::Timestamp::now().checked_sub(age) else { continue };
        let day = today().saturating_sub(KEEP_USAGE.days());
        match app.usage.forget(day).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(sums = count, "Old usage was removed"),
            Err(error) => tracing::error!(error = %error, "Old usage could not be removed"),
        }
        let removed = async {
            let old = app.responses.expire(before).await?;
            Ok::<u64, portcullis_store::StoreError>(old + app.responses.shrink(keep.bytes).await?)
        };
        match removed.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(responses = count, "Old responses were removed"),
            Err(error) => tracing::error!(error = %error, "Old responses could not be removed"),
        }
    }
}
