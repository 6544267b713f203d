//! A request for a response, read and checked.

use portcullis_agent::{ReasoningSummary, ToolSpec};
use serde_json::{Map, Value, json};

use super::fields::FIELDS;
use super::items::{InputItem, read_items};
use super::tools::{self, CustomTools};
use crate::InvalidRequest;
use crate::chat::{Format, Limits, Sampling, ToolChoice, check_fields};
use crate::read::{At, Read};

/// What the client wants to see beyond the usual.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Include {
    /// The provider's sealed form of the reasoning.
    pub encrypted_reasoning: bool,
}

/// A request for a response.
#[derive(Clone, Debug)]
pub struct ResponseRequest {
    /// The name of a model, or of an alias.
    pub model: String,
    /// The new items.
    pub input: Vec<InputItem>,
    /// Instructions of this turn only.
    pub instructions: Option<String>,
    /// The response that this one continues.
    pub previous: Option<String>,
    /// The conversation that this one belongs to.
    pub conversation: Option<String>,
    /// The tools that are offered.
    pub tools: Vec<ToolSpec>,
    /// Which of them take free text.
    pub custom: CustomTools,
    /// What is demanded about calls.
    pub tool_choice: ToolChoice,
    /// Whether a step may call several tools.
    pub parallel: bool,
    /// Piece by piece.
    pub stream: bool,
    /// Keep it.
    pub store: bool,
    /// Run without a connection.
    pub background: bool,
    /// How many tokens of visible text the answer may have.
    pub max_tokens: Option<usize>,
    /// The form of the answer.
    pub format: Format,
    /// How much the model thinks.
    pub effort: Option<String>,
    /// Whether a summary of the reasoning is wanted.
    pub summary: ReasoningSummary,
    /// How long answers are.
    pub verbosity: Option<String>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// What the client wants to see beyond the usual.
    pub include: Include,
    /// What had no effect: sampling knobs, and a tool that is not offered.
    pub ignored: Vec<&'static str>,
    /// What the response object repeats of the request.
    pub echo: Map<String, Value>,
}

impl ResponseRequest {
    /// Reads a body; what can not be expressed is refused before anything runs.
    pub fn parse(
        body: &Value,
        limits: &Limits,
        sampling: Sampling,
        new_id: &mut dyn FnMut(&str) -> String,
    ) -> Result<Self, InvalidRequest> {
        let Value::Object(members) = body else {
            return Err(InvalidRequest {
                message: "The body must be a JSON object.".to_owned(),
                param: None,
                code: Some("invalid_type"),
            });
        };
        let mut ignored = check_fields(members, FIELDS, sampling)?;
        let at = At::new(body, "");
        let model = at.need("model")?;
        let tools = tools::read(&at, limits)?;
        ignored.extend(tools.ignored);
        let input = match at.get("input")? {
            Some(input) => read_items(input.value, "input", limits, new_id)?,
            None => Vec::new(),
        };
        let previous = text(&at, "previous_response_id")?;
        let conversation = conversation(&at)?;
        if let (Some(_), Some(_)) = (&previous, &conversation) {
            let message = "'previous_response_id' can not be used together with 'conversation'.";
            return Err(InvalidRequest::at("previous_response_id", message));
        }
        if input.is_empty() && previous.is_none() && conversation.is_none() {
            return Err(InvalidRequest::at("input", "Missing required parameter: 'input'.")
                .code("missing_required_parameter"));
        }
        let store = flag(&at, "store", true)?;
        let background = flag(&at, "background", false)?;
        if background && !store {
            return Err(InvalidRequest::at("background", "A background response must be stored."));
        }
        if let Some(truncation) = at.get("truncation")? {
            truncation.word(&[("disabled", ())])?;
        }
        let (effort, summary) = reasoning(&at)?;
        let (format, verbosity) = text_options(&at)?;
        let max_tokens = at
            .get("max_output_tokens")?
            .map(|limit| limit.integer(1, u64::from(u32::MAX)))
            .transpose()?
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Self {
            model: model.str()?.to_owned(),
            input,
            instructions: text(&at, "instructions")?,
            previous,
            conversation,
            tools: tools.offered,
            custom: tools.custom,
            tool_choice: tools.choice,
            parallel: tools.parallel,
            stream: flag(&at, "stream", false)?,
            store,
            background,
            max_tokens,
            format,
            effort,
            summary,
            verbosity,
            service_tier: crate::chat::service_tier(&at)?,
            include: include(&at)?,
            ignored,
            echo: echo(members),
        })
    }
}

fn text(at: &At<'_>, key: &str) -> Read<Option<String>> {
    at.get(key)?.map(|value| value.str().map(str::to_owned)).transpose()
}

fn flag(at: &At<'_>, key: &str, default: bool) -> Read<bool> {
    at.get(key)?.map_or(Ok(default), |value| value.bool())
}

