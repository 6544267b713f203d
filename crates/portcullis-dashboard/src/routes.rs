//! The table of routes, and what every answer says of itself.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use maud::Markup;
use portcullis_access::{KeyError, KeyStore};
use portcullis_audit::{Entry, Fact, OPERATOR, Refusal};
use portcullis_store::{Grouping, LedgerQuestion};
use tokio::sync::Semaphore;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::actions;
use crate::code::redeem;
use crate::gallery;
use crate::guard::{Fields, Form, Refused, give, take};
use crate::pages::{self, Overview, Page, Shown, refusal};
use crate::parts::Parts;
use crate::session::{Operator, Sessions};

/// How many may try a code at once, and how long a wrong one takes: guessing is slow.
const TRIES: usize = 4;
const WRONG: std::time::Duration = std::time::Duration::from_millis(500);

/// What every route is given.
pub(crate) struct Dashboard {
    pub(crate) parts: Parts,
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<KeyStore>,
    tries: Semaphore,
    /// Who reads the whole audit log.
    checks: Semaphore,
}

/// Nothing comes from elsewhere, nothing goes elsewhere, and no other page may put these into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes below `/dashboard`.
pub fn router(parts: Parts) -> Result<Router, KeyError> {
    let dashboard = Dashboard {
        keys: Arc::new(KeyStore::open(&parts.state_dir)?),
        parts,
        sessions: Sessions::default(),
        tries: Semaphore::new(TRIES),
        checks: Semaphore::new(1),
    };
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    Ok(Router::new()
        .route("/dashboard", get(overview))
        .route("/dashboard/live", get(live))
        .route("/dashboard/requests", get(requests))
        .route("/dashboard/usage", get(usage))
        .route("/dashboard/keys", get(keys).post(actions::create_key))
        .route("/dashboard/keys/{id}/rotate", post(actions::rotate_key))
        .route("/dashboard/keys/{id}/revoke", post(actions::revoke_key))
        .route("/dashboard/approvals", get(approvals))
        .route("/dashboard/approvals/{id}", post(actions::decide))
        .route("/dashboard/turns/{number}/interrupt", post(actions::interrupt))
        .route("/dashboard/pictures", get(gallery::page))
        .route("/dashboard/pictures/{id}/file", get(gallery::file))
        .route("/dashboard/pictures/{id}/delete", post(gallery::delete))
        .route("/dashboard/codex", get(codex).post(actions::begin_sign_in))
        .route("/dashboard/codex/cancel", post(actions::cancel_sign_in))
        .route("/dashboard/confinement", get(confinement))
        .route("/dashboard/audit", get(audit))
        .route("/dashboard/playground", get(playground))
        .route("/dashboard/sign-in", get(sign_in).post(redeem_code))
        .route("/dashboard/sign-out", post(sign_out))
        .route(
            "/dashboard/style.css",
            get(|| async { asset("text/css", include_str!("../assets/style.css")) }),
        )
        .route(
            "/dashboard/script.js",
            get(|| async { asset("text/javascript", include_str!("../assets/script.js")) }),
        )
        .layer(from_fn(to_its_end))
        // A picture has a narrower one.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        // With `no-referrer` a browser would send `Origin: null` with the forms of these very pages.
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(header(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .with_state(Arc::new(dashboard)))
}

/// An act and its line in the audit log belong together: they go on when the browser has left.
async fn to_its_end(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited here; where the browser has left, it ends within its own bounds"
    )]
    let acting = tokio::task::spawn(next.run(request));
    acting.await.unwrap_or_else(|_broke| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn asset(kind: &'static str, text: &'static str) -> impl axum::response::IntoResponse {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text)
}

impl Dashboard {
    async fn overview(&self) -> Overview<'_> {
        let now = SystemTime::now();
        let parts = &self.parts;
        let mut workers = parts.agent.workers();
        workers.extend(parts.painter.iter().flat_map(|painter| painter.workers()));
        Overview {
            readiness: parts.agent.readiness().await,
            workers,
            running: parts.turns.running(),
            minutes: parts.turns.minutes(now),
            questions: parts.approvals.waiting().len(),
            weakenings: &parts.weakenings,
            about: &parts.about,
            now,
        }
    }

    /// The page of keys, as they are now.
    pub(crate) async fn keys_page(&self, operator: &Operator, shown: Shown<'_>) -> Response {
        let store = Arc::clone(&self.keys);
        match tokio::task::spawn_blocking(move || store.list()).await {
            Ok(Ok(list)) => pages::keys(operator, &list, shown, jiff::Timestamp::now()).into_response(),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "The keys cannot be read");
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "The keys cannot be read", "The log says why.")
            }
            Err(_ended) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    pub(crate) fn approvals_page(&self, operator: &Operator, said: Option<&str>) -> Markup {
        pages::approvals(operator, &self.parts.approvals.waiting(), said, SystemTime::now())
    }
}

