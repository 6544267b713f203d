//! What a turn is asked to do.

use std::time::Duration;

use serde_json::Value;

use crate::{CallId, ModelId, PictureRequest, Place, PrincipalId, Profile, RequestId, TraceContext};

/// Everything an agent needs to run one turn on a thread of its own.
#[derive(Clone, Debug)]
pub struct TurnRequest {
    /// The client's request, for the log.
    pub request: RequestId,
    /// Where the work stands in a distributed trace, if in any.
    pub trace: Option<TraceContext>,
    /// Who asks.
    pub principal: PrincipalId,
    /// What it may touch.
    pub profile: Profile,
    /// Its place among the turns that run at once.
    pub place: Place,
    /// The conversation so far, the new input last; the model reads exactly this.
    pub history: Vec<HistoryItem>,
    /// The caller's own tools.
    pub tools: Vec<ToolSpec>,
    /// The picture that the turn is to make; absent where it answers in words.
    pub picture: Option<PictureRequest>,
    /// How to run it.
    pub options: TurnOptions,
}

impl TurnRequest {
    /// A turn that is asked nothing yet, waits in no queue and stands in no trace.
    pub fn new(request: RequestId, principal: PrincipalId, profile: Profile, options: TurnOptions) -> Self {
        Self {
            request,
            trace: None,
            principal,
            profile,
            place: Place::default(),
            history: Vec::new(),
            tools: Vec::new(),
            picture: None,
            options,
        }
    }
}

/// How a turn is run.
#[derive(Clone, Debug)]
pub struct TurnOptions {
    /// Which model answers.
    pub model: ModelId,
    /// How much it thinks; a word the model advertises. The model's own default where absent.
    pub effort: Option<String>,
    /// Whether and how it summarises its reasoning.
    pub summary: ReasoningSummary,
    /// How long its answers are; a word of the provider (`low`, `medium`, `high`).
    pub verbosity: Option<String>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// A JSON schema that the answer must satisfy.
    pub output_schema: Option<Value>,
    /// How long the agent may work on it, the caller's own time on tools not counted.
    pub deadline: Duration,
}

impl TurnOptions {
    /// As this model does it by itself.
    pub fn new(model: ModelId, deadline: Duration) -> Self {
        Self {
            model,
            effort: None,
            summary: ReasoningSummary::Default,
            verbosity: None,
            service_tier: None,
            output_schema: None,
            deadline,
        }
    }
}

/// One item of a conversation, replayed to the model as its own.
#[derive(Clone, Debug, PartialEq)]
pub enum HistoryItem {
    /// Somebody said something.
    Message(Message),
    /// The model called a tool of the caller.
    ToolCall(crate::ToolCall),
    /// What the tool returned.
    ToolOutput(ToolOutput),
    /// What the model thought, sealed by its provider.
    Reasoning(crate::Reasoning),
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who said it.
    pub author: Author,
    /// What, in order.
    pub parts: Vec<Part>,
}

/// Who said a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Author {
    /// The application: instructions above the user's.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// The model declined in these words.
    Refusal(String),
    /// A picture.
    Image {
        /// A `data:` URL: agents take no other.
        url: String,
        /// How closely the model looks.
        detail: ImageDetail,
    },
}

/// How closely a model looks at a picture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ImageDetail {
    /// The model's own choice.
    #[default]
    Auto,
    /// Coarse.
    Low,
    /// Fine.
    High,
    /// As it is.
    Original,
}

/// A tool that the caller runs itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// What a tool of the caller returned.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolOutput {
    /// The call it answers.
    pub call: CallId,
    /// The output, in order.
    pub parts: Vec<Part>,
}

/// Whether and how reasoning is summarised.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReasoningSummary {
    /// The model's default.
    #[default]
    Default,
    /// Not at all.
    None,
    /// As the provider sees fit.
    Auto,
    /// Briefly.
    Concise,
    /// At length.
    Detailed,
}
