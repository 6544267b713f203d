//! Requests to the API, one per turn.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis_agent::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, EventReceiver, EventSender, Item, ItemId, Model,
    Outcome, Readiness, ThreadId, ToolOutput, Turn, TurnEvent, TurnId, TurnRequest, TurnSource, WorkerReport,
    event_queue,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::events::Events;
use crate::meaning::{broken, event_error, picture, refused};
use crate::request::{Ask, ask};

/// The longest answer, in bytes: a picture of 20 MiB in base64, twice.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// As much of an error's body as is read, in bytes.
const LONGEST_ERROR: usize = 64 * 1024;

/// A client that follows no redirect and knows no proxy.
type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Where pictures come from.
#[derive(Debug)]
pub struct Settings {
    /// What the routes are below, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key that is sent there.
    pub key: SecretString,
    /// How many pictures may be drawn at once.
    pub turns: usize,
}

/// The system's certificates can not be read.
#[derive(Debug, thiserror::Error)]
#[error("the certificates that the system trusts can not be read")]
pub struct NoCertificates(#[source] std::io::Error);

/// An agent that draws through the Images API.
#[derive(Debug)]
pub struct ImagesApi {
    base_url: String,
    authorization: HeaderValue,
    http: Http,
    places: Arc<Semaphore>,
}

impl ImagesApi {
    /// Made with the certificates that the system trusts. Asks nobody yet. The key must be printable ASCII.
    pub fn new(settings: Settings) -> Result<Self, NoCertificates> {
        let connector = HttpsConnectorBuilder::new().with_native_roots().map_err(NoCertificates)?;
        let connector = connector.https_or_http().enable_http1().build();
        let authorization = format!("Bearer {}", settings.key.expose_secret());
        let mut authorization = HeaderValue::from_str(&authorization)
            .map_err(|error| NoCertificates(std::io::Error::other(error)))?;
        authorization.set_sensitive(true);
        Ok(Self {
            base_url: settings.base_url,
            authorization,
            http: Client::builder(TokioExecutor::new()).build(connector),
            places: Arc::new(Semaphore::new(settings.turns)),
        })
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, AgentError> {
        Request::post(format!("{}/{}", self.base_url, ask.route))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(ask.body.to_string()))
            .map_err(|error| AgentError::new(ErrorKind::Internal).because(error))
    }
}

#[async_trait]
impl Agent for ImagesApi {
    fn capabilities(&self) -> Capabilities {
        Capabilities { deltas: false, tools: false }
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        Ok(Vec::new())
    }

    async fn readiness(&self) -> Readiness {
        let message = "pictures come from the Images API, with the operator's key".to_owned();
        Readiness::of(vec![Condition { name: "images_api", ok: true, required: true, message }])
    }

    fn workers(&self) -> Vec<WorkerReport> {
        Vec::new()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| AgentError::new(ErrorKind::Busy { retry_after: None }))?;
        let ask = ask(&request).ok_or_else(|| {
            AgentError::new(ErrorKind::Internal).because("a turn of words was given to who only draws")
        })?;
        let http_request = self.request(&ask)?;
        let place = (place, request.place);
        let id = Uuid::new_v4().simple().to_string();
        let (sender, events) = event_queue(2 * LONGEST_ANSWER);
        let (http, item) = (self.http.clone(), ItemId::from(format!("img_{id}")));
        let streams = ask.streams;
        drop(ask);
        #[expect(
            clippy::disallowed_methods,
            reason = "dropping the turn ends it, and nothing outlives the turn"
        )]
        let task = tokio::spawn(async move {
            let sender = EndsAlways(sender);
            let outcome = match draw(&http, http_request, streams, &item, &sender.0).await {
                Ok(()) => Outcome::Completed,
                Err(error) => Outcome::Failed(error),
            };
            // Whoever reads the end may begin another.
            drop(place);
            sender.0.end(outcome);
        });
        let running = Running { events, _task: AbortOnDropHandle::new(task) };
        Ok(Turn::new(ThreadId::from(format!("img_{id}")), TurnId::from(id), running))
    }
}

/// Whatever becomes of the task: whoever reads the turn learns that it is over.
struct EndsAlways(EventSender);

impl Drop for EndsAlways {
    fn drop(&mut self) {
        // The first end counts.
        self.0.end(Outcome::Failed(ErrorKind::Internal.into()));
    }
}

async fn draw(
    http: &Http,
    request: Request<Full<Bytes>>,
    streams: bool,
    item: &ItemId,
    sender: &EventSender,
) -> Result<(), AgentError> {
    let response =
        http.request(request).await.map_err(|error| AgentError::new(ErrorKind::Upstream).because(error))?;
    let status = response.status();
    if !status.is_success() {
        let body = Limited::new(response.into_body(), LONGEST_ERROR).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return Err(refused(status.as_u16(), &body));
    }
    if streams {
        return stream(response.into_body(), item, sender).await;
    }
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| {
        let too_long = error.is::<LengthLimitError>();
        broken(if too_long { "the answer is longer than any may be" } else { "the answer broke off" })
    })?;
    let mut answer: Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_not_json| broken("the answer is not JSON"))?;
    let entry = answer.pointer_mut("/data/0").map(Value::take);
    let mut entry = entry.ok_or_else(|| broken("the answer has no picture in it"))?;
    send(sender, TurnEvent::ItemCompleted(Item::Picture(picture(item, &mut entry, &answer)?)))
}

async fn stream(mut body: Incoming, item: &ItemId, sender: &EventSender) -> Result<(), AgentError> {
    let mut events = Events::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| AgentError::new(ErrorKind::Upstream).because(error))?;
        let Ok(piece) = frame.into_data() else { continue };
        events.push(&piece).map_err(|_too_long| broken("an event is longer than any may be"))?;
        while let Some(data) = events.next() {
            let Ok(mut event) = serde_json::from_str::<Value>(&data) else { continue };
            if event["error"].is_object() {
                return Err(event_error(&event["error"]));
            }
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            let around = around(&event);
            if kind.ends_with(".partial_image") {
                send(sender, TurnEvent::Preview(picture(item, &mut event, &around)?))?;
            } else if kind.ends_with(".completed") {
                return send(
                    sender,
                    TurnEvent::ItemCompleted(Item::Picture(picture(item, &mut event, &around)?)),
                );
            }
        }
    }
    Err(broken("the stream ended without a picture"))
}

/// What stands around a picture in an event, without the picture.
fn around(event: &Value) -> Value {
    serde_json::json!({"usage": event["usage"], "background": event["background"]})
}

fn send(sender: &EventSender, event: TurnEvent) -> Result<(), AgentError> {
    sender.send(event).map_err(|_full| ErrorKind::SlowReader.into())
}

struct Running {
    events: EventReceiver,
    /// Dropping it drops the request, and so closes the connection to the service.
    _task: AbortOnDropHandle<()>,
}

impl TurnSource for Running {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.events.poll_next(cx)
    }

    fn answer(&mut self, _outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        Err(AgentError::new(ErrorKind::Internal).because("who only draws calls no tools"))
    }
}
