//! The worker as the HTTP frontend has it: lent.
//!
//! After a second signal connections may live on for a moment, and they must not keep the worker from being ended.
//! What they have is a weak reference, so that the gateway is the one owner, and can end it whenever it wants to.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use portcullis_agent::{
    Agent, AgentError, Capabilities, Condition, ErrorKind, Model, Readiness, Turn, TurnRequest, WorkerReport,
};

/// An agent that its owner can take away.
#[derive(Debug)]
pub(super) struct Lent<A> {
    agent: Weak<A>,
    capabilities: Capabilities,
}

impl<A: Agent> Lent<A> {
    /// Lends an agent for as long as `owner` or a clone of it lives.
    pub(super) fn new(owner: &Arc<A>) -> Self {
        Self { agent: Arc::downgrade(owner), capabilities: owner.capabilities() }
    }

    fn agent(&self) -> Result<Arc<A>, AgentError> {
        let gone = || AgentError::new(ErrorKind::WorkerLost).because("the gateway is stopping");
        self.agent.upgrade().ok_or_else(gone)
    }
}

#[async_trait]
impl<A: Agent> Agent for Lent<A> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.agent()?.models().await
    }

    async fn readiness(&self) -> Readiness {
        match self.agent.upgrade() {
            Some(agent) => agent.readiness().await,
            None => Readiness::of(vec![Condition {
                name: "worker",
                ok: false,
                required: true,
                message: "the gateway is stopping".to_owned(),
            }]),
        }
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.agent.upgrade().map(|agent| agent.workers()).unwrap_or_default()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        self.agent()?.start_turn(request).await
    }
}
