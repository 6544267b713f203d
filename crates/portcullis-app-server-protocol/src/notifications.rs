//! What the app-server tells us and asks us, as far as we read it.

use crate::pictures::{FunctionCallOutput, ImageGeneration};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A notification that belongs to a turn, or one that the worker's owner wants to know.
#[derive(Debug)]
pub enum Notification {
    /// The turn runs; the first that is said of it.
    TurnStarted(TurnStarted),
    /// A piece of the answer.
    AgentMessageDelta(AgentMessageDelta),
    /// A piece of the reasoning's summary.
    ReasoningSummaryDelta(ReasoningSummaryDelta),
    /// An item has begun.
    ItemStarted(ItemStarted),
    /// An item is whole, in Codex's form.
    ItemCompleted(ItemCompleted),
    /// An item is whole, in the model's own form.
    RawItemCompleted(RawResponseItemCompleted),
    /// One answer of the model is whole.
    RawResponseCompleted(RawResponseCompleted),
    /// Something failed; Codex may try again.
    Error(ErrorNotification),
    /// The turn is over.
    TurnCompleted(TurnCompleted),
    /// A sign-in ended.
    LoginCompleted(LoginCompleted),
    /// The account changed.
    AccountUpdated,
    /// How much of the account's limits is used.
    RateLimitsUpdated(RateLimitsUpdated),
    /// Something the operator should know.
    Warning(Warning),
    /// One that we do not read. New ones are normal.
    Other,
}

impl Notification {
    /// Notifications that we do not read and ask not to be sent.
    pub const NOT_READ: &'static [&'static str] = &[
        "item/commandExecution/outputDelta",
        "item/fileChange/patchUpdated",
        "item/reasoning/summaryPartAdded",
        "remoteControl/status/changed",
        "thread/closed",
        "thread/environment/connected",
        "thread/environment/disconnected",
        "thread/settings/updated",
        "thread/started",
        "thread/status/changed",
        "thread/tokenUsage/updated",
        "turn/diff/updated",
    ];

    /// Reads a notification's parameters, if it is one that we read.
    pub fn parse(method: &str, params: &RawValue) -> Result<Self, serde_json::Error> {
        let text = params.get();
        Ok(match method {
            "turn/started" => Self::TurnStarted(serde_json::from_str(text)?),
            "item/agentMessage/delta" => Self::AgentMessageDelta(serde_json::from_str(text)?),
            "item/reasoning/summaryTextDelta" => Self::ReasoningSummaryDelta(serde_json::from_str(text)?),
            "item/started" => Self::ItemStarted(serde_json::from_str(text)?),
            "item/completed" => Self::ItemCompleted(serde_json::from_str(text)?),
            "rawResponseItem/completed" => Self::RawItemCompleted(serde_json::from_str(text)?),
            "rawResponse/completed" => Self::RawResponseCompleted(serde_json::from_str(text)?),
            "error" => Self::Error(serde_json::from_str(text)?),
            "turn/completed" => Self::TurnCompleted(serde_json::from_str(text)?),
            "account/login/completed" => Self::LoginCompleted(serde_json::from_str(text)?),
            "account/updated" => Self::AccountUpdated,
            "account/rateLimits/updated" => Self::RateLimitsUpdated(serde_json::from_str(text)?),
            "warning" | "configWarning" | "deprecationNotice" => Self::Warning(serde_json::from_str(text)?),
            _ => Self::Other,
        })
    }
}

/// A piece of the answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageDelta {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The message.
    pub item_id: String,
    /// The text.
    pub delta: String,
}

/// A piece of the reasoning's summary.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSummaryDelta {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The reasoning.
    pub item_id: String,
    /// The text.
    pub delta: String,
    /// Which part of the summary.
    #[serde(default)]
    pub summary_index: u32,
}

/// An item that has begun.
pub type ItemStarted = ItemCompleted;

/// An item in Codex's form.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCompleted {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item.
    pub item: ThreadItem,
}

/// The forms of item that we read.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ThreadItem {
    /// What the model said.
    AgentMessage {
        /// Its id.
        id: String,
        /// The whole text.
        #[serde(default)]
        text: String,
    },
    /// The model drew a picture, or tried to.
    ImageGeneration(ImageGeneration),
    /// A command of the agent's own hands.
    #[serde(rename_all = "camelCase")]
    CommandExecution {
        /// Its id.
        id: String,
        /// The command line.
        command: String,
        /// Where it runs.
        cwd: String,
        /// `inProgress`, `completed`, `failed`, `declined`.
        status: String,
        /// Its exit code.
        #[serde(default)]
        exit_code: Option<i32>,
    },
    /// Files that the agent's own hands changed.
    FileChange {
        /// Its id.
        id: String,
        /// The files.
        changes: Vec<FileUpdateChange>,
        /// `inProgress`, `completed`, `failed`, `declined`.
        status: String,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// One changed file; its contents are not read.
#[derive(Debug, Deserialize)]
pub struct FileUpdateChange {
    /// Its path.
    pub path: String,
    /// What became of it.
    pub kind: PatchChangeKind,
}

/// What became of a file.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PatchChangeKind {
    /// It is new.
    Add,
    /// It is gone.
    Delete,
    /// It has another content or name.
    Update,
}

/// An item in the model's own form.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawResponseItemCompleted {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item.
    pub item: ResponseItem,
}

