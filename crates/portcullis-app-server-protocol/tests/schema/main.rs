//! Our words against the schema that the pinned Codex prints itself, and against lines that it said.
//!
//! What we send must satisfy the schema and have no member that the schema does not know: a misspelt optional
//! member would be taken and ignored. What we read must parse from every document that the schema allows, as far
//! as documents can be made here: the required members alone, every alternative, and one optional member at a time.

#![expect(clippy::unwrap_used, reason = "a test that can not read what it is about has failed")]

mod documents;
mod ours;

use std::fs;

use portcullis_app_server_protocol::{
    AccountReadResponse, ApprovalDecision, ApprovalRequest, ApprovalResponse, Incoming, ModelListResponse,
    Notification, RpcError, ThreadStartResponse, ToolCallRequest, ToolCallResponse, ToolOutputItem,
    TurnStartResponse, notification_line,
};
use serde_json::{Value, json};

use crate::documents::{closed, documents};
use crate::ours::methods;

/// Codex sends them to whoever asks for `experimentalRawEvents`; the schema has their types and leaves them out of
/// its list of notifications.
const UNLISTED: [(&str, &str); 2] = [
    ("rawResponse/completed", "RawResponseCompletedNotification"),
    ("rawResponseItem/completed", "RawResponseItemCompletedNotification"),
];

/// How many optional members are set inside each other.
const DEPTH: usize = 2;

#[test]
fn what_we_send_is_in_the_schema() {
    let schemas = Schemas::print("sent");
    let line = jsonschema::validator_for(&schemas.read("ClientRequest")).unwrap();
    for ours in methods() {
        let closed = |params: String| jsonschema::validator_for(&closed(&schemas.read(&params))).unwrap();
        let closed = (!ours.sent[0]["params"].is_null())
            .then(|| closed(schemas.params_of("ClientRequest", ours.name)));
        for sent in &ours.sent {
            check(&line, sent, ours.name);
            if let Some(closed) = &closed {
                check(closed, &sent["params"], ours.name);
            }
        }
    }

    let initialized: Value = serde_json::from_slice(&notification_line("initialized")).unwrap();
    check(
        &jsonschema::validator_for(&schemas.read("ClientNotification")).unwrap(),
        &initialized,
        "initialized",
    );

    let output = ToolCallResponse {
        success: true,
        content_items: vec![
            ToolOutputItem::InputText { text: "sun".to_owned() },
            ToolOutputItem::InputImage { image_url: "data:image/png;base64,AA==".to_owned() },
        ],
    };
    let nothing = ToolCallResponse { success: false, content_items: Vec::new() };
    let closed_output = closed(&schemas.read("DynamicToolCallResponse"));
    let closed_output = jsonschema::validator_for(&closed_output).unwrap();
    for response in [output, nothing] {
        check(&closed_output, &serde_json::to_value(response).unwrap(), "item/tool/call");
    }

    for decision in [ApprovalDecision::Accept, ApprovalDecision::Decline] {
        for kind in ["CommandExecutionRequestApprovalResponse", "FileChangeRequestApprovalResponse"] {
            let closed = jsonschema::validator_for(&closed(&schemas.read(kind))).unwrap();
            check(&closed, &serde_json::to_value(ApprovalResponse { decision }).unwrap(), kind);
        }
    }

    // The check itself: a misspelt member does not pass.
    let interrupt = jsonschema::validator_for(&closed(&schemas.read("TurnInterruptParams"))).unwrap();
    assert!(interrupt.is_valid(&json!({"threadId": "t", "turnId": "u"})));
    assert!(!interrupt.is_valid(&json!({"threadId": "t", "turnId": "u", "reasonWhy": "x"})));
}