fn conversation(at: &At<'_>) -> Read<Option<String>> {
    let Some(conversation) = at.get("conversation")? else { return Ok(None) };
    if conversation.value.is_string() {
        return Ok(Some(conversation.str()?.to_owned()));
    }
    Ok(Some(conversation.need("id")?.str()?.to_owned()))
}

fn reasoning(at: &At<'_>) -> Read<(Option<String>, ReasoningSummary)> {
    // Without being asked for, a summary is not even made.
    let mut summary = ReasoningSummary::None;
    let Some(reasoning) = at.get("reasoning")? else { return Ok((None, summary)) };
    reasoning.only(&["effort", "summary", "generate_summary", "context"])?;
    let asked = reasoning.get("summary")?.or(reasoning.get("generate_summary")?);
    if let Some(word) = asked {
        summary = word.word(&[
            ("auto", ReasoningSummary::Auto),
            ("concise", ReasoningSummary::Concise),
            ("detailed", ReasoningSummary::Detailed),
            ("none", ReasoningSummary::None),
        ])?;
    }
    Ok((text(&reasoning, "effort")?, summary))
}

fn text_options(at: &At<'_>) -> Read<(Format, Option<String>)> {
    #[derive(Clone, Copy)]
    enum Kind {
        Text,
        Object,
        Schema,
    }
    let Some(options) = at.get("text")? else { return Ok((Format::Text, None)) };
    options.only(&["format", "verbosity"])?;
    let verbosity = options
        .get("verbosity")?
        .map(|v| v.word(&[("low", "low"), ("medium", "medium"), ("high", "high")]))
        .transpose()?
        .map(str::to_owned);
    let Some(format) = options.get("format")? else { return Ok((Format::Text, verbosity)) };
    let kinds = [("text", Kind::Text), ("json_object", Kind::Object), ("json_schema", Kind::Schema)];
    let format = match format.need("type")?.word(&kinds)? {
        Kind::Text => Format::Text,
        Kind::Object => Format::JsonObject,
        Kind::Schema => {
            format.only(&["type", "name", "description", "schema", "strict"])?;
            format.need("name")?.str()?;
            let schema = format.need("schema")?;
            schema.object()?;
            Format::JsonSchema(schema.value.clone())
        }
    };
    Ok((format, verbosity))
}

fn include(at: &At<'_>) -> Read<Include> {
    let mut include = Include::default();
    if let Some(list) = at.get("include")? {
        for value in list.array()? {
            include.encrypted_reasoning |= value.str()? == "reasoning.encrypted_content";
        }
    }
    Ok(include)
}

/// The members of a response object that say what was asked for, with OpenAI's defaults.
fn echo(members: &Map<String, Value>) -> Map<String, Value> {
    let given =
        |key: &str, default: Value| members.get(key).filter(|v| !v.is_null()).cloned().unwrap_or(default);
    let mut echo = Map::new();
    let mut set = |key: &str, value: Value| echo.insert(key.to_owned(), value);
    set("instructions", given("instructions", Value::Null));
    set("max_output_tokens", given("max_output_tokens", Value::Null));
    set("metadata", given("metadata", json!({})));
    set("parallel_tool_calls", given("parallel_tool_calls", json!(true)));
    set("previous_response_id", given("previous_response_id", Value::Null));
    let reasoning = members.get("reasoning");
    let of = |key: &str| reasoning.and_then(|r| r.get(key)).cloned().unwrap_or(Value::Null);
    set("reasoning", json!({"effort": of("effort"), "summary": of("summary")}));
    set("service_tier", given("service_tier", json!("auto")));
    set("store", given("store", json!(true)));
    // The knobs as they are in effect: Codex has none, so they are OpenAI's defaults.
    set("temperature", json!(1.0));
    set("top_p", json!(1.0));
    let text = members.get("text");
    let format = text.and_then(|t| t.get("format")).cloned().unwrap_or_else(|| json!({"type": "text"}));
    let mut text_echo = json!({"format": format});
    if let Some(verbosity) = text.and_then(|t| t.get("verbosity")) {
        text_echo["verbosity"] = verbosity.clone();
    }
    set("text", text_echo);
    set("tool_choice", given("tool_choice", json!("auto")));
    let tools = members.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
    let tools: Vec<Value> = tools.into_iter().map(echoed_tool).collect();
    set("tools", Value::Array(tools));
    set("truncation", json!("disabled"));
    set("user", given("user", Value::Null));
    echo
}

/// The SDKs' types need `strict` and `parameters` on a function.
fn echoed_tool(mut tool: Value) -> Value {
    if tool["type"] == "function" {
        for (key, default) in
            [("strict", json!(false)), ("parameters", Value::Null), ("description", Value::Null)]
        {
            if tool.get(key).is_none() {
                tool[key] = default;
            }
        }
    }
    tool
}
