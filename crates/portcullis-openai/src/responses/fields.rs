//! The one list of request fields of `/v1/responses`.

use crate::chat::{Field, Treatment};

const fn field(name: &'static str, treatment: Treatment, note: &'static str) -> Field {
    Field { name, treatment, note }
}

/// Every field that OpenAI's API knows, and what Codex sends as a client. Any other is refused.
pub const FIELDS: &[Field] = &[
    field("model", Treatment::Used, "a model of `/v1/models`, aliases included"),
    field(
        "input",
        Treatment::Used,
        "a text, or items: message, function_call(_output), custom_tool_call(_output), reasoning, item_reference; `additional_tools` adds to `tools`",
    ),
    field("instructions", Treatment::Used, "the first developer message of this turn only"),
    field("previous_response_id", Treatment::Used, "a stored response of the same key"),
    field("conversation", Treatment::Used, "a conversation of the same key"),
    field("stream", Treatment::Used, ""),
    field("stream_options", Treatment::Accepted, "`include_obfuscation` has no effect"),
    field("store", Treatment::Used, "default true"),
    field("background", Treatment::Used, "runs without a connection; needs `store`"),
    field(
        "tools",
        Treatment::Used,
        "`function` and `custom` (a function with one text); `tool_search` and `namespace` are not offered and named in `x-portcullis-ignored`; others are refused",
    ),
    field("tool_choice", Treatment::Used, "as for chat completions"),
    field("parallel_tool_calls", Treatment::Used, "as for chat completions"),
    field("max_output_tokens", Treatment::Used, "counted as for chat completions; ends as `incomplete`"),
    field("text", Treatment::Used, "`format` (text, json_schema, json_object) and `verbosity`"),
    field("reasoning", Treatment::Used, "`effort` and `summary`"),
    field("include", Treatment::Used, "`reasoning.encrypted_content`; other values have no effect"),
    field("truncation", Treatment::Used, "`disabled`; `auto` is refused"),
    field(
        "service_tier",
        Treatment::Used,
        "`auto` and `default` are the provider's default; others are passed on",
    ),
    field("metadata", Treatment::Used, "kept with the response"),
    field("user", Treatment::Accepted, "not passed on"),
    field("safety_identifier", Treatment::Accepted, "not passed on"),
    field("prompt_cache_key", Treatment::Accepted, "Codex sets its own"),
    field("prompt_cache_retention", Treatment::Accepted, "not passed on"),
    field("client_metadata", Treatment::Accepted, "what the Codex CLI sends; not passed on"),
    field("temperature", Treatment::Sampling, "default 1"),
    field("top_p", Treatment::Sampling, "default 1"),
    field("top_logprobs", Treatment::Refused, "0 is accepted"),
    field("max_tool_calls", Treatment::Refused, ""),
    field("prompt", Treatment::Refused, ""),
    field("context_management", Treatment::Refused, ""),
    field("moderation", Treatment::Refused, ""),
];
