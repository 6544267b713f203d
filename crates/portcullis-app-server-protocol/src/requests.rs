//! What we ask, and the answers as far as we read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::notifications::RateLimits;

/// Parameters that know which method they belong to and what comes back.
pub trait Method: Serialize {
    /// The method's name on the wire.
    const NAME: &'static str;
    /// What the app-server answers.
    type Response: DeserializeOwned + Send + 'static;

    /// Where it stands in a distributed trace; it goes beside the parameters.
    fn trace(&self) -> Option<&Trace> {
        None
    }
}

macro_rules! methods {
    ($($params:ty => $name:literal -> $response:ty $(, $trace:ident)?;)*) => {
        $(impl Method for $params {
            const NAME: &'static str = $name;
            type Response = $response;
            $(fn trace(&self) -> Option<&Trace> {
                self.$trace.as_ref()
            })?
        })*
    };
}

methods! {
    InitializeParams => "initialize" -> Value;
    ThreadStartParams => "thread/start" -> ThreadStartResponse;
    ThreadInjectItemsParams => "thread/inject_items" -> Value;
    ThreadUnsubscribeParams => "thread/unsubscribe" -> Value;
    TurnStartParams => "turn/start" -> TurnStartResponse, trace;
    TurnInterruptParams => "turn/interrupt" -> Value;
    ModelListParams => "model/list" -> ModelListResponse;
    EnvironmentAddParams => "environment/add" -> Value;
    EnvironmentInfoParams => "environment/info" -> Value;
    AccountReadParams => "account/read" -> AccountReadResponse;
    AccountLimitsReadParams => "account/rateLimits/read" -> AccountLimitsReadResponse;
    LoginStartParams => "account/login/start" -> LoginStartResponse;
    LogoutParams => "account/logout" -> Value;
    ConfigReadParams => "config/read" -> ConfigReadResponse;
    RequirementsReadParams => "configRequirements/read" -> RequirementsReadResponse;
}

/// A place in a distributed trace (W3C Trace Context).
#[derive(Debug, Serialize)]
pub struct Trace {
    /// The header of this name.
    pub traceparent: String,
    /// The header of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// The handshake.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    /// Who we are.
    pub client_info: ClientInfo,
    /// What we want.
    pub capabilities: InitializeCapabilities,
}

/// Who we are.
#[derive(Debug, Serialize)]
pub struct ClientInfo {
    /// Becomes Codex's `originator`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Our version.
    pub version: String,
}

/// What we want.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeCapabilities {
    /// Needed for raw events, dynamic tools and injected items.
    pub experimental_api: bool,
    /// Notifications that we do not read: they are not even sent.
    pub opt_out_notification_methods: Vec<&'static str>,
}

/// Starts a thread.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartParams {
    /// Nothing of it is kept.
    pub ephemeral: bool,
    /// The directory the thread believes to be in.
    pub cwd: String,
    /// Codex's own sandbox.
    pub sandbox: SandboxMode,
    /// When Codex asks before it acts.
    pub approval_policy: Approval,
    /// Who is asked then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<Reviewer>,
    /// Where tools run; empty means nowhere.
    pub environments: Vec<TurnEnvironment>,
    /// Asks for the model's own items (`rawResponseItem/completed`) and for the end of each step.
    pub experimental_raw_events: bool,
    /// Replaces Codex's instructions; the empty text sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<String>,
    /// The caller's tools.
    pub dynamic_tools: Vec<DynamicTool>,
    /// The model.
    pub model: String,
    /// The provider's service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Overrides of the configuration, for this thread only.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub config: Map<String, Value>,
}

/// Codex's own sandbox.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// No writing, no network.
    ReadOnly,
    /// Codex's own sandbox is off: something else confines its tools.
    DangerFullAccess,
}

/// When Codex asks before it acts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Never: what would need asking is refused.
    Never,
    /// Before every command that Codex does not know to be harmless.
    Untrusted,
}

/// Who is asked before Codex acts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reviewer {
    /// We are, by a request of the app-server.
    User,
    /// Another run of the model, which Codex starts.
    AutoReview,
}

/// Where the tools of a thread run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnEnvironment {
    /// An environment that was added.
    pub environment_id: String,
    /// The working directory there.
    pub cwd: String,
}

/// Makes an exec-server known as an environment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentAddParams {
    /// Its name.
    pub environment_id: String,
    /// Where it is reached: `ws://127.0.0.1:PORT/…`.
    pub exec_server_url: String,
    /// What proves to it that the app-server calls.
    pub auth_bearer_token: String,
}

/// Hides the token.
impl std::fmt::Debug for EnvironmentAddParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentAddParams")
            .field("environment_id", &self.environment_id)
            .finish_non_exhaustive()
    }
}

/// Asks an environment what it is, which connects to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentInfoParams {
    /// Its name.
    pub environment_id: String,
}

/// A tool of the caller.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DynamicTool {
    /// A function.
    Function {
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
        /// The JSON schema of its arguments.
        input_schema: Value,
    },
    /// Several, under a name of their own.
    Namespace {
        /// It.
        name: String,
        /// What they are for.
        description: String,
        /// They.
        tools: Vec<DynamicTool>,
    },
}

