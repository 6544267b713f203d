//! The one joint: everything between the frontends and the workers is an [`Agent`] that wraps an [`Agent`].

use async_trait::async_trait;

use crate::{AgentError, ModelId, Readiness, Turn, TurnRequest, WorkerReport};

/// Something that runs turns.
#[async_trait]
pub trait Agent: Send + Sync {
    /// What it can do; frontends shape themselves by it.
    fn capabilities(&self) -> Capabilities;

    /// The models it really offers, in its own order.
    async fn models(&self) -> Result<Vec<Model>, AgentError>;

    /// Whether a turn could start now.
    async fn readiness(&self) -> Readiness;

    /// The processes that run turns; an agent without any has none.
    fn workers(&self) -> Vec<WorkerReport>;

    /// Begins a turn and returns once the agent has accepted it. Dropping the [`Turn`] interrupts it.
    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError>;
}

#[async_trait]
impl<A: Agent + ?Sized> Agent for std::sync::Arc<A> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        (**self).models().await
    }

    async fn readiness(&self) -> Readiness {
        (**self).readiness().await
    }

    fn workers(&self) -> Vec<WorkerReport> {
        (**self).workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        (**self).start_turn(request).await
    }
}

/// What an agent can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// Answers arrive piece by piece.
    pub deltas: bool,
    /// The caller's own tools can be called.
    pub tools: bool,
}

/// A model that an agent offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// What a person calls it.
    pub display_name: String,
    /// The efforts it advertises, weakest first.
    pub efforts: Vec<Effort>,
    /// Whether it reads pictures.
    pub reads_images: bool,
}

/// A word for how much a model thinks.
pub type Effort = String;
