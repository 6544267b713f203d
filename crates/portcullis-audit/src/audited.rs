//! `Audited<A>`: an agent whose turns leave their facts in the audit log.

use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use portcullis_agent::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Item, Model, Outcome, PrincipalId, Profile,
    Readiness, RequestId, ThreadId, ToolOutput, Turn, TurnEvent, TurnId, TurnRequest, TurnSource, Usage,
    WorkerReport,
};

use crate::audit::Audit;
use crate::fact::{Entry, Fact};
use crate::text::Text;

/// Writes down that a turn was let through before it runs, and what came of it.
///
/// A turn with hands does not run unless that is in the log. A turn without any does: what it could do that matters is
/// nothing, and the log's trouble is told by `/readyz`.
#[derive(Debug)]
pub struct Audited<A> {
    inner: A,
    audit: Audit,
}

impl<A> Audited<A> {
    /// Wraps an agent.
    pub fn new(inner: A, audit: Audit) -> Self {
        Self { inner, audit }
    }
}

#[async_trait]
impl<A: Agent> Agent for Audited<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        let Readiness { mut conditions, .. } = self.inner.readiness().await;
        if let Some(state) = self.audit.state() {
            let failing = state.failure.is_some();
            let message = if failing {
                "the audit log can not be written: turns of `read` and `work` are refused (hint: look for a full disk)"
            } else {
                "the audit log is written"
            };
            conditions.push(Condition {
                name: "audit",
                ok: !failing,
                required: false,
                message: message.to_owned(),
            });
        }
        Readiness::of(conditions)
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let mut open = Open {
            audit: self.audit.clone(),
            request: request.request.clone(),
            principal: request.principal.clone(),
            profile: request.profile,
            within: None,
            usage: Usage::default(),
            ended: false,
        };
        let model = Text::masked(request.options.model.as_str());
        let started = open.entry(Fact::TurnStarted { profile: request.profile, model });
        if request.profile.has_hands() {
            if let Err(unwritten) = self.audit.append(started).await {
                open.ended = true;
                return Err(AgentError::new(ErrorKind::Unaudited).because(unwritten));
            }
        } else {
            self.audit.note(started);
        }
        match self.inner.start_turn(request).await {
            Ok(turn) => {
                open.within = Some((turn.thread().clone(), turn.id().clone()));
                Ok(turn.map_source(|inner| Watched { inner, open }))
            }
            Err(error) => {
                open.end("failed", error.kind.word());
                Err(error)
            }
        }
    }
}

/// A turn that was let through and is not over.
struct Open {
    audit: Audit,
    request: RequestId,
    principal: PrincipalId,
    profile: Profile,
    within: Option<(ThreadId, TurnId)>,
    usage: Usage,
    ended: bool,
}

impl Open {
    fn entry(&self, fact: Fact) -> Entry {
        let entry = Entry::of_request(&self.principal, self.request.clone(), fact);
        match self.within.clone() {
            Some((thread, turn)) => entry.within(thread, turn),
            None => entry,
        }
    }

    fn see(&mut self, event: &TurnEvent) {
        match event {
            TurnEvent::StepCompleted(usage) => self.usage += *usage,
            TurnEvent::Ended(outcome) => {
                let error = match outcome {
                    Outcome::Failed(error) => error.kind.word(),
                    Outcome::Completed | Outcome::Interrupted => "",
                };
                self.end(outcome.word(), error);
            }
            TurnEvent::ItemCompleted(Item::Command(command)) => {
                self.audit.note(self.entry(Fact::command_run(command)));
            }
            TurnEvent::ItemCompleted(Item::FileChange(change)) => {
                self.audit.note(self.entry(Fact::files_changed(change)));
            }
            TurnEvent::Delta(_)
            | TurnEvent::Preview(_)
            | TurnEvent::ItemCompleted(_)
            | TurnEvent::ToolCalls(_) => {}
        }
    }

    fn end(&mut self, outcome: &'static str, error: &'static str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.audit.note(self.entry(Fact::turn_ended(self.profile, outcome, error, self.usage)));
        }
    }
}

/// Whoever lets go of a turn, or of its start, has interrupted it.
impl Drop for Open {
    fn drop(&mut self) {
        self.end(Outcome::Interrupted.word(), "");
    }
}

struct Watched {
    inner: Box<dyn TurnSource>,
    open: Open,
}

/// What the hands have done is written down, also where the client left without reading so far.
impl Drop for Watched {
    fn drop(&mut self) {
        if self.open.profile.has_hands() && !self.open.ended {
            let mut unread = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(_)) = self.poll_next(&mut unread) {}
        }
    }
}

impl TurnSource for Watched {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        let polled = self.inner.poll_next(cx);
        if let Poll::Ready(Some(event)) = &polled {
            self.open.see(event);
        }
        polled
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.inner.answer(outputs)
    }
}
