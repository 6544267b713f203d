//! Who may see a page, and which forms are obeyed.
//!
//! A form is obeyed if its session is good, if it holds the token of that session's pages, and if the browser does not say
//! that it comes from elsewhere. The cookie is sent with no request that another site begins (`SameSite=Strict`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts as Head;
use http::{HeaderMap, StatusCode, header};
use portcullis_audit::Refusal;
use secrecy::{ExposeSecret as _, SecretString};

use crate::pages::refusal;
use crate::routes::Dashboard;
use crate::session::{LONGEST, Operator};

/// The cookie's name.
const COOKIE: &str = "portcullis_operator";
/// The field with the token of a session's pages.
pub(crate) const TOKEN: &str = "form";
/// The longest form.
const LONGEST_FORM: usize = 16 * 1024;

/// Why a request is not obeyed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Nobody is signed in.
    SignIn,
    /// Nobody is signed in, and the page wants a part of itself.
    SignInQuietly,
    /// The form is not of this session, or comes from another site.
    Form,
    /// It is not a form.
    Unreadable,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn => Redirect::to("/dashboard/sign-in").into_response(),
            Self::SignInQuietly => StatusCode::UNAUTHORIZED.into_response(),
            Self::Form => refusal(
                StatusCode::FORBIDDEN,
                "This form is not of your session",
                "It is from before you signed in, or another site sent it. Nothing was done.",
            ),
            Self::Unreadable => refusal(
                StatusCode::BAD_REQUEST,
                "This is not a form of the dashboard",
                "It is too long, or it cannot be read. Nothing was done.",
            ),
        }
    }
}

impl FromRequestParts<Arc<Dashboard>> for Operator {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Head, dashboard: &Arc<Dashboard>) -> Result<Self, Refused> {
        let operator =
            cookie(&head.headers).and_then(|cookie| dashboard.sessions.find(cookie, Instant::now()));
        operator.ok_or(if is_navigation(&head.headers) { Refused::SignIn } else { Refused::SignInQuietly })
    }
}

/// A form of a session, checked.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) operator: Operator,
    pub(crate) fields: Fields,
}

impl FromRequest<Arc<Dashboard>> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, dashboard: &Arc<Dashboard>) -> Result<Self, Refused> {
        let (mut head, body) = request.into_parts();
        let operator = Operator::from_request_parts(&mut head, dashboard).await?;
        let fields = Fields::from_request(Request::from_parts(head, body), dashboard).await?;
        if !operator.wrote(fields.get(TOKEN)) {
            dashboard.parts.audit.refused(Refusal::unauthenticated());
            return Err(Refused::Form);
        }
        Ok(Self { operator, fields })
    }
}

/// The fields of a form that comes from here.
#[derive(Debug)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A field; what is absent is empty.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim())
    }
}

impl FromRequest<Arc<Dashboard>> for Fields {
    type Rejection = Refused;

    async fn from_request(request: Request, dashboard: &Arc<Dashboard>) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        if !is_from_here(&head.headers) {
            dashboard.parts.audit.refused(Refusal::unauthenticated());
            return Err(Refused::Form);
        }
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            return Err(Refused::Unreadable);
        }
        let body = to_bytes(body, LONGEST_FORM).await.map_err(|_too_long| Refused::Unreadable)?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

/// Whether the browser says nothing else. Both headers are out of reach for a page; who is no browser sends neither.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = text(header::HOST).unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// Whether a person goes to a page, and not a page for a part of itself.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The header that gives a session to a browser. `Secure` where a proxy in front says that it speaks HTTPS; over plain HTTP a
/// browser would not keep it.
pub(crate) fn give(cookie: &SecretString, headers: &HeaderMap) -> String {
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    format!(
        "{COOKIE}={}; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        cookie.expose_secret(),
        LONGEST.as_secs()
    )
}

/// The header that takes it away.
pub(crate) fn take() -> String {
    format!("{COOKIE}=; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_comes_from_another_site_is_known() {
        let asked = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            });
            is_from_here(&pairs.collect())
        };
        assert!(asked(&[("host", "127.0.0.1:8320")]));
        assert!(asked(&[("host", "h:1"), ("origin", "http://h:1"), ("sec-fetch-site", "same-origin")]));
        assert!(asked(&[("host", "h"), ("origin", "https://H")]));
        for elsewhere in [
            &[("host", "h:1"), ("origin", "http://h:2")][..],
            &[("host", "h:1"), ("origin", "http://evil.example")],
            &[("host", "h:1"), ("origin", "null")],
            &[("origin", "http://h")],
            &[("host", "h"), ("sec-fetch-site", "cross-site")],
            &[("host", "h"), ("sec-fetch-site", "same-site"), ("origin", "http://h")],
        ] {
            assert!(!asked(elsewhere), "{elsewhere:?}");
        }
    }
}
