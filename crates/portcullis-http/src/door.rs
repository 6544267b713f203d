//! What is looked at before a request is anybody's: for whom it is meant, where it comes from, and that it carries no key
//! in its URL.
//!
//! A page in a browser can be made to send requests to an address of its own choice, by a name that it controls (DNS
//! rebinding). It can not choose what stands in `Host`. So a request is answered only under the names that the gateway
//! has: those of the own machine, the address on which it came in, and what the operator lists.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, header};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::app::{App, Settings};
use crate::error::ApiError;

/// Where a request's connection came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local(pub(crate) SocketAddr);

/// What every key begins with.
const KEY: &str = "pcl_";

/// The longest head of a request, in bytes. The parser has a bound as well, which it keeps only roughly.
pub(crate) const MOST_HEAD: usize = 64 * 1024;

/// Says why a request is not let in, if it is not.
pub(crate) fn look(request: &Request, settings: &Settings) -> Result<(), ApiError> {
    let local = request.extensions().get::<Local>().map(|local| local.0.ip());
    if !is_for_us(request, local, &settings.entrance.hosts) {
        return Err(ApiError::not_our_host());
    }
    if head_bytes(request) > MOST_HEAD {
        return Err(ApiError::head_too_large());
    }
    if request.uri().query().is_some_and(|query| query.contains(KEY)) {
        return Err(ApiError::key_in_url());
    }
    Ok(())
}

fn head_bytes(request: &Request) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    headers.sum::<usize>() + request.uri().path().len() + request.uri().query().map_or(0, str::len)
}

/// The one `Host`, and the authority of an absolute URL where there is one, are names of ours.
fn is_for_us(request: &Request, local: Option<IpAddr>, listed: &[String]) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    [Some(&host), request.uri().authority()].into_iter().flatten().all(|name| is_ours(name, local, listed))
}

fn is_ours(authority: &Authority, local: Option<IpAddr>, listed: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    // A name may end with a dot.
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = local.map(|ip| ip.to_canonical());
    let is_local =
        bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || Some(ip.to_canonical()) == local);
    is_local
        || host.eq_ignore_ascii_case("localhost")
        || listed.iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// Answers browsers that ask whether a page of another origin may call: those that the operator lists at that time, with a key in
/// a header and never with what the browser itself knows.
fn cors(app: Arc<App>) -> CorsLayer {
    let listed = move |origin: &HeaderValue, _head: &Parts| {
        app.settings().entrance.origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(listed))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // The official SDKs send some of their own, more with every version.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(EXPOSED.map(header::HeaderName::from_static)))
}

/// Where no origin is listed, nothing is said of them.
pub(crate) async fn of_pages(app: &Arc<App>, settings: &Settings, request: Request, next: Next) -> Response {
    if settings.entrance.origins.is_empty() {
        return unless_it_panics(next, request).await;
    }
    let next = tower::service_fn(move |request| {
        let next = next.clone();
        async move { Ok::<_, Infallible>(unless_it_panics(next, request).await) }
    });
    cors(Arc::clone(app)).layer(next).oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// A bug in one handler is one request's failure.
async fn unless_it_panics(next: Next, request: Request) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_panic| ApiError::internal().into_response())
}

/// What a page may read of an answer's head.
const EXPOSED: [&str; 10] = [
    "retry-after",
    "x-request-id",
    "x-should-retry",
    "x-portcullis-ignored",
    "x-portcullis-profile",
    "x-portcullis-queue-position",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn ours(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let listed = ["gateway.example".to_owned()];
        is_for_us(&request.body(Body::empty()).unwrap(), "10.1.2.3".parse().ok(), &listed)
    }

    #[test]
    fn names_that_are_ours() {
        for host in [
            "localhost",
            "LOCALHOST:8320",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8320",
            "10.1.2.3:8320",
            "gateway.example",
            "Gateway.Example:443",
            "gateway.example.",
        ] {
            assert!(ours("/", &[host]), "{host}");
            assert!(ours(&format!("http://{}/", host.to_lowercase()), &[host]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8320",
            "10.1.2.4",
            "0.0.0.0",
            "[::]",
            "127.1",
            "2130706433",
            "user@localhost",
            "gateway.example.evil",
            "xgateway.example",
            "localhost\u{e9}",
            "a b",
        ] {
            assert!(!ours("/", &[host]), "{host}");
        }
        assert!(!ours("/", &[]) && !ours("/", &["localhost", "localhost"]));
        assert!(
            !ours("http://evil.example/", &["localhost"]) && !ours("http://localhost/", &["evil.example"])
        );
    }
}
