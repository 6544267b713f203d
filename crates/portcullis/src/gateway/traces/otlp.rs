//! Spans as a collector takes them: OTLP over HTTP, in batches, from a thread of the OpenTelemetry SDK.
//!
//! Nobody waits for the collector. What it does not take within its time is lost, and so is what comes while 2,048 spans wait;
//! the SDK says both in the log.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use portcullis_agent::{EndedTurn, Span, TurnCounter};
use portcullis_http::{EndedRequest, Tracer};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Traces;

/// How long the collector may take over a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How many spans wait at most, and how many go at once.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
/// As much of an answer as is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends spans to a collector.
#[derive(Clone, Debug)]
pub(crate) struct Otlp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    one_in: usize,
    /// How many traces have begun here.
    begun: AtomicUsize,
}

/// Starts sending, if a collector is configured. Asks it nothing yet.
pub(crate) fn open(traces: &Traces) -> anyhow::Result<Option<Otlp>> {
    let Some(url) = &traces.otlp else { return Ok(None) };
    let headers = traces.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new()?)
        .with_endpoint(format!("{}/v1/traces", url.as_str()))
        .with_headers(headers.collect())
        .with_timeout(PATIENCE)
        .build()
        .context("spans can not be sent to `traces.otlp`")?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY);
    let mut processor = BatchSpanProcessor::new(exporter, batches.build());
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource::builder_empty()
        .with_service_name("portcullis")
        .with_attribute(KeyValue::new("service.version", version));
    processor.set_resource(&resource.build());
    let scope = InstrumentationScope::builder("portcullis").with_version(version).build();
    let inner = Inner { processor, scope, one_in: traces.one_in.get(), begun: AtomicUsize::new(0) };
    Ok(Some(Otlp(Arc::new(inner))))
}

impl Otlp {
    /// Sends what waits, and ends.
    pub(crate) async fn close(&self) {
        let inner = Arc::clone(&self.0);
        let closed = tokio::task::spawn_blocking(move || inner.processor.shutdown_with_timeout(PATIENCE));
        match closed.await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "The last spans were not sent"),
        }
    }

    fn send(&self, new: NewSpan<'_>) {
        let NewSpan { span, name, kind, began, duration, attributes, first_event, error } = new;
        let Span { context, parent } = span;
        let state =
            context.tracestate().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
        let trace = TraceId::from(context.trace().get());
        let ours = SpanId::from(context.span().get());
        let mut events = SpanEvents::default();
        events
            .events
            .extend(first_event.map(|after| Event::new("first_event", began + after, Vec::new(), 0)));
        self.0.processor.on_end(SpanData {
            span_context: SpanContext::new(trace, ours, TraceFlags::SAMPLED, false, state),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.get())),
            // A request's parent is its client's.
            parent_span_is_remote: parent.is_some() && kind == SpanKind::Server,
            span_kind: kind,
            name: name.into(),
            start_time: began,
            end_time: began + duration,
            attributes,
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: error.map_or(Status::Unset, |error| Status::error(error.to_owned())),
            instrumentation_scope: self.0.scope.clone(),
        });
    }
}

/// A span that has ended.
struct NewSpan<'a> {
    span: &'a Span,
    name: String,
    kind: SpanKind,
    began: SystemTime,
    duration: Duration,
    attributes: Vec<KeyValue>,
    /// After its beginning.
    first_event: Option<Duration>,
    error: Option<&'a str>,
}

impl Tracer for Otlp {
    fn begins(&self) -> bool {
        self.0.begun.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.0.one_in)
    }

    /// Named as the semantic conventions for HTTP servers have it.
    fn ended(&self, request: &EndedRequest) {
        let EndedRequest { span, request, method, route, status, began, duration } = request;
        self.send(NewSpan {
            span,
            name: format!("{method} {route}"),
            kind: SpanKind::Server,
            began: *began,
            duration: *duration,
            attributes: vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("http.route", route.clone()),
                KeyValue::new("http.response.status_code", i64::from(*status)),
                KeyValue::new("portcullis.request.id", request.clone()),
            ],
            first_event: None,
            error: (*status >= 500).then_some("the gateway failed"),
        });
    }
}

impl TurnCounter for Otlp {
    /// Named as the semantic conventions for generative AI have it, where they have a name.
    fn ended(&self, turn: &EndedTurn) {
        let Some(span) = &turn.span else { return };
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.request.model", turn.model.to_string()),
            KeyValue::new("portcullis.request.id", turn.request.to_string()),
            KeyValue::new("portcullis.principal", turn.principal.to_string()),
            KeyValue::new("portcullis.profile", turn.profile.word()),
            KeyValue::new("portcullis.outcome", turn.outcome),
        ];
        if let Some((thread, id)) = &turn.ids {
            attributes.push(KeyValue::new("portcullis.thread.id", thread.to_string()));
            attributes.push(KeyValue::new("portcullis.turn.id", id.to_string()));
        }
        // Zeros mean that nobody reported it.
        let usage = [
            ("gen_ai.usage.input_tokens", turn.usage.input),
            ("gen_ai.usage.output_tokens", turn.usage.output),
            ("portcullis.pictures", turn.pictures),
        ];
        let usage = usage.into_iter().filter(|(_, count)| *count > 0);
        attributes
            .extend(usage.map(|(name, count)| KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX))));
        let error = Some(turn.error).filter(|error| !error.is_empty());
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        self.send(NewSpan {
            span,
            name: format!("chat {}", turn.model),
            kind: SpanKind::Internal,
            began: SystemTime::now() - turn.duration,
            duration: turn.duration,
            attributes,
            first_event: turn.first_event,
            error,
        });
    }
}

/// An HTTP client that follows no redirect and knows no proxy. The SDK's thread has no runtime; requests run on ours.
#[derive(Debug)]
struct Collector {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots();
        let connector = connector.context("the certificates that the system trusts can not be read")?;
        let http =
            Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
        Ok(Self { http, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let answered = async move {
            let answer = async {
                let (head, body) = http.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
                Ok(Response::from_parts(head, body))
            };
            tokio::time::timeout(PATIENCE, answer).await?
        };
        AbortOnDropHandle::new(self.runtime.spawn(answered)).await?
    }
}
