//! The part of Codex's app-server wire (version 2, JSON-RPC without the `jsonrpc` member, one JSON object per
//! line) that Portcullis speaks.
//!
//! Knows: names and shapes. Does not know: processes, turns, what a shape means. The source is the schema that the
//! pinned Codex prints itself (`codex app-server generate-json-schema --experimental`); a test holds every
//! request of ours against it. Types that only one side sends are only serialised or only deserialised, and
//! members that nobody reads are left out: new ones in a later Codex are normal, not errors.

mod envelope;
mod notifications;
mod pictures;
mod requests;

pub use envelope::{
    Incoming, MalformedLine, RpcError, notification_line, reply_error_line, reply_line, request_line,
};
pub use notifications::{
    AgentMessageDelta, ApprovalRequest, CodexErrorInfo, ErrorNotification, FileUpdateChange, FunctionCall,
    HttpFailure, ItemCompleted, ItemStarted, LoginCompleted, Notification, PatchChangeKind, RateLimitWindow,
    RateLimits, RateLimitsUpdated, RawReasoning, RawResponseCompleted, RawResponseItemCompleted,
    ReasoningSummaryDelta, ResponseItem, StartedTurn, StepUsage, SummaryText, ThreadItem, ToolCallRequest,
    TurnCompleted, TurnError, TurnStarted, TurnStatus, Warning,
};
pub use pictures::{FunctionCallOutput, ImageFailure, ImageGeneration, InputImage, ResultBytes};
pub use requests::{
    Account, AccountLimitsReadParams, AccountLimitsReadResponse, AccountReadParams, AccountReadResponse,
    Approval, ApprovalDecision, ApprovalResponse, ClientInfo, ConfigReadParams, ConfigReadResponse,
    DynamicTool, EnvironmentAddParams, EnvironmentInfoParams, InitializeCapabilities, InitializeParams,
    LoginStartParams, LoginStartResponse, LogoutParams, Method, ModelEntry, ModelListParams,
    ModelListResponse, ReasoningEffortOption, RequirementsReadParams, RequirementsReadResponse, Reviewer,
    SandboxMode, ThreadInjectItemsParams, ThreadStartParams, ThreadStartResponse, ThreadUnsubscribeParams,
    ToolCallResponse, ToolOutputItem, Trace, TurnEnvironment, TurnInterruptParams, TurnStartParams,
    TurnStartResponse, UserInput, WithId,
};