/// The thread that was started.
#[derive(Debug, Deserialize)]
pub struct ThreadStartResponse {
    /// It.
    pub thread: WithId,
}

/// A thing of which we only read the id.
#[derive(Debug, Deserialize)]
pub struct WithId {
    /// The id.
    pub id: String,
}

/// Replays history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadInjectItemsParams {
    /// Into which thread.
    pub thread_id: String,
    /// Items of the Responses API, passed on as they are.
    pub items: Vec<Value>,
}

/// Lets go of a thread, so that it can be unloaded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnsubscribeParams {
    /// Which.
    pub thread_id: String,
}

/// Starts a turn.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartParams {
    /// On which thread.
    pub thread_id: String,
    /// New input; may be empty after injected history.
    pub input: Vec<UserInput>,
    /// How much the model thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// `auto`, `concise`, `detailed` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<&'static str>,
    /// A JSON schema for the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Where it stands in a distributed trace.
    #[serde(skip)]
    pub trace: Option<Trace>,
}

/// A part of new input.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UserInput {
    /// Text, which reaches the model as it is.
    Text {
        /// It.
        text: String,
    },
}

/// The turn that was started.
#[derive(Debug, Deserialize)]
pub struct TurnStartResponse {
    /// It.
    pub turn: WithId,
}

/// Stops a turn.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptParams {
    /// Its thread.
    pub thread_id: String,
    /// It.
    pub turn_id: String,
}

/// Lists models.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelListParams {
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of models.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelListResponse {
    /// The models.
    pub data: Vec<ModelEntry>,
    /// Where the next page begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A model.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelEntry {
    /// Its slug.
    pub model: String,
    /// For people.
    #[serde(default)]
    pub display_name: String,
    /// Not meant to be chosen.
    #[serde(default)]
    pub hidden: bool,
    /// How much it can think.
    #[serde(default)]
    pub supported_reasoning_efforts: Vec<ReasoningEffortOption>,
    /// `text`, `image`.
    #[serde(default)]
    pub input_modalities: Vec<String>,
}

/// One way a model can think.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningEffortOption {
    /// The word for it.
    pub reasoning_effort: String,
}

/// Asks who is signed in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReadParams {
    /// Whether to renew the login first.
    pub refresh_token: bool,
}

/// Who is signed in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReadResponse {
    /// Nobody, or somebody.
    pub account: Option<Account>,
    /// Whether the provider needs a login at all.
    #[serde(default)]
    pub requires_openai_auth: bool,
}

/// A login, without its secrets.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// `chatgpt`, `apiKey`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// The plan, where there is one.
    #[serde(default)]
    pub plan_type: Option<String>,
}

/// Asks how much of the account's limits is used; the app-server asks the account's service.
#[derive(Debug, Serialize)]
pub struct AccountLimitsReadParams;

/// How much of the account's limits is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLimitsReadResponse {
    /// One limit.
    pub rate_limits: RateLimits,
    /// All of them, by their names, where there may be several.
    #[serde(default)]
    pub rate_limits_by_limit_id: Option<BTreeMap<String, RateLimits>>,
}

/// Starts a sign-in.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LoginStartParams {
    /// With a code typed in on another device.
    ChatgptDeviceCode,
}

/// Asks what the configuration comes to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigReadParams {
    /// Whether each layer is told as well.
    pub include_layers: bool,
}

/// What the configuration comes to, all layers together.
#[derive(Debug, Deserialize)]
pub struct ConfigReadResponse {
    /// The settings that Codex tells.
    pub config: Map<String, Value>,
    /// Which layer each setting comes from, by its dotted name; also settings that are not told.
    pub origins: Map<String, Value>,
}

/// Asks for the policy above the configuration.
#[derive(Debug, Serialize)]
pub struct RequirementsReadParams;

/// The policy above the configuration.
#[derive(Debug, Deserialize)]
pub struct RequirementsReadResponse {
    /// What it holds, if there is one.
    #[serde(default)]
    pub requirements: Option<Map<String, Value>>,
}

/// Forgets the login.
#[derive(Debug, Serialize)]
pub struct LogoutParams;

/// What the person has to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LoginStartResponse {
    /// Open the page and type in the code.
    ChatgptDeviceCode {
        /// The id that `account/login/completed` will carry.
        login_id: String,
        /// The code.
        user_code: String,
        /// The page.
        verification_url: String,
    },
}

/// The answer to `item/tool/call`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallResponse {
    /// Whether the tool worked; the model sees the content either way.
    pub success: bool,
    /// The output.
    pub content_items: Vec<ToolOutputItem>,
}

/// A piece of a tool's output.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ToolOutputItem {
    /// Text.
    InputText {
        /// It.
        text: String,
    },
    /// A picture.
    InputImage {
        /// Its URL.
        image_url: String,
    },
}

/// The answer to a request for approval of a command or a change of files.
#[derive(Debug, Serialize)]
pub struct ApprovalResponse {
    /// It.
    pub decision: ApprovalDecision,
}

/// May it?
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ApprovalDecision {
    /// This once.
    Accept,
    /// No; the turn goes on.
    Decline,
}
