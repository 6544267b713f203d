//! The one list of request fields: what is used, what has no effect, what is refused. It drives the parser and
//! the table in docs/API.md.

use serde_json::{Value, json};

/// A field of `/v1/chat/completions`.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What happens to it.
    pub treatment: Treatment,
    /// For the documentation.
    pub note: &'static str,
}

/// What happens to a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Treatment {
    /// It does what OpenAI says, within the note.
    Used,
    /// It is accepted; it does not concern the answer.
    Accepted,
    /// Codex has no such knob: accepted when it asks for the default, otherwise by the configured policy.
    Sampling,
    /// It is refused.
    Refused,
}

const fn field(name: &'static str, treatment: Treatment, note: &'static str) -> Field {
    Field { name, treatment, note }
}

/// Every field that OpenAI's API knows. Any other is refused, as OpenAI does.
pub const FIELDS: &[Field] = &[
    field("model", Treatment::Used, "a model of `/v1/models`, aliases included"),
    field(
        "messages",
        Treatment::Used,
        "roles system, developer, user, assistant, tool, function; parts text, image_url, refusal",
    ),
    field("stream", Treatment::Used, ""),
    field("stream_options", Treatment::Used, "`include_usage`; `include_obfuscation` has no effect"),
    field("n", Treatment::Used, "1 to 8; each choice is a turn of its own, usage is their sum"),
    field(
        "stop",
        Treatment::Used,
        "up to 4 texts; the turn is interrupted at the match, so the usage of the interrupted step is not known",
    ),
    field(
        "max_completion_tokens",
        Treatment::Used,
        "the visible answer is counted by an estimate and interrupted at the limit; reasoning is not counted; the usage of the interrupted step is not known",
    ),
    field("max_tokens", Treatment::Used, "the older name of `max_completion_tokens`"),
    field("tools", Treatment::Used, "functions; `strict` is not passed on by Codex"),
    field(
        "tool_choice",
        Treatment::Used,
        "`none` offers no tool; `required` and a named function are checked by the gateway (only the named one is offered): an answer without a call is an error `tool_choice_not_honored`; `allowed_tools` offers those",
    ),
    field(
        "parallel_tool_calls",
        Treatment::Used,
        "`false`: only the first call of a step is passed on, the others are answered by the gateway as not run",
    ),
    field("functions", Treatment::Used, "the older form of `tools`"),
    field("function_call", Treatment::Used, "the older form of `tool_choice`"),
    field(
        "response_format",
        Treatment::Used,
        "`text`; `json_schema`, always strict, its name is Codex's; `json_object` is checked by the gateway at the end of the answer",
    ),
    field("reasoning_effort", Treatment::Used, "a word that the model advertises"),
    field(
        "reasoning",
        Treatment::Used,
        "an extension: `{effort, summary}`; a summary arrives as `reasoning_content`",
    ),
    field("verbosity", Treatment::Used, "low, medium, high"),
    field(
        "service_tier",
        Treatment::Used,
        "`auto` and `default` are the provider's default; others are passed on",
    ),
    field("user", Treatment::Accepted, "not passed on"),
    field("safety_identifier", Treatment::Accepted, "not passed on"),
    field("metadata", Treatment::Accepted, "not passed on"),
    field("store", Treatment::Accepted, "nothing is stored"),
    field("prompt_cache_key", Treatment::Accepted, "Codex sets its own"),
    field("prompt_cache_retention", Treatment::Accepted, "not passed on"),
    field("temperature", Treatment::Sampling, "default 1"),
    field("top_p", Treatment::Sampling, "default 1"),
    field("presence_penalty", Treatment::Sampling, "default 0"),
    field("frequency_penalty", Treatment::Sampling, "default 0"),
    field("logit_bias", Treatment::Sampling, "default empty"),
    field("seed", Treatment::Sampling, "no default: any seed is by policy"),
    field("logprobs", Treatment::Refused, "`false` is accepted"),
    field("top_logprobs", Treatment::Refused, "0 is accepted"),
    field("modalities", Treatment::Refused, "`[\"text\"]` is accepted"),
    field("audio", Treatment::Refused, ""),
    field("prediction", Treatment::Refused, ""),
    field("web_search_options", Treatment::Refused, ""),
    field("moderation", Treatment::Refused, ""),
];

/// Whether a field of the kinds `Sampling` and `Refused` asks for what happens anyway.
pub(crate) fn asks_for_default(name: &str, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    let number = value.as_f64();
    match name {
        "temperature" | "top_p" => number == Some(1.0),
        "presence_penalty" | "frequency_penalty" | "top_logprobs" => number == Some(0.0),
        "logit_bias" => value.as_object().is_some_and(serde_json::Map::is_empty),
        "logprobs" => *value == json!(false),
        "modalities" => *value == json!(["text"]),
        _ => false,
    }
}