#[test]
fn what_we_read_is_in_the_schema() {
    let schemas = Schemas::print("read");
    let mut faults = Vec::new();
    for ours in methods() {
        let response = match ours.name {
            // They have no parameters that would be called so.
            "account/logout" => "LogoutAccountResponse".to_owned(),
            "account/rateLimits/read" => "GetAccountRateLimitsResponse".to_owned(),
            "configRequirements/read" => "ConfigRequirementsReadResponse".to_owned(),
            name => {
                schemas.params_of("ClientRequest", name).strip_suffix("Params").unwrap().to_owned()
                    + "Response"
            }
        };
        // We only ever ask for a device code, and so only read that answer.
        let asked_for =
            |document: &Value| ours.name != "account/login/start" || document["type"] == "chatgptDeviceCode";
        faults.extend(all_parse(&schemas.read(&response), asked_for, ours.reads, ours.name));
    }

    for name in notifications_read() {
        let kind = UNLISTED.iter().find(|(unlisted, _)| *unlisted == name).map(|(_, kind)| *kind);
        let kind = kind.map_or_else(|| schemas.params_of("ServerNotification", name), str::to_owned);
        let reads = |document: &Value| match Notification::parse(name, &raw(document)) {
            Ok(Notification::Other) => Err("it is not read at all".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        faults.extend(all_parse(&schemas.read(&kind), |_| true, reads, name));
    }

    let call = schemas.params_of("ServerRequest", "item/tool/call");
    let reads = |document: &Value| parses::<ToolCallRequest>(document);
    faults.extend(all_parse(&schemas.read(&call), |_| true, reads, "item/tool/call"));
    for method in [
        "item/commandExecution/requestApproval",
        "item/fileChange/requestApproval",
        "item/permissions/requestApproval",
    ] {
        let asked = schemas.params_of("ServerRequest", method);
        faults.extend(all_parse(&schemas.read(&asked), |_| true, parses::<ApprovalRequest>, method));
    }
    faults.extend(all_parse(&schemas.read("JSONRPCErrorError"), |_| true, parses::<RpcError>, "an error"));
    assert!(faults.is_empty(), "what Codex may say does not parse:\n{}", faults.join("\n"));
}

#[test]
fn every_name_is_in_the_schema() {
    let schemas = Schemas::print("names");
    let mut covered: Vec<&str> = methods().iter().map(|ours| ours.name).collect();
    let mut declared: Vec<&str> = include_str!("../../src/requests.rs")
        .lines()
        .filter_map(|line| line.split_once(" => \"")?.1.split_once("\" -> ").map(|(name, _)| name))
        .collect();
    covered.sort_unstable();
    declared.sort_unstable();
    assert_eq!(covered, declared, "this test holds every method against the schema");

    let listed = schemas.names("ServerNotification");
    for name in notifications_read().into_iter().chain(Notification::NOT_READ.iter().copied()) {
        let unlisted = UNLISTED.iter().any(|(unlisted, _)| *unlisted == name);
        assert_ne!(listed.iter().any(|known| known == name), unlisted, "`{name}` in ServerNotification.json");
    }
    for name in Notification::NOT_READ {
        assert!(!notifications_read().contains(name), "`{name}` is read, and opted out of");
    }
}

/// Recorded from Codex 0.169.0, without opting out of anything: a turn with reasoning, two tool calls and an answer;
/// a turn that the provider refuses (400); one that it limits (429); a call that Codex refuses. Ids, times and paths
/// are replaced, and the list of models is cut after the first.
#[test]
fn recorded_lines_parse() {
    let (mut replies, mut refusals, mut calls, mut failures) = (Vec::new(), 0, 0, 0);
    for line in include_str!("../fixtures/turn.jsonl").lines() {
        match Incoming::parse(line.as_bytes()).unwrap() {
            Incoming::Reply { id, result: Ok(result) } => {
                let document: Value = serde_json::from_str(result.get()).unwrap();
                let read = match id {
                    2 => parses::<AccountReadResponse>(&document),
                    3 => parses::<ModelListResponse>(&document),
                    4 | 8 | 11 => parses::<ThreadStartResponse>(&document),
                    6 | 9 | 12 => parses::<TurnStartResponse>(&document),
                    // To `initialize`, `thread/inject_items` and `thread/unsubscribe`: nothing is read of them.
                    1 | 5 | 7 | 10 | 13 => Ok(()),
                    _ => Err("a reply to nothing".to_owned()),
                };
                assert_eq!(read, Ok(()), "{line}");
                replies.push(id);
            }
            Incoming::Reply { result: Err(error), .. } => {
                assert_eq!(error.code, -32600, "{line}");
                refusals += 1;
            }
            Incoming::Request { method, params, .. } => {
                assert_eq!(method, "item/tool/call", "{line}");
                let call: ToolCallRequest = serde_json::from_str(params.get()).unwrap();
                assert!(call.call_id.starts_with("call_"), "{line}");
                calls += 1;
            }
            Incoming::Notification { method, params } => match Notification::parse(&method, params) {
                Ok(Notification::Other) => {
                    assert!(Notification::NOT_READ.contains(&&*method), "`{method}` is sent for nothing");
                }
                Ok(Notification::Error(error)) => {
                    assert!(error.error.codex_error_info.is_some() && !error.will_retry, "{line}");
                    failures += 1;
                }
                Ok(_) => {}
                Err(error) => panic!("{error}: {line}"),
            },
        }
    }
    assert_eq!((replies.len(), refusals, calls, failures), (13, 1, 2, 2));
}

/// The names that `Notification::parse` knows, from its source: its arms are the one list of them.
fn notifications_read() -> Vec<&'static str> {
    let arms =
        include_str!("../../src/notifications.rs").lines().filter_map(|line| line.split_once(" => Self::"));
    let quoted = arms.flat_map(|(names, _)| names.split('"').skip(1).step_by(2));
    quoted.collect()
}

fn raw(document: &Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(document).unwrap()
}

fn parses<T: serde::de::DeserializeOwned>(document: &Value) -> Result<(), String> {
    serde_json::from_str::<T>(raw(document).get()).map(drop).map_err(|error| error.to_string())
}

fn check(validator: &jsonschema::Validator, document: &Value, what: &str) {
    let faults: Vec<String> =
        validator.iter_errors(document).map(|e| format!("{} at `{}`", e, e.instance_path())).collect();
    assert!(faults.is_empty(), "{what}: {document}\n{}", faults.join("\n"));
}

/// Makes documents of a schema, parses each, and says which do not parse.
fn all_parse(
    schema: &Value,
    asked_for: impl Fn(&Value) -> bool,
    reads: impl Fn(&Value) -> Result<(), String>,
    what: &str,
) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let mut documents = documents(schema, schema, DEPTH);
    documents.retain(asked_for);
    assert!(!documents.is_empty(), "{what}: the schema has no document");
    let mut faults = Vec::new();
    for document in documents {
        // Otherwise it would prove nothing.
        check(&validator, &document, what);
        if let Err(fault) = reads(&document) {
            faults.push(format!("{what}: {fault}: {document}"));
        }
    }
    faults
}

