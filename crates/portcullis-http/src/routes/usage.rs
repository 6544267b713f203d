//! `/v1/usage`: what was used, for the key itself, and of all keys for those with the scope `operator`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use jiff::civil::Date;
use portcullis_access::Scope;
use portcullis_audit::Why;
use portcullis_openai::InvalidRequest;
use portcullis_store::{Grouping, LedgerQuestion};
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::usage::{usage_as_csv, usage_as_json};

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    from: Option<String>,
    to: Option<String>,
    key: Option<String>,
    model: Option<String>,
    group_by: Option<String>,
    format: Option<String>,
}

/// The sums that were asked for.
pub(crate) async fn read(
    caller: Caller,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let query = query.map_err(|_| ApiError::bad_query())?.0;
    let as_csv = match query.format.as_deref() {
        None => prefers_csv(&headers),
        Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(InvalidRequest::at("format", "'format' is 'json' or 'csv'.").into()),
    };
    let question = query.question(&caller)?;
    let by = question.by;
    // On a task, for what was counted would be lost with a client that leaves while it is written down.
    let usage = Arc::clone(&app.usage);
    let sums = app.tasks.spawn(async move { usage.sums(&question).await }).await;
    let sums = sums.map_err(|_broke| ApiError::internal())??;
    if !as_csv {
        return Ok(Json(usage_as_json(&sums, by)).into_response());
    }
    let csv = usage_as_csv(&sums, by).map_err(|_broke| ApiError::internal())?;
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\""),
    ];
    Ok((head, csv).into_response())
}

impl UsageQuery {
    /// What the caller may ask of it.
    fn question(self, caller: &Caller) -> Result<LedgerQuestion, ApiError> {
        let (from, to) = (day("from", self.from)?, day("to", self.to)?);
        if from > to && to.is_some() {
            return Err(InvalidRequest::at("to", "'to' is before 'from'.").into());
        }
        let by = match self.group_by {
            None => Grouping { day: true, principal: true, model: true },
            Some(words) => words.parse().map_err(|unknown: portcullis_store::UnknownGrouping| {
                ApiError::from(InvalidRequest::at("group_by", format!("In 'group_by': {unknown}.")))
            })?,
        };
        Ok(LedgerQuestion { from, to, key: key(self.key, caller)?, model: self.model, by })
    }
}

/// Its own key, unless it may see others.
fn key(asked: Option<String>, caller: &Caller) -> Result<Option<String>, ApiError> {
    if caller.grant.scopes.contains(&Scope::Operator) {
        return Ok(asked);
    }
    let own = caller.principal.as_str();
    let id = own.split(':').next();
    match asked {
        Some(other) if other != own && Some(other.as_str()) != id => {
            caller.refused(Why::Scope, Scope::Operator.word());
            Err(ApiError::scope_not_granted(Scope::Operator))
        }
        _ => Ok(Some(own.to_owned())),
    }
}

fn day(name: &'static str, text: Option<String>) -> Result<Option<Date>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || InvalidRequest::at(name, format!("'{name}' is a day such as '2026-11-28'."));
    // Nothing longer is a day, though a date of another form may be one for the parser.
    let day = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    Ok(Some(day.ok_or_else(wrong)?))
}

/// Whether `Accept` names CSV before JSON.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types =
        accept.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or(range));
    let known = |kind: &str| match kind.trim().to_ascii_lowercase().as_str() {
        "text/csv" => Some(true),
        "application/json" => Some(false),
        _ => None,
    };
    types.into_iter().find_map(known).unwrap_or(false)
}
