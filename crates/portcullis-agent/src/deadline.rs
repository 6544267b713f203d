//! `Deadline<A>`: an agent whose turns may not take longer than their request says.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    Agent, AgentError, Capabilities, ErrorKind, Model, Outcome, Readiness, ToolOutput, Turn, TurnEvent,
    TurnRequest, TurnSource, WorkerReport,
};

/// Ends turns that outlive [`crate::TurnOptions::deadline`] as [`ErrorKind::Timeout`]. The clock stands still
/// while a turn waits for outputs of the caller's tools: that time is the caller's.
#[derive(Debug)]
pub struct Deadline<A> {
    inner: A,
}

impl<A> Deadline<A> {
    /// Wraps an agent.
    pub fn new(inner: A) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<A: Agent> Agent for Deadline<A> {
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
        let allowed = request.options.deadline;
        let at = Instant::now() + allowed;
        let turn = tokio::time::timeout_at(at, self.inner.start_turn(request))
            .await
            .map_err(|_elapsed| AgentError::new(ErrorKind::Timeout))??;
        Ok(turn.map_source(|inner| Timed {
            inner: Some(inner),
            timer: Timer::Running(Box::pin(sleep_until(at))),
        }))
    }
}

struct Timed {
    /// Gone once the deadline has passed: dropping it interrupts the turn.
    inner: Option<Box<dyn TurnSource>>,
    timer: Timer,
}

enum Timer {
    Running(Pin<Box<Sleep>>),
    /// The turn waits for its caller; this much is left.
    Stopped(Duration),
    Over,
}

impl TurnSource for Timed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        // The clock first: a turn that always has one more event must not be able to outrun it.
        if let Timer::Running(sleep) = &mut self.timer
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.inner = None;
            return Poll::Ready(Some(TurnEvent::Ended(Outcome::Failed(ErrorKind::Timeout.into()))));
        }
        let polled = inner.poll_next(cx);
        match &polled {
            Poll::Ready(Some(TurnEvent::ToolCalls(_))) => self.stop(),
            Poll::Ready(Some(TurnEvent::Ended(_)) | None) => self.timer = Timer::Over,
            _ => {}
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        let inner = self.inner.as_mut().ok_or_else(|| AgentError::new(ErrorKind::Timeout))?;
        inner.answer(outputs)?;
        if let Timer::Stopped(left) = self.timer {
            self.timer = Timer::Running(Box::pin(sleep(left)));
        }
        Ok(())
    }
}

impl Timed {
    fn stop(&mut self) {
        if let Timer::Running(sleep) = &self.timer {
            self.timer = Timer::Stopped(sleep.deadline().saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use super::*;
    use crate::testing::{self, ByHand};
    use crate::{EventSender, Profile, TurnOptions, event_queue};

    async fn start(seconds: u64) -> (Turn, EventSender) {
        let (sender, receiver) = event_queue(1024);
        let receiver = Mutex::new(Some(receiver));
        let agent = Deadline::new(ByHand::new(move |_request| {
            ready(Ok(testing::turn(receiver.lock().unwrap().take().unwrap())))
        }));
        let options = TurnOptions::new("m".into(), Duration::from_secs(seconds));
        let request = TurnRequest::new("r".into(), "p".into(), Profile::Chat, options);
        (agent.start_turn(request).await.unwrap(), sender)
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_takes_too_long_times_out_once() {
        let (mut turn, _sender) = start(10).await;
        let event = turn.next().await;
        assert!(
            matches!(&event, Some(TurnEvent::Ended(Outcome::Failed(e))) if e.kind == ErrorKind::Timeout),
            "{event:?}"
        );
        assert!(turn.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_a_caller_takes_for_its_tools_does_not_count() {
        let (mut turn, sender) = start(10).await;
        sender.send(TurnEvent::ToolCalls(Vec::new())).unwrap();
        assert!(matches!(turn.next().await, Some(TurnEvent::ToolCalls(_))));
        let silent = tokio::time::timeout(Duration::from_hours(1), turn.next()).await;
        assert!(silent.is_err(), "the clock ran while the turn was waiting for its caller");
        turn.answer(Vec::new()).unwrap();
        let before = Instant::now();
        assert!(matches!(turn.next().await, Some(TurnEvent::Ended(Outcome::Failed(_)))));
        assert_eq!(before.elapsed().as_secs(), 10);
    }
}
