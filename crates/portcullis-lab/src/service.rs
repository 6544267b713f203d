//! One HTTP request: which path it is, what is recorded, what is answered.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::{
    HowClosed, Received,
    lab::{Kind, Lab},
    playback::Playback,
};

/// The largest request body: a conversation with many images in it.
const MAX_BODY: usize = 64 << 20;

pub(crate) type LabBody = Either<Full<Bytes>, Playback>;

/// Answers one request. It fails only when the client breaks off its own request.
pub(crate) async fn serve(
    lab: Arc<Lab>,
    request: Request<Incoming>,
) -> Result<Response<LabBody>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let bytes = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("lab: the request body is larger than {MAX_BODY} bytes");
            return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, &message));
        }
        Err(error) => return Err(error),
    };
    let parsed = serde_json::from_slice::<Value>(&bytes);
    let kind = kind(&head.method, head.uri.path());
    let problem = match &parsed {
        _ if kind.is_none() => {
            Some((StatusCode::NOT_FOUND, format!("lab: there is no {} {}", head.method, head.uri.path())))
        }
        Err(error) => Some((StatusCode::BAD_REQUEST, format!("lab: the request body is not JSON: {error}"))),
        Ok(_) => None,
    };
    let received = Received {
        index: 0,
        at: Instant::now(),
        method: head.method,
        path: head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
        headers: head.headers,
        body: parsed.unwrap_or_default(),
    };
    match (problem, kind) {
        (None, Some(kind)) => Ok(answer(&lab, kind, received, bytes.len()).await),
        (problem, _) => {
            lab.state().of(Kind::Response).journal.add_other(received);
            let (status, message) = problem.unwrap_or((StatusCode::NOT_FOUND, String::new()));
            Ok(refused(status, &message))
        }
    }
}

/// What is asked for, if it is a thing that the lab has.
fn kind(method: &Method, path: &str) -> Option<Kind> {
    match path {
        _ if method != Method::POST => None,
        path if path.ends_with("/responses") => Some(Kind::Response),
        path if path.ends_with("/images/generations") || path.ends_with("/images/edits") => {
            Some(Kind::Picture)
        }
        _ => None,
    }
}

async fn answer(lab: &Arc<Lab>, kind: Kind, received: Received, bytes: usize) -> Response<LabBody> {
    let (received, turn, mut exchange) = lab.admit(kind, received, bytes);
    let answer = turn.answer(&received);
    let mut response = if let Some((status, body, delay)) = answer.as_status() {
        // hyper drops this future when the client leaves, and the exchange with it.
        tokio::time::sleep(delay).await;
        exchange.end(HowClosed::Answered);
        whole(status, body)
    } else {
        let steps = answer.steps(received.index, received.model());
        let mut response = Response::new(Either::Right(Playback::new(steps, exchange)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    };
    response.headers_mut().extend(answer.headers().clone());
    response
}

fn refused(status: StatusCode, message: &str) -> Response<LabBody> {
    whole(status, &json!({ "error": { "type": "invalid_request_error", "message": message } }))
}

fn whole(status: StatusCode, body: &Value) -> Response<LabBody> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