/// The schema files of the pinned Codex, printed anew. Removed when dropped.
struct Schemas(String);

impl Schemas {
    fn print(test: &str) -> Self {
        let dir = format!("{}/schema-{test}", env!("CARGO_TARGET_TMPDIR"));
        let schemas = Self(dir);
        let home = format!("{}/home", schemas.0);
        fs::create_dir_all(&home).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a program that prints files and ends, with no environment"
        )]
        let mut codex = std::process::Command::new(pinned_codex());
        codex.args(["app-server", "generate-json-schema", "--experimental", "--out", &schemas.0]);
        let printed = codex.env_clear().env("CODEX_HOME", home).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        schemas
    }

    /// The schema of a type, in whichever folder it is.
    fn read(&self, name: &str) -> Value {
        let folders = ["v2/", "", "v1/"];
        let text = folders.iter().find_map(|at| fs::read(format!("{}/{at}{name}.json", self.0)).ok());
        serde_json::from_slice(&text.unwrap_or_else(|| panic!("Codex has no schema of `{name}`"))).unwrap()
    }

    /// The methods that a list such as `ClientRequest` has.
    fn names(&self, list: &str) -> Vec<String> {
        let all = self.read(list);
        let all = all["oneOf"].as_array().expect("a list of alternatives");
        all.iter().map(|one| method(one).to_owned()).collect()
    }

    /// The type of a method's parameters.
    fn params_of(&self, list: &str, name: &str) -> String {
        let all = self.read(list);
        let mut all = all["oneOf"].as_array().expect("a list of alternatives").iter();
        let one =
            all.find(|one| method(one) == name).unwrap_or_else(|| panic!("`{name}` is not in {list}.json"));
        let reference = one["properties"]["params"]["$ref"].as_str().expect("parameters have a type");
        reference.rsplit('/').next().expect("a split has a part").to_owned()
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        let _left_over = fs::remove_dir_all(&self.0);
    }
}

fn method(one: &Value) -> &str {
    one["properties"]["method"]["enum"][0].as_str().expect("an alternative is for one method")
}

/// The program itself: the launcher beside it is a script that needs Node.
fn pinned_codex() -> String {
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/codex/node_modules/@openai");
    let inside = |dir: &str, prefix: &str| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.find(|name| name.starts_with(prefix)).map(|name| format!("{dir}/{name}"))
    };
    let program = inside(packages, "codex-linux-")
        .and_then(|package| inside(&format!("{package}/vendor"), ""))
        .map(|vendor| format!("{vendor}/bin/codex"));
    program
        .filter(|path| fs::exists(path).unwrap_or(false))
        .expect("there is no pinned Codex (hint: `make codex`)")
}
