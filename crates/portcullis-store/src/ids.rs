//! Identifiers of what is stored, each its own type so that they cannot be mixed up.

use portcullis_agent::id;

id! {
    /// A response of `/v1/responses`.
    ResponseId
}
id! {
    /// A conversation of `/v1/conversations`.
    ConversationId
}
