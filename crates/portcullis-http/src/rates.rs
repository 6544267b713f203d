//! What keys with rate limits are told, and how their turns are charged.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_access::{Rates, Share, Standing};
use portcullis_agent::{
    Agent, AgentError, Capabilities, Model, PrincipalId, Readiness, ToolOutput, Turn, TurnEvent, TurnRequest,
    TurnSource, WorkerReport,
};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Says on an answer where its key stands, as OpenAI does.
pub(crate) fn tell(headers: &mut HeaderMap, standing: &Standing) {
    for (names, share) in [(REQUESTS, standing.requests), (TOKENS, standing.tokens)] {
        let Some(Share { limit, remaining, reset }) = share else { continue };
        let [limit_name, remaining_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(remaining_name, HeaderValue::from(remaining));
        if let Ok(reset) = HeaderValue::from_str(&duration(reset)) {
            headers.insert(reset_name, reset);
        }
    }
}

/// `12ms`, `7s`, `6m0s`, `1h0m0s`: rounded up.
fn duration(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        let _written = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _written = write!(text, "{minutes}m");
    }
    let _written = write!(text, "{seconds}s");
    text
}

/// An agent whose turns are charged to their principals as their steps are counted.
pub(crate) struct Charged {
    inner: Arc<dyn Agent>,
    rates: Arc<Rates>,
}

impl Charged {
    pub(crate) fn new(inner: Arc<dyn Agent>, rates: Arc<Rates>) -> Self {
        Self { inner, rates }
    }
}

#[async_trait]
impl Agent for Charged {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        self.inner.readiness().await
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let (principal, rates) = (request.principal.clone(), Arc::clone(&self.rates));
        let turn = self.inner.start_turn(request).await?;
        Ok(turn.map_source(|inner| ChargedTurn { inner, principal, rates }))
    }
}

struct ChargedTurn {
    inner: Box<dyn TurnSource>,
    principal: PrincipalId,
    rates: Arc<Rates>,
}

impl TurnSource for ChargedTurn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let polled = self.inner.poll_next(cx);
        if let Poll::Ready(Some(TurnEvent::StepCompleted(usage))) = &polled {
            self.rates.spent(&self.principal, usage.total(), Instant::now());
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_openai_writes_them() {
        let shown: Vec<_> = [0, 1, 999, 1000, 1001, 59_999, 60_000, 360_000, 3_600_000, 3_661_000]
            .map(|millis| duration(Duration::from_millis(millis)))
            .into();
        assert_eq!(shown, ["0ms", "1ms", "999ms", "1s", "2s", "1m0s", "1m0s", "6m0s", "1h0m0s", "1h1m1s"]);
    }
}