type Given = State<Arc<Dashboard>>;

async fn overview(operator: Operator, State(dashboard): Given) -> Markup {
    pages::overview(&operator, &dashboard.overview().await)
}

async fn live(operator: Operator, State(dashboard): Given) -> Markup {
    pages::live(&operator, &dashboard.overview().await)
}

async fn requests(operator: Operator, State(dashboard): Given) -> Markup {
    pages::requests(&operator, &dashboard.parts.turns.ended(), SystemTime::now())
}

async fn usage(operator: Operator, State(dashboard): Given) -> Markup {
    let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let from = today.saturating_sub(29.days());
    let by = Grouping { day: true, principal: true, model: true };
    let question = LedgerQuestion { from: Some(from), by, ..LedgerQuestion::default() };
    let sums = dashboard.parts.ledger.sums(&question).await;
    if let Err(error) = &sums {
        tracing::warn!(error = error as &dyn std::error::Error, "The usage cannot be read");
    }
    pages::usage(&operator, sums.ok().as_deref(), from)
}

async fn keys(operator: Operator, State(dashboard): Given) -> Response {
    dashboard.keys_page(&operator, Shown::Nothing).await
}

async fn approvals(operator: Operator, State(dashboard): Given) -> Markup {
    dashboard.approvals_page(&operator, None)
}

async fn codex(operator: Operator, State(dashboard): Given) -> Markup {
    let readiness = dashboard.parts.agent.readiness().await;
    let login = readiness.conditions.iter().find(|condition| condition.name == "login");
    pages::codex(&operator, login, &dashboard.parts.sign_in.state())
}

async fn confinement(operator: Operator, State(dashboard): Given) -> Markup {
    pages::confinement(&operator, &dashboard.parts.confinement, &dashboard.parts.weakenings)
}

/// Checks the chain where the URL says so, and one at a time.
async fn audit(operator: Operator, State(dashboard): Given, RawQuery(query): RawQuery) -> Response {
    let check = query.as_deref() == Some("check");
    let _turn = if check { dashboard.checks.acquire().await.ok() } else { None };
    match actions::read_audit(&dashboard.parts, check).await {
        Ok(view) => pages::audit(&operator, view.as_ref()).into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "The audit log cannot be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "The audit log cannot be read", "The log says why.")
        }
    }
}

async fn playground(operator: Operator, State(dashboard): Given) -> Markup {
    pages::playground(&operator, dashboard.parts.draws)
}

async fn sign_in(operator: Result<Operator, Refused>) -> Response {
    match operator {
        Ok(_) => Redirect::to(Page::Overview.path()).into_response(),
        Err(_) => pages::sign_in(None).into_response(),
    }
}

async fn redeem_code(State(dashboard): Given, headers: HeaderMap, fields: Fields) -> Response {
    let Ok(_place) = dashboard.tries.try_acquire() else {
        let answer = pages::sign_in(Some("Others are trying codes just now. Try again in a second."));
        return (StatusCode::TOO_MANY_REQUESTS, answer).into_response();
    };
    let (dir, code) = (dashboard.parts.state_dir.clone(), fields.get("code").to_owned());
    let redeemed = tokio::task::spawn_blocking(move || redeem(&dir, &code, SystemTime::now())).await;
    if !redeemed.unwrap_or(false) {
        dashboard.parts.audit.refused(Refusal::unauthenticated());
        tokio::time::sleep(WRONG).await;
        let answer =
            pages::sign_in(Some("This is not the code, or it is used or too old. Make another one."));
        return (StatusCode::FORBIDDEN, answer).into_response();
    }
    let entry = Entry::new(OPERATOR, Fact::DashboardOpened);
    let (Ok(()), Ok(cookie)) =
        (dashboard.parts.audit.append(entry).await, dashboard.sessions.begin(Instant::now()))
    else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "You are not signed in",
            "That could not be written into the audit log. The log says why.",
        );
    };
    let mut response = Redirect::to(Page::Overview.path()).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&give(&cookie, &headers)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn sign_out(State(dashboard): Given, form: Form) -> Response {
    dashboard.sessions.end(&form.operator);
    let _written = dashboard.parts.audit.append(Entry::new(OPERATOR, Fact::DashboardClosed)).await;
    let mut response = Redirect::to("/dashboard/sign-in").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&take()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The part of a path, for actions.
pub(crate) type Id = Path<String>;
