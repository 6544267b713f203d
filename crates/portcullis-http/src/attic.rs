//! What is kept does not stay for ever, and what a dead gateway left running is said to have failed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use portcullis_agent::AgeClock;
use portcullis_store::StoredResponse;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::app::App;

/// How often old responses are looked for.
const EVERY: Duration = Duration::from_mins(1);
/// How many days of usage are kept: a year can be compared with the one before it, and no more.
const KEEP_USAGE: i32 = 800;

/// At the start: nothing runs, so what is kept as running was running when the gateway before this one died.
pub(crate) async fn settle(app: &App) {
    match app.responses.fail_unfinished(Timestamp::now(), &lost).await {
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

/// Before when things are too old to be kept.
#[derive(Debug, Eq, PartialEq)]
struct Old {
    responses: Timestamp,
    usage: Date,
}

/// What is too old now, by a clock that may jump; nothing is where it is out of all bounds.
fn old(clock: &mut AgeClock, wall: SystemTime, now: Instant, keep: Duration) -> Option<Old> {
    let time = Timestamp::try_from(clock.time(wall, now)).ok()?;
    let keep = SignedDuration::try_from(keep).ok()?;
    let usage = time.to_zoned(TimeZone::UTC).date().saturating_sub(KEEP_USAGE.days());
    Some(Old { responses: time.checked_sub(keep).ok()?, usage })
}

/// Removes what is too old or too much, until the gateway ends.
pub(crate) async fn keep_clean(app: Arc<App>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clock = AgeClock::new(SystemTime::now(), Instant::now());
    loop {
        every.tick().await;
        if let Some(shelf) = app.studio.as_ref().and_then(|studio| studio.shelf.clone()) {
            // A few files at most; reading the clock is the most of it.
            let expired = tokio::task::spawn_blocking(move || shelf.expire(Instant::now()));
            if expired.await.is_err() {
                tracing::error!("Old pictures could not be removed");
            }
        }
        let keep = app.settings().keep;
        let Some(Old { responses, usage }) = old(&mut clock, SystemTime::now(), Instant::now(), keep.age)
        else {
            continue;
        };
        match app.usage.forget(usage).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(sums = count, "Old usage was removed"),
            Err(error) => tracing::error!(error = %error, "Old usage could not be removed"),
        }
        let removed = async {
            let old = app.responses.expire(responses).await?;
            Ok::<u64, portcullis_store::StoreError>(old + app.responses.shrink(keep.bytes).await?)
        };
        match removed.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(responses = count, "Old responses were removed"),
            Err(error) => tracing::error!(error = %error, "Old responses could not be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// An hour later on a clock that has jumped so many days ahead.
    fn old_after_a_jump(days: i32) -> Option<Old> {
        let (began, now) = ("2026-11-28T12:00:00Z".parse::<Timestamp>().unwrap(), Instant::now());
        let mut clock = AgeClock::new(began.into(), now);
        let hour = Duration::from_hours(1);
        let (later, jump) = (SystemTime::from(began) + hour, days.unsigned_abs() * DAY);
        let wall = if days < 0 { later - jump } else { later + jump };
        old(&mut clock, wall, now + hour, 30 * DAY)
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_old() {
        let old = |responses: &str, usage: &str| {
            Some(Old { responses: responses.parse().unwrap(), usage: usage.parse().unwrap() })
        };
        let as_ever = old("2026-10-29T13:00:00Z", "2024-09-19");
        assert_eq!(old_after_a_jump(0), as_ever);
        assert_eq!(old_after_a_jump(365), as_ever);
        assert_eq!(old_after_a_jump(365 * 5000), as_ever);
        assert_eq!(old_after_a_jump(-365), old("2025-10-29T13:00:00Z", "2023-09-20"));
        // To where nothing can be older.
        assert_eq!(old_after_a_jump(-365 * 13_000), None);
    }
}
