//! The least that a proxy can do: look at the key, pass the request on, pass the answer back.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

struct Proxy {
    client: Client<HttpConnector, Body>,
    upstream: String,
    key: String,
}

/// Serves until it is killed; tells where.
pub async fn passthrough(upstream: String, key: String, tell: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let proxy = Proxy { client, upstream, key: format!("Bearer {key}") };
    let app = Router::new().route("/v1/chat/completions", post(pass)).with_state(Arc::new(proxy));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Refused only by a connection that is gone already.
        let _gone = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn pass(State(proxy): State<Arc<Proxy>>, mut request: Request<Body>) -> Result<Response, StatusCode> {
    if request.headers().get(header::AUTHORIZATION).is_none_or(|key| key != proxy.key.as_str()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let uri = format!("http://{}/v1/chat/completions", proxy.upstream);
    *request.uri_mut() = uri.parse().map_err(|_invalid| StatusCode::BAD_GATEWAY)?;
    request.headers_mut().remove(header::HOST);
    let response = proxy.client.request(request).await.map_err(|_failed| StatusCode::BAD_GATEWAY)?;
    Ok(response.map(Body::new))
}
