//! What happens during a turn.

use crate::{AgentError, CallId, ItemId, Picture, Usage};

/// One event of a turn. A turn's events end with exactly one [`TurnEvent::Ended`].
#[derive(Clone, Debug)]
pub enum TurnEvent {
    /// A piece of text, in order within its item.
    Delta(Delta),
    /// An item is whole.
    ItemCompleted(Item),
    /// An earlier state of a picture that is still being made.
    Preview(Picture),
    /// One answer of the model is whole; its cost.
    StepCompleted(Usage),
    /// The model waits for these outputs, all of them: the set is complete. The turn goes on when
    /// [`crate::Turn::answer`] has been given every output.
    ToolCalls(Vec<ToolCall>),
    /// The turn is over. Nothing follows.
    Ended(Outcome),
}

/// A piece of an item's text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delta {
    /// The item it belongs to.
    pub item: ItemId,
    /// Which of the item's texts it continues.
    pub kind: DeltaKind,
    /// The text; never empty.
    pub text: String,
}

/// Which text a delta continues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeltaKind {
    /// The answer.
    Message,
    /// A part of the model's summary of its reasoning.
    ReasoningSummary {
        /// The part's number within the item.
        part: u32,
    },
}

/// A finished piece of a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// What the model said.
    Message {
        /// The id its deltas carried.
        id: ItemId,
        /// The whole text.
        text: String,
        /// The model declined in these words instead of answering.
        refusal: Option<String>,
    },
    /// What the model thought.
    Reasoning(Reasoning),
    /// A command that the agent's hands ran, or were not allowed to run.
    Command(Command),
    /// Files that the agent's hands changed, or were not allowed to change.
    FileChange(FileChange),
    /// What it drew; only in a turn that was asked for a picture.
    Picture(Picture),
}

/// A command of the agent's hands, without its output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Its id within the turn.
    pub id: ItemId,
    /// The command line, as the agent tells it. May hold anything a model can write.
    pub line: String,
    /// Where it ran, as the hands see it.
    pub cwd: String,
    /// How it went.
    pub status: ActionStatus,
    /// Its exit code, where it ended by itself.
    pub exit_code: Option<i32>,
}

/// Files that the agent's hands changed, without their contents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileChange {
    /// Its id within the turn.
    pub id: ItemId,
    /// Which files, and how.
    pub files: Vec<ChangedFile>,
    /// How it went.
    pub status: ActionStatus,
}

/// One file of a [`FileChange`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangedFile {
    /// Its path, as the hands see it.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// It is gone.
    Delete,
    /// It has another content or another name.
    Update,
}

/// How an action of the hands went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActionStatus {
    /// It was done.
    Completed,
    /// It was tried and failed.
    Failed,
    /// It was not allowed.
    Declined,
}

/// A model's reasoning, as far as its provider shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reasoning {
    /// The id its deltas carried.
    pub id: ItemId,
    /// The parts of the summary.
    pub summary: Vec<String>,
    /// The provider's sealed form of the reasoning, for replay.
    pub encrypted: Option<String>,
}

/// A call of one of the caller's own tools.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolCall {
    /// The id under which the output is returned.
    pub id: CallId,
    /// The tool's name.
    pub name: String,
    /// The arguments exactly as the model wrote them: JSON text.
    pub arguments: String,
}

/// How a turn ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The model finished.
    Completed,
    /// Somebody stopped it.
    Interrupted,
    /// It broke.
    Failed(AgentError),
}

impl Outcome {
    /// The outcome as a short permanent word, for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}
