//! Runs one response to its end, and keeps it.

use std::sync::Arc;

use portcullis_agent::{AgentError, ErrorKind, PrincipalId, Turn, TurnRequest};
use portcullis_openai::chat::Failure;
use portcullis_openai::responses::{Ending, Event, ResponseBuilder};
use portcullis_store::{
    ConversationId, NewResponse, ResponseId, Status, StoreError, StoredEvent, StoredItem,
};
use serde_json::Value;

use super::live::{End, Live};
use crate::app::App;
use crate::auth::owner;
use crate::error::ApiError;
use crate::parked::Conversation;

/// A response that is about to run.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) turn: TurnRequest,
    pub(crate) input: Vec<StoredItem>,
    pub(crate) builder: ResponseBuilder,
    pub(crate) store: bool,
    pub(crate) background: bool,
    pub(crate) previous: Option<String>,
    pub(crate) conversation: Option<String>,
}

/// Starts the response on a task of its own. A background response is kept before this returns, so that its client
/// can ask for it at once.
pub(crate) async fn spawn(app: &Arc<App>, job: Job) -> Result<Arc<Live>, ApiError> {
    let live = Live::new();
    if job.background {
        let new = job.new_response(Status::Queued, job.builder.object().to_string(), now());
        app.responses.create(new).await?;
    }
    app.live.add(&job.id, &job.owner(), &live);
    let mut running =
        Running { app: Arc::clone(app), live: Arc::clone(&live), id: job.id.clone(), end: None };
    app.tasks.spawn(async move {
        let end = job.run(&running.app, &running.live).await;
        running.end.replace(end);
    });
    Ok(live)
}

/// A response while its task lives. Its readers are released when the task is over, also by a panic.
struct Running {
    app: Arc<App>,
    live: Arc<Live>,
    id: String,
    end: Option<End>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.app.live.remove(&self.id);
        self.live.end(self.end.take().unwrap_or_else(|| {
            tracing::error!(response.id = self.id, "The task of a response broke");
            let error = ApiError::internal();
            End { object: error.body(), early: Some(error) }
        }));
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

impl Job {
    async fn run(mut self, app: &App, live: &Live) -> End {
        let created = now();
        let mut events = Vec::new();
        self.builder.begin(&mut |event| events.push(event));
        self.send(app, live, &mut events).await;

        let turn = if let Some(turn) = app.parked.resume(&self.turn) {
            Ok(turn)
        } else {
            tokio::select! {
                started = app.agent.start_turn(self.turn.clone()) => started,
                () = live.cancel.cancelled() => return self.cancelled(app, live, created, events).await,
            }
        };
        let mut turn = match turn {
            Ok(turn) => turn,
            Err(error) => return self.failed(app, live, created, events, Failure::Agent(error)).await,
        };
        if self.background && self.store {
            let body = self.builder.object().to_string();
            log(app.responses.update_body(&ResponseId::new(self.id.clone()), Status::InProgress, body).await);
        }
        let ending = loop {
            let event = tokio::select! {
                event = turn.next() => event,
                () = live.cancel.cancelled() => return self.cancelled(app, live, created, events).await,
                () = app.ending.cancelled() => {
                    return self.failed(app, live, created, events, Failure::Interrupted).await;
                }
            };
            let Some(event) = event else {
                break Ending::Failed(Failure::Agent(ErrorKind::Internal.into()));
            };
            if let Some(ending) = self.builder.on(event, &mut |event| events.push(event)) {
                break ending;
            }
            self.send(app, live, &mut events).await;
            if live.is_full() {
                let error =
                    AgentError::new(ErrorKind::Upstream).because("the response has more events than any may");
                break Ending::Failed(Failure::Agent(error));
            }
        };
        match ending {
            Ending::Failed(failure) => self.failed(app, live, created, events, failure).await,
            Ending::Done => {
                self.park(app, turn);
                self.finished(app, live, created, events, None).await
            }
        }
    }

    fn park(&self, app: &App, turn: Turn) {
        if !self.builder.called().is_empty() {
            let conversation = Conversation::after(&self.turn, self.builder.said(), self.builder.called());
            app.parked.park(conversation, turn, self.builder.withheld());
        }
    }

