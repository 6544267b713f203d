//! A scripted chat server: answers as their prompt wishes, and costs microseconds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, header};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::wish::Wish;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: String,
}

/// Serves until it is killed; tells where.
pub async fn upstream(tell: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let app = Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Refused only by a connection that is gone already.
        let _gone = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn answer(body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        let mut response = Response::new(Body::from("{}"));
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        return response;
    };
    let prompt = asked.messages.last().map(|message| message.content.as_str()).unwrap_or_default();
    let wish = Wish::of_prompt(prompt);
    let (kind, body) = if asked.stream {
        ("text/event-stream", Body::from_stream(events(wish)))
    } else {
        ("application/json", Body::from(whole(wish)))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn whole(wish: Wish) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"scripted","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}}}"#,
        wish.text()
    )
}

fn events(wish: Wish) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let tick = (!wish.every.is_zero()).then(|| tokio::time::interval(wish.every));
    let deltas = stream::unfold((tick, 0), move |(mut tick, sent)| async move {
        if sent == wish.deltas {
            if wish.hang {
                std::future::pending::<()>().await;
            }
            return None;
        }
        if let Some(tick) = &mut tick {
            tick.tick().await;
        }
        Some((chunk(&format!(r#"{{"content":"{}"}}"#, wish.delta(sent)), "null"), (tick, sent + 1)))
    });
    let end = format!("{}data: [DONE]\n\n", chunk("{}", "\"stop\""));
    deltas.chain(stream::iter([end])).map(|event| Ok(Bytes::from(event)))
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"scripted\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// How long a server of ours may take to say where it listens.
pub(crate) const START: Duration = Duration::from_secs(10);
