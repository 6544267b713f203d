//! `tools`, `tool_choice` and their older forms.

use std::collections::HashSet;

use portcullis_agent::ToolSpec;
use serde_json::json;

use super::limits::Limits;
use crate::read::{At, Read};

/// What the caller demands about tool calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ToolChoice {
    /// The model chooses.
    Auto,
    /// No tool is offered.
    None,
    /// An answer without a call is an error.
    Required,
}

/// What a request says about tools.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) offered: Vec<ToolSpec>,
    pub(crate) choice: ToolChoice,
    pub(crate) parallel: bool,
    /// The request used `functions`, so the answer does too.
    pub(crate) legacy: bool,
}

/// Reads them.
pub(crate) fn read(body: &At<'_>, limits: &Limits) -> Read<Tools> {
    let (list, legacy) = match (body.get("tools")?, body.get("functions")?) {
        (Some(_), Some(functions)) => {
            return Err(functions.fault("'functions' and 'tools' can not be used together."));
        }
        (Some(tools), None) => (Some(tools), false),
        (None, Some(functions)) => (Some(functions), true),
        (None, None) => (None, false),
    };
    let mut offered = Vec::new();
    if let Some(list) = &list {
        let list_of = list.array()?;
        if list_of.len() > limits.tools {
            return Err(list.fault(format!("A request may offer at most {} tools.", limits.tools)));
        }
        let mut names = HashSet::new();
        for tool in &list_of {
            let function = if legacy {
                tool.clone()
            } else {
                tool.need("type")?.word(&[("function", ())])?;
                tool.only(&["type", "function"])?;
                tool.need("function")?
            };
            function.only(&["name", "description", "parameters", "strict"])?;
            let spec = spec(&function, limits)?;
            if !names.insert(spec.name.clone()) {
                return Err(function.fault(format!("The tool '{}' is offered twice.", spec.name)));
            }
            offered.push(spec);
        }
    }
    let choice = choice(body, &mut offered, legacy)?;
    let parallel = body.get("parallel_tool_calls")?.map_or(Ok(true), |value| value.bool())?;
    // The older form has room for one call only.
    Ok(Tools { offered, choice, parallel: parallel && !legacy, legacy })
}

/// A function's name, description and schema.
pub(crate) fn spec(function: &At<'_>, limits: &Limits) -> Read<ToolSpec> {
    let name = function.need("name")?;
    let text = name.str()?;
    let legal = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !legal {
        return Err(name.fault("A function's name is 1 to 64 letters, digits, '_' or '-'."));
    }
    let description = function.get("description")?.map_or(Ok(""), |d| d.str())?.to_owned();
    let parameters = match function.get("parameters")? {
        Some(parameters) => {
            parameters.object()?;
            parameters.value.clone()
        }
        // OpenAI: "Omitting `parameters` defines a function with an empty parameter list."
        None => json!({"type": "object", "properties": {}}),
    };
    if description.len() + parameters.to_string().len() > limits.tool_bytes {
        return Err(function.fault(format!("A tool may have at most {} bytes.", limits.tool_bytes)));
    }
    Ok(ToolSpec { name: text.to_owned(), description, parameters })
}

/// `none`, `auto` or `required`.
pub(crate) fn choice_word(choice: &At<'_>, offered: &mut Vec<ToolSpec>) -> Read<ToolChoice> {
    let words = [("none", ToolChoice::None), ("auto", ToolChoice::Auto), ("required", ToolChoice::Required)];
    let word = choice.word(&words)?;
    match word {
        ToolChoice::None => offered.clear(),
        ToolChoice::Required if offered.is_empty() => {
            return Err(choice.fault("'tool_choice' is 'required', but no tools are offered."));
        }
        ToolChoice::Required | ToolChoice::Auto => {}
    }
    Ok(word)
}

#[derive(Clone, Copy)]
enum Kind {
    Function,
    Allowed,
}

/// Codex always lets the model choose. What the caller demands is met by what is offered, and checked at the end.
fn choice(body: &At<'_>, offered: &mut Vec<ToolSpec>, legacy: bool) -> Read<ToolChoice> {
    let Some(choice) = body.get(if legacy { "function_call" } else { "tool_choice" })? else {
        return Ok(ToolChoice::Auto);
    };
    if choice.value.is_string() {
        return choice_word(&choice, offered);
    }
    if legacy {
        keep(offered, &[choice.need("name")?])?;
        return Ok(ToolChoice::Required);
    }
    match choice.need("type")?.word(&[("function", Kind::Function), ("allowed_tools", Kind::Allowed)])? {
        Kind::Function => {
            keep(offered, &[choice.need("function")?.need("name")?])?;
            Ok(ToolChoice::Required)
        }
        Kind::Allowed => {
            let allowed = choice.need("allowed_tools")?;
            let names = allowed.need("tools")?.array()?;
            let names =
                names.iter().map(|tool| tool.need("function")?.need("name")).collect::<Read<Vec<_>>>()?;
            keep(offered, &names)?;
            allowed.need("mode")?.word(&[("auto", ToolChoice::Auto), ("required", ToolChoice::Required)])
        }
    }
}

/// Takes away every tool but the named ones.
pub(crate) fn keep(offered: &mut Vec<ToolSpec>, names: &[At<'_>]) -> Read<()> {
    for name in names {
        let wanted = name.str()?;
        if !offered.iter().any(|tool| tool.name == wanted) {
            return Err(name.fault(format!("'{wanted}' is not among the offered tools.")));
        }
    }
    offered.retain(|tool| names.iter().any(|name| name.value == tool.name.as_str()));
    Ok(())
}
