//! `tools` of the Responses API. A `custom` tool, whose input is free text, is a function with one text to Codex.

use std::collections::HashSet;

use portcullis_agent::{ToolCall, ToolSpec};
use serde_json::{Value, json};

use crate::InvalidRequest;
use crate::chat::{Limits, ToolChoice};
use crate::read::{At, Read};

/// An item of the input that brings tools along.
pub(super) const ADDITIONAL_TOOLS: &str = "additional_tools";

/// The names of the request's custom tools.
#[derive(Clone, Debug, Default)]
pub struct CustomTools(HashSet<String>);

/// What a request says about tools.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) offered: Vec<ToolSpec>,
    pub(crate) custom: CustomTools,
    pub(crate) choice: ToolChoice,
    pub(crate) parallel: bool,
    /// Kinds of tools that are not offered, and named in the answer's header.
    pub(crate) ignored: Vec<&'static str>,
}

impl CustomTools {
    /// Whether a tool of this name takes free text.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The free text of a call of a custom tool; the arguments themselves where the model kept to no form.
    pub(crate) fn input(call: &ToolCall) -> String {
        let arguments: Option<Value> = serde_json::from_str(&call.arguments).ok();
        arguments
            .and_then(|arguments| arguments.get("input").and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_else(|| call.arguments.clone())
    }

    /// The arguments of a call of a custom tool with this text.
    pub(crate) fn arguments(input: &str) -> String {
        json!({"input": input}).to_string()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Function,
    Custom,
    /// What the Codex CLI brings along to look for more tools; without it, it has those that it offers.
    Search,
    /// Its further tools, such as those for sub-agents; its functions work without them.
    Namespace,
}

const KINDS: &[(&str, Kind)] = &[
    ("function", Kind::Function),
    ("custom", Kind::Custom),
    ("tool_search", Kind::Search),
    ("namespace", Kind::Namespace),
];

pub(crate) fn read(body: &At<'_>, limits: &Limits) -> Read<Tools> {
    let mut offered: Vec<ToolSpec> = Vec::new();
    let mut custom = CustomTools::default();
    let mut ignored = Vec::new();
    let tools = listed(body)?;
    if tools.len() > limits.tools {
        return Err(InvalidRequest::at(
            "tools",
            format!("A request may offer at most {} tools.", limits.tools),
        ));
    }
    for tool in &tools {
        let spec = match tool.need("type")?.word(KINDS)? {
            Kind::Function => {
                tool.only(&["type", "name", "description", "parameters", "strict"])?;
                crate::chat::tool_spec(tool, limits)?
            }
            Kind::Custom => {
                let spec = custom_spec(tool, limits)?;
                custom.0.insert(spec.name.clone());
                spec
            }
            Kind::Search => {
                ignored.push("tools.tool_search");
                continue;
            }
            Kind::Namespace => {
                ignored.push("tools.namespace");
                continue;
            }
        };
        if offered.iter().any(|other| other.name == spec.name) {
            return Err(tool.fault(format!("The tool '{}' is offered twice.", spec.name)));
        }
        offered.push(spec);
    }
    let choice = choice(body, &mut offered)?;
    let parallel = body.get("parallel_tool_calls")?.map_or(Ok(true), |value| value.bool())?;
    Ok(Tools { offered, custom, choice, parallel, ignored })
}

/// The tools of `tools`, and those that stand in the input, as the Codex CLI writes them for newer models: an item
/// `additional_tools`, whose namespace `functions` is the place of all functions.
fn listed<'a>(body: &At<'a>) -> Read<Vec<At<'a>>> {
    let mut tools = body.get("tools")?.map_or(Ok(Vec::new()), |tools| tools.array())?;
    let input = body.get("input")?.filter(|input| input.value.is_array());
    for item in input.map_or(Ok(Vec::new()), |input| input.array())? {
        if item.value.get("type").and_then(Value::as_str) != Some(ADDITIONAL_TOOLS) {
            continue;
        }
        for tool in item.need("tools")?.array()? {
            let is = |key: &str, word: &str| tool.value.get(key).and_then(Value::as_str) == Some(word);
            if is("type", "namespace") && is("name", "functions") {
                tools.extend(tool.need("tools")?.array()?);
            } else {
                tools.push(tool);
            }
        }
    }
    Ok(tools)
}

/// The format of a custom tool (a grammar) can not be enforced; it is told to the model.
fn custom_spec(tool: &At<'_>, limits: &Limits) -> Read<ToolSpec> {
    tool.only(&["type", "name", "description", "format"])?;
    let description = tool.get("description")?.map_or(Ok(""), |d| d.str())?;
    let grammar = match tool.get("format")? {
        Some(format) => match format.get("definition")? {
            Some(definition) => format!("\n\nThe input must follow this grammar:\n{}", definition.str()?),
            None => String::new(),
        },
        None => String::new(),
    };
    let function = json!({
        "name": tool.need("name")?.value,
        "description": format!("{description}{grammar}"),
        "parameters": {
            "type": "object",
            "properties": {"input": {"type": "string", "description": "The whole input, as plain text."}},
            "required": ["input"],
            "additionalProperties": false,
        },
    });
    crate::chat::tool_spec(&At::new(&function, tool.path.clone()), limits)
}

fn choice(body: &At<'_>, offered: &mut Vec<ToolSpec>) -> Read<ToolChoice> {
    let Some(choice) = body.get("tool_choice")? else { return Ok(ToolChoice::Auto) };
    if choice.value.is_string() {
        return crate::chat::choice_word(&choice, offered);
    }
    #[expect(clippy::items_after_statements, reason = "it belongs to the next line only")]
    #[derive(Clone, Copy)]
    enum Form {
        Named,
        Allowed,
    }
    let form = [("function", Form::Named), ("custom", Form::Named), ("allowed_tools", Form::Allowed)];
    match choice.need("type")?.word(&form)? {
        Form::Named => {
            crate::chat::keep_tools(offered, &[choice.need("name")?])?;
            Ok(ToolChoice::Required)
        }
        Form::Allowed => {
            let names = choice.need("tools")?.array()?;
            let names = names.iter().map(|tool| tool.need("name")).collect::<Read<Vec<_>>>()?;
            crate::chat::keep_tools(offered, &names)?;
            choice.need("mode")?.word(&[("auto", ToolChoice::Auto), ("required", ToolChoice::Required)])
        }
    }
}