    async fn cancelled(
        mut self,
        app: &App,
        live: &Live,
        created: jiff::Timestamp,
        mut events: Vec<Event>,
    ) -> End {
        self.builder.cancel(&mut |event| events.push(event));
        self.finished(app, live, created, events, None).await
    }

    async fn failed(
        mut self,
        app: &App,
        live: &Live,
        created: jiff::Timestamp,
        mut events: Vec<Event>,
        failure: Failure,
    ) -> End {
        let nothing_yet = self.builder.items().is_empty() && self.builder.said().is_empty();
        let error = ApiError::from(failure);
        self.builder.fail(error.response_code(), error.sentence(), &mut |event| events.push(event));
        self.finished(app, live, created, events, nothing_yet.then_some(error)).await
    }

    /// Keeps the response, and only then lets its last event out: a client that has read it may go on from it.
    async fn finished(
        mut self,
        app: &App,
        live: &Live,
        created: jiff::Timestamp,
        mut events: Vec<Event>,
        early: Option<ApiError>,
    ) -> End {
        // An early error is answered with its status and leaves nothing behind; in the background nobody hears it.
        let early = early.filter(|_| !self.background);
        if self.store
            && early.is_none()
            && let Err(error) = self.keep(app, created).await
        {
            tracing::error!(error = %error, response.id = self.id, "A response could not be kept");
            if events.pop().is_some() {
                self.builder.take_back();
            }
            let error = ApiError::from(error);
            self.builder.fail(error.response_code(), error.sentence(), &mut |event| events.push(event));
        }
        self.send(app, live, &mut events).await;
        End { object: self.builder.object(), early }
    }

    /// Lets events out, and keeps them where somebody may want to read them again.
    async fn send(&self, app: &App, live: &Live, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        if self.background {
            let stored: Vec<StoredEvent> = events
                .iter()
                .map(|event| StoredEvent { sequence: event.sequence, json: event.data.to_string() })
                .collect();
            log(app.responses.append_events(&ResponseId::new(self.id.clone()), &stored).await);
        }
        live.push(events);
        events.clear();
    }

    async fn keep(&self, app: &App, created: jiff::Timestamp) -> Result<(), StoreError> {
        let status = status(self.builder.status());
        let body = self.builder.object().to_string();
        let id = ResponseId::new(self.id.clone());
        if !self.background {
            app.responses.create(self.new_response(Status::InProgress, body.clone(), created)).await?;
        }
        let output = stored_items(self.builder.kept_items());
        app.responses.finish(&id, status, body, output.clone(), now()).await?;
        if let Some(conversation) = &self.conversation
            && status != Status::Failed
        {
            let items = self.input.iter().cloned().chain(output).collect();
            let id = ConversationId::new(conversation.clone());
            app.conversations.append(&self.owner(), &id, items).await?;
        }
        Ok(())
    }

    /// Whose response it is.
    fn owner(&self) -> PrincipalId {
        owner(&self.turn.principal, self.turn.profile)
    }

    fn new_response(&self, status: Status, body: String, created: jiff::Timestamp) -> NewResponse {
        NewResponse {
            id: ResponseId::new(self.id.clone()),
            principal: self.owner(),
            created,
            background: self.background,
            previous: self.previous.clone().map(ResponseId::new),
            conversation: self.conversation.clone().map(ConversationId::new),
            input_items: self.input.clone(),
            body,
            status,
        }
    }
}

fn status(word: &str) -> Status {
    word.parse().unwrap_or(Status::Failed)
}

fn stored_items(items: &[Value]) -> Vec<StoredItem> {
    let id = |item: &Value| item["id"].as_str().unwrap_or_default().to_owned();
    items.iter().map(|item| StoredItem { id: id(item), json: item.to_string() }).collect()
}

/// What was not kept on the way is kept at the end; if that fails, the client hears it.
fn log(kept: Result<bool, StoreError>) {
    if let Err(error) = kept {
        tracing::warn!(error = %error, "A running response could not be kept up to date");
    }
}
