//! `/v1/models`.

use serde_json::{Value, json};

/// One model. `created` is a member that clients need and that nobody tells us: it is 0, never a made-up date.
pub fn model_object(id: &str, owned_by: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": owned_by})
}

/// The list.
pub fn model_list(models: &[Value]) -> Value {
    json!({"object": "list", "data": models})
}
