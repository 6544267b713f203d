//! A request for a completion, read and checked: whatever is here can be run.

use portcullis_agent::{HistoryItem, ReasoningSummary, ToolSpec};
use serde_json::{Map, Value};

use super::fields::{FIELDS, Field, Treatment, asks_for_default};
use super::limits::{Limits, Sampling};
use super::tools::ToolChoice;
use super::{messages, tools};
use crate::InvalidRequest;
use crate::read::{At, Read};

/// What the caller demands about the form of the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Text.
    Text,
    /// Any JSON object; checked when the answer is whole.
    JsonObject,
    /// What satisfies this schema; enforced by the model's provider.
    JsonSchema(Value),
}

/// A request for a completion.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The name of a model, or of an alias.
    pub model: String,
    /// The conversation.
    pub history: Vec<HistoryItem>,
    /// The tools that are offered.
    pub tools: Vec<ToolSpec>,
    /// What is demanded about calls.
    pub tool_choice: ToolChoice,
    /// Whether a step may call several tools.
    pub parallel: bool,
    /// The request used `functions`, so the answer does too.
    pub legacy_functions: bool,
    /// Piece by piece.
    pub stream: bool,
    /// With a last chunk that holds the usage.
    pub include_usage: bool,
    /// How many answers.
    pub n: u64,
    /// Texts before which an answer ends.
    pub stop: Vec<String>,
    /// How many tokens of visible text an answer may have.
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
    /// Sampling knobs that had no effect.
    pub ignored: Vec<&'static str>,
}

/// How many answers one request may ask for: each is a turn of its own.
const MOST_CHOICES: u64 = 8;

impl ChatRequest {
    /// Reads a body; what can not be expressed is refused before anything runs.
    pub fn parse(body: &Value, limits: &Limits, sampling: Sampling) -> Result<Self, InvalidRequest> {
        let Value::Object(members) = body else {
            return Err(InvalidRequest {
                message: "The body must be a JSON object.".to_owned(),
                param: None,
                code: Some("invalid_type"),
            });
        };
        let ignored = check_fields(members, FIELDS, sampling)?;
        let body = At::new(body, "");
        let tools = tools::read(&body, limits)?;
        let (include_usage, stream) = stream(&body)?;
        let (effort, summary) = reasoning(&body)?;
        let history = messages::read(&body.need("messages")?, limits)?;
        let format = format(&body, &history)?;
        Ok(Self {
            model: model(&body)?,
            history,
            tools: tools.offered,
            tool_choice: tools.choice,
            parallel: tools.parallel,
            legacy_functions: tools.legacy,
            stream,
            include_usage,
            n: body.get("n")?.map_or(Ok(1), |n| n.integer(1, MOST_CHOICES))?,
            stop: stop(&body)?,
            max_tokens: max_tokens(&body)?,
            format,
            effort,
            summary,
            verbosity: body
                .get("verbosity")?
                .map(|v| v.word(&[("low", "low"), ("medium", "medium"), ("high", "high")]))
                .transpose()?
                .map(str::to_owned),
            service_tier: service_tier(&body)?,
            ignored,
        })
    }
}

/// Holds the members of a body against a list of fields; returns the sampling knobs that are ignored.
pub(crate) fn check_fields(
    members: &Map<String, Value>,
    fields: &'static [Field],
    sampling: Sampling,
) -> Read<Vec<&'static str>> {
    let mut ignored = Vec::new();
    for (name, value) in members {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(InvalidRequest::at(
                name.clone(),
                format!("Unrecognized request argument supplied: {name}"),
            )
            .code("unknown_parameter"));
        };
        let refuse = |why: &str| {
            let message = format!("Unsupported parameter: '{name}' {why}");
            Err(InvalidRequest::at(name.clone(), message).code("unsupported_parameter"))
        };
        match field.treatment {
            Treatment::Used | Treatment::Accepted => {}
            Treatment::Sampling if !value.is_null() && !well_formed(name, value) => {
                return Err(At::new(value, name.as_str())
                    .fault(format!("Invalid type for '{name}'."))
                    .code("invalid_type"));
            }
            _ if asks_for_default(name, value) => {}
            Treatment::Refused => return refuse("is not supported by this gateway."),
            Treatment::Sampling => match sampling {
                Sampling::Reject => return refuse("has no counterpart in Codex; leave it at its default."),
                Sampling::Ignore => ignored.push(field.name),
            },
        }
    }
    Ok(ignored)
}

fn well_formed(name: &str, value: &Value) -> bool {
    match name {
        "logit_bias" => value.is_object(),
        "seed" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    }
}

