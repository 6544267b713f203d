//! What we send, and what we read of the answers.

use portcullis_app_server_protocol::{
    AccountLimitsReadParams, AccountReadParams, Approval, ClientInfo, ConfigReadParams, DynamicTool,
    EnvironmentAddParams, EnvironmentInfoParams, InitializeCapabilities, InitializeParams, LoginStartParams,
    LogoutParams, Method, ModelListParams, Notification, RequirementsReadParams, Reviewer, SandboxMode,
    ThreadInjectItemsParams, ThreadStartParams, ThreadUnsubscribeParams, TurnEnvironment,
    TurnInterruptParams, TurnStartParams, UserInput, request_line,
};
use serde_json::{Map, Value, json};

use crate::parses;

/// A method of ours: what it sends, full and minimal, and what it reads.
pub(crate) struct Ours {
    pub(crate) name: &'static str,
    pub(crate) sent: Vec<Value>,
    pub(crate) reads: fn(&Value) -> Result<(), String>,
}

fn ours<M: Method>(instances: &[M]) -> Ours {
    let sent = instances.iter().map(|params| serde_json::from_slice(&request_line(7, params)).unwrap());
    Ours { name: M::NAME, sent: sent.collect(), reads: parses::<M::Response> }
}

/// Every method, with a full and a minimal instance.
pub(crate) fn methods() -> Vec<Ours> {
    let text = |text: &str| text.to_owned();
    let initialize = |opt_out: &[&'static str]| InitializeParams {
        client_info: ClientInfo { name: text("n"), title: text("t"), version: text("1") },
        capabilities: InitializeCapabilities {
            experimental_api: true,
            opt_out_notification_methods: opt_out.to_vec(),
        },
    };
    let thread = ThreadStartParams {
        approvals_reviewer: None,
        ephemeral: true,
        cwd: text("/"),
        sandbox: SandboxMode::ReadOnly,
        approval_policy: Approval::Never,
        environments: Vec::new(),
        experimental_raw_events: true,
        base_instructions: None,
        dynamic_tools: Vec::new(),
        model: text("m"),
        service_tier: None,
        config: Map::new(),
    };
    let function = || DynamicTool::Function {
        name: text("get_weather"),
        description: text("The weather."),
        input_schema: json!({"type": "object"}),
    };
    let namespace = DynamicTool::Namespace {
        name: text("client"),
        description: text("Functions of the application."),
        tools: vec![function()],
    };
    let full_thread = ThreadStartParams {
        sandbox: SandboxMode::DangerFullAccess,
        approval_policy: Approval::Untrusted,
        approvals_reviewer: Some(Reviewer::AutoReview),
        environments: vec![TurnEnvironment { environment_id: text("e"), cwd: text("/work") }],
        base_instructions: Some(text("")),
        dynamic_tools: vec![function(), namespace],
        service_tier: Some(text("priority")),
        config: Map::from_iter([(text("model_verbosity"), json!("high"))]),
        ..thread_again(&thread)
    };
    let inject = |items: Vec<Value>| ThreadInjectItemsParams { thread_id: text("t"), items };
    let turn = TurnStartParams {
        thread_id: text("t"),
        input: Vec::new(),
        effort: None,
        summary: None,
        output_schema: None,
        trace: None,
    };
    let mut turns = vec![turn];
    turns.extend(["auto", "concise", "detailed", "none"].map(|summary| TurnStartParams {
        thread_id: text("t"),
        input: vec![UserInput::Text { text: text("Hi") }],
        effort: Some(text("high")),
        summary: Some(summary),
        output_schema: Some(json!({"type": "object"})),
        trace: None,
    }));
    let message =
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]});
    vec![
        ours(&[initialize(&[]), initialize(Notification::NOT_READ)]),
        ours(&[thread, full_thread]),
        ours(&[inject(Vec::new()), inject(vec![message])]),
        ours(&[ThreadUnsubscribeParams { thread_id: text("t") }]),
        ours(&turns),
        ours(&[TurnInterruptParams { thread_id: text("t"), turn_id: text("u") }]),
        ours(&[ModelListParams { cursor: None }, ModelListParams { cursor: Some(text("c")) }]),
        ours(&[EnvironmentAddParams {
            environment_id: text("e"),
            exec_server_url: text("ws://127.0.0.1:1/e"),
            auth_bearer_token: text("k"),
        }]),
        ours(&[EnvironmentInfoParams { environment_id: text("e") }]),
        ours(&[AccountReadParams { refresh_token: true }]),
        ours(&[AccountLimitsReadParams]),
        ours(&[LoginStartParams::ChatgptDeviceCode]),
        ours(&[LogoutParams]),
        ours(&[ConfigReadParams { include_layers: true }]),
        ours(&[RequirementsReadParams]),
    ]
}

fn thread_again(thread: &ThreadStartParams) -> ThreadStartParams {
    ThreadStartParams {
        cwd: thread.cwd.clone(),
        environments: Vec::new(),
        base_instructions: thread.base_instructions.clone(),
        dynamic_tools: Vec::new(),
        model: thread.model.clone(),
        service_tier: None,
        config: Map::new(),
        ..*thread
    }
}