/// The forms of raw item that we read.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseItem {
    /// The model calls a function.
    FunctionCall(FunctionCall),
    /// What a function returned.
    FunctionCallOutput(FunctionCallOutput),
    /// The model thought.
    Reasoning(RawReasoning),
    /// Anything else.
    #[serde(other)]
    Other,
}

/// The model calls a function.
#[derive(Debug, Deserialize)]
pub struct FunctionCall {
    /// The id its output is returned under.
    pub call_id: String,
    /// The function.
    pub name: String,
    /// Set for tools that live in a namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

/// The model thought.
#[derive(Debug, Deserialize)]
pub struct RawReasoning {
    /// Its id, where the provider gave one.
    #[serde(default)]
    pub id: Option<String>,
    /// The parts of the summary.
    #[serde(default)]
    pub summary: Vec<SummaryText>,
    /// The provider's sealed form.
    #[serde(default)]
    pub encrypted_content: Option<String>,
}

/// A part of a summary.
#[derive(Debug, Deserialize)]
pub struct SummaryText {
    /// The text.
    #[serde(default)]
    pub text: String,
}

/// One answer of the model is whole.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawResponseCompleted {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// What it cost, where the provider said so.
    #[serde(default)]
    pub usage: Option<StepUsage>,
}

/// Tokens of one step.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepUsage {
    /// Read, cached ones included.
    pub input_tokens: u64,
    /// The cached part.
    pub cached_input_tokens: u64,
    /// The newly cached part.
    pub cache_write_input_tokens: u64,
    /// Written, reasoning included.
    pub output_tokens: u64,
    /// The reasoning part.
    pub reasoning_output_tokens: u64,
}

/// Something failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorNotification {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// What.
    pub error: TurnError,
    /// Whether Codex tries again by itself.
    #[serde(default)]
    pub will_retry: bool,
}

/// What failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// Text, often with the upstream's own error body in it.
    #[serde(default)]
    pub message: String,
    /// The kind.
    #[serde(default)]
    pub codex_error_info: Option<CodexErrorInfo>,
}

/// The kind of failure: a word, or a word with an HTTP status.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum CodexErrorInfo {
    /// A bare word.
    Word(String),
    /// The provider answered, or its stream ended, with an HTTP status.
    Http(HttpFailure),
    /// A form that this version does not know.
    Unknown(serde_json::Value),
}

/// A failure with the upstream's HTTP status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HttpFailure {
    /// The request could not be made, or was answered with an error.
    #[serde(rename_all = "camelCase")]
    HttpConnectionFailed {
        /// The upstream's status.
        http_status_code: Option<u16>,
    },
    /// The stream could not be opened.
    #[serde(rename_all = "camelCase")]
    ResponseStreamConnectionFailed {
        /// The upstream's status.
        http_status_code: Option<u16>,
    },
    /// The stream broke.
    #[serde(rename_all = "camelCase")]
    ResponseStreamDisconnected {
        /// The upstream's status.
        http_status_code: Option<u16>,
    },
    /// Every retry failed.
    #[serde(rename_all = "camelCase")]
    ResponseTooManyFailedAttempts {
        /// The upstream's last status.
        http_status_code: Option<u16>,
    },
}

/// The turn runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn: StartedTurn,
}

/// A turn that runs.
#[derive(Debug, Deserialize)]
pub struct StartedTurn {
    /// The turn.
    pub id: String,
}

/// The turn is over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn: TurnStatus,
}

/// How a turn ended.
#[derive(Debug, Deserialize)]
pub struct TurnStatus {
    /// The turn.
    pub id: String,
    /// `completed`, `interrupted`, `failed`.
    pub status: String,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<TurnError>,
}

/// A sign-in ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginCompleted {
    /// Which.
    #[serde(default)]
    pub login_id: Option<String>,
    /// Whether somebody is signed in now.
    pub success: bool,
    /// Why not.
    #[serde(default)]
    pub error: Option<String>,
}

/// How much of the account's limits is used, as the last answer of the provider said. What is absent is not known, and does not
/// undo what was known before.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitsUpdated {
    /// One limit of the account.
    pub rate_limits: RateLimits,
}

/// One limit of an account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimits {
    /// Which; `codex` where the provider names none.
    #[serde(default)]
    pub limit_id: Option<String>,
    /// The shorter window.
    #[serde(default)]
    pub primary: Option<RateLimitWindow>,
    /// The longer window.
    #[serde(default)]
    pub secondary: Option<RateLimitWindow>,
}

/// A window of time in which so much may be used.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitWindow {
    /// How much of it is used.
    pub used_percent: i32,
    /// How long it is.
    #[serde(default)]
    pub window_duration_mins: Option<i64>,
    /// When it is over, in Unix seconds.
    #[serde(default)]
    pub resets_at: Option<i64>,
}

/// Something the operator should know.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// What; one of the two is set.
    #[serde(default)]
    pub summary: Option<String>,
    /// What; one of the two is set.
    #[serde(default)]
    pub message: Option<String>,
}

/// `item/tool/call`: the model calls a tool of the caller and waits.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallRequest {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The call.
    pub call_id: String,
}

/// `item/commandExecution/requestApproval`, `item/fileChange/requestApproval`, `item/permissions/requestApproval`: Codex asks
/// before it acts, and waits. What belongs to one kind only is absent in the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequest {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The command line.
    #[serde(default)]
    pub command: Option<String>,
    /// Why, in the model's words.
    #[serde(default)]
    pub reason: Option<String>,
}