fn model(body: &At<'_>) -> Read<String> {
    let model = body.need("model")?;
    match model.str()? {
        "" => Err(model.fault("You must provide a model parameter.")),
        name => Ok(name.to_owned()),
    }
}

fn stream(body: &At<'_>) -> Read<(bool, bool)> {
    let stream = body.get("stream")?.map_or(Ok(false), |stream| stream.bool())?;
    let Some(options) = body.get("stream_options")? else { return Ok((false, stream)) };
    if !stream {
        return Err(options.fault("The 'stream_options' parameter is only allowed when 'stream' is enabled."));
    }
    options.only(&["include_usage", "include_obfuscation"])?;
    Ok((options.get("include_usage")?.map_or(Ok(false), |include| include.bool())?, stream))
}

fn reasoning(body: &At<'_>) -> Read<(Option<String>, ReasoningSummary)> {
    let mut effort = body.get("reasoning_effort")?.map(|e| e.str().map(str::to_owned)).transpose()?;
    // Without being asked for, a summary is not even made.
    let mut summary = ReasoningSummary::None;
    if let Some(reasoning) = body.get("reasoning")? {
        reasoning.only(&["effort", "summary"])?;
        if let Some(word) = reasoning.get("effort")? {
            effort = Some(word.str()?.to_owned());
        }
        if let Some(word) = reasoning.get("summary")? {
            summary = word.word(&[
                ("auto", ReasoningSummary::Auto),
                ("concise", ReasoningSummary::Concise),
                ("detailed", ReasoningSummary::Detailed),
                ("none", ReasoningSummary::None),
            ])?;
        }
    }
    Ok((effort, summary))
}

fn stop(body: &At<'_>) -> Read<Vec<String>> {
    let Some(stop) = body.get("stop")? else { return Ok(Vec::new()) };
    let texts = if stop.value.is_string() { vec![stop.clone()] } else { stop.array()? };
    if texts.len() > 4 {
        return Err(stop.fault("Invalid 'stop': at most 4 texts."));
    }
    let text = |at: &At<'_>| match at.str()? {
        "" => Err(at.fault("A stop text can not be empty.")),
        text if text.len() > 1024 => Err(at.fault("A stop text may have at most 1024 bytes.")),
        text => Ok(text.to_owned()),
    };
    texts.iter().map(text).collect()
}

fn max_tokens(body: &At<'_>) -> Read<Option<usize>> {
    let limit = match (body.get("max_completion_tokens")?, body.get("max_tokens")?) {
        (Some(limit), _) | (None, Some(limit)) => limit.integer(1, u64::from(u32::MAX))?,
        (None, None) => return Ok(None),
    };
    Ok(Some(usize::try_from(limit).unwrap_or(usize::MAX)))
}

pub(crate) fn service_tier(body: &At<'_>) -> Read<Option<String>> {
    let Some(tier) = body.get("service_tier")? else { return Ok(None) };
    Ok(tier
        .word(&[("auto", None), ("default", None), ("flex", Some("flex")), ("priority", Some("priority"))])?
        .map(str::to_owned))
}

fn format(body: &At<'_>, history: &[HistoryItem]) -> Read<Format> {
    #[derive(Clone, Copy)]
    enum Kind {
        Text,
        Object,
        Schema,
    }
    let Some(format) = body.get("response_format")? else { return Ok(Format::Text) };
    let kind = format.need("type")?.word(&[
        ("text", Kind::Text),
        ("json_object", Kind::Object),
        ("json_schema", Kind::Schema),
    ])?;
    match kind {
        Kind::Text => Ok(Format::Text),
        Kind::Object if mentions_json(history) => Ok(Format::JsonObject),
        // OpenAI's own rule: without the word a model writes white space for ever.
        Kind::Object => Err(InvalidRequest::at(
            "messages",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        )),
        Kind::Schema => {
            let named = format.need("json_schema")?;
            named.only(&["name", "description", "schema", "strict"])?;
            named.need("name")?.str()?;
            let schema = named.need("schema")?;
            schema.object()?;
            Ok(Format::JsonSchema(schema.value.clone()))
        }
    }
}

fn mentions_json(history: &[HistoryItem]) -> bool {
    history.iter().any(|item| match item {
        HistoryItem::Message(message) => message.parts.iter().any(|part| match part {
            portcullis_agent::Part::Text(text) => text.to_ascii_lowercase().contains("json"),
            _ => false,
        }),
        _ => false,
    })
}
