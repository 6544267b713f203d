//! `POST /v1/chat/completions`.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{FutureExt as _, try_join_all};
use http::{HeaderName, HeaderValue};
use portcullis_agent::{HistoryItem, Message, Part, TurnRequest};
use portcullis_openai::InvalidRequest;
use portcullis_openai::chat::{ChatRequest, ChatStream, Completion, Step, StreamHead};
use tokio_util::sync::WaitForCancellationFutureOwned;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Caller, tell_profile};
use crate::body::JsonBody;
use crate::choices::Choices;
use crate::error::ApiError;
use crate::model_names::{Asked, Resolved, resolve};
use crate::request_id::Id;
use crate::sse::{self, Source};

/// Names the sampling knobs that had no effect.
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-portcullis-ignored");

/// Answers with a completion, whole or piece by piece.
pub(crate) async fn create(
    caller: Caller,
    id: Id,
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let mut request = ChatRequest::parse(&body, &app.settings().chat, app.settings().sampling)?;
    let resolved = resolve(&app, &caller, &request.model).await?;
    app.remote_images.inline(&app.settings(), &mut request.history).await?;
    let turn = turn_request(&app, &request, &resolved, &caller, id)?;
    let head = StreamHead {
        id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
        created: unix_seconds(),
        model: resolved.model.id.to_string(),
        include_usage: request.include_usage,
        legacy_functions: request.legacy_functions,
    };

    let parked = if request.n == 1 { app.parked.resume(&turn) } else { None };
    let turns = match (parked, request.n) {
        (Some(parked), _) => vec![parked],
        (None, n) => try_join_all((0..n).map(|_| app.agent.start_turn(turn.clone()))).await?,
    };
    let choices = Choices::new(Arc::clone(&app), &request, turn, turns);
    let mut response = if request.stream {
        stream(&app, head, choices, usize::try_from(request.n).unwrap_or(1)).await?
    } else {
        whole(&app, &head, choices, usize::try_from(request.n).unwrap_or(1)).await?
    };
    tell_profile(&mut response, resolved.profile);
    if let Ok(names) = HeaderValue::from_str(&request.ignored.join(", "))
        && !request.ignored.is_empty()
    {
        response.headers_mut().insert(IGNORED, names);
    }
    Ok(response)
}

fn turn_request(
    app: &App,
    request: &ChatRequest,
    resolved: &Resolved,
    caller: &Caller,
    id: Id,
) -> Result<TurnRequest, ApiError> {
    if !resolved.model.reads_images && has_images(&request.history) {
        return Err(InvalidRequest::at("messages", "This model does not read pictures.").into());
    }
    let asked = Asked {
        effort: request.effort.as_deref(),
        summary: request.summary,
        verbosity: request.verbosity.as_deref(),
        service_tier: request.service_tier.as_deref(),
        format: &request.format,
    };
    let options = resolved.options(asked, app.settings().deadline)?;
    Ok(TurnRequest {
        picture: None,
        request: id.request,
        trace: id.trace,
        principal: caller.principal.clone(),
        profile: resolved.profile,
        place: caller.place(),
        history: request.history.clone(),
        tools: request.tools.clone(),
        options,
    })
}

pub(crate) fn has_images(history: &[HistoryItem]) -> bool {
    let images = |parts: &[Part]| parts.iter().any(|part| matches!(part, Part::Image { .. }));
    history.iter().any(|item| match item {
        HistoryItem::Message(Message { parts, .. }) => images(parts),
        HistoryItem::ToolOutput(output) => images(&output.parts),
        HistoryItem::ToolCall(_) | HistoryItem::Reasoning(_) => false,
    })
}

pub(crate) fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

async fn whole(
    app: &App,
    head: &StreamHead,
    mut choices: Choices,
    count: usize,
) -> Result<Response, ApiError> {
    let mut folded = vec![Completion::default(); count];
    loop {
        let step = tokio::select! {
            step = choices.step() => step,
            () = app.ending.cancelled() => return Err(ApiError::shutting_down()),
        };
        match step {
            Some((_, Step::Fail(failure))) => return Err(failure.into()),
            Some((index, step)) => folded[index].on(step),
            None => break,
        }
    }
    Ok(Json(Completion::body(head, folded, choices.usage())).into_response())
}

/// The head waits for the first step, so that an early error has its status; but not for ever, since a model may
/// think for minutes and proxies give up on a silent server.
async fn stream(
    app: &App,
    head: StreamHead,
    mut choices: Choices,
    count: usize,
) -> Result<Response, ApiError> {
    let first = match tokio::time::timeout(app.settings().first_event, choices.step()).await {
        Ok(Some((_, Step::Fail(failure)))) => return Err(failure.into()),
        Ok(first) => first,
        Err(_quiet) => None,
    };
    let ending = Box::pin(app.ending.clone().cancelled_owned());
    Ok(sse::response(Events { choices, stream: ChatStream::new(head, count), first, ending }))
}

/// A running answer as a stream of events.
struct Events {
    choices: Choices,
    stream: ChatStream,
    first: Option<(usize, Step)>,
    ending: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
}

/// How much is collected for one write before it goes out.
const ONE_WRITE: usize = 64 * 1024;

impl Source for Events {
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<bool> {
        if self.ending.poll_unpin(cx).is_ready() {
            self.stream.fail(&ApiError::shutting_down().body(), out);
            return Poll::Ready(false);
        }
        while out.len() < ONE_WRITE {
            let step = match self.first.take() {
                Some(first) => Poll::Ready(Some(first)),
                None => self.choices.poll_step(cx),
            };
            match step {
                Poll::Ready(Some((_, Step::Fail(failure)))) => {
                    self.stream.fail(&ApiError::from(failure).body(), out);
                    return Poll::Ready(false);
                }
                Poll::Ready(Some((index, step))) => self.stream.on(index, &step, out),
                Poll::Ready(None) => {
                    self.stream.finish(self.choices.usage(), out);
                    return Poll::Ready(false);
                }
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(true)
    }
}
