//! Small builders for the cases.

use jiff::Timestamp;
use portcullis_agent::PrincipalId;

use crate::{
    ConversationId, NewConversation, NewResponse, Order, Page, PageOf, ResponseId, Status, StoredItem,
};

/// The principal that owns what the other builders make.
pub fn principal() -> PrincipalId {
    PrincipalId::new("key-alice")
}

/// Somebody else.
pub fn stranger() -> PrincipalId {
    PrincipalId::new("key-bob")
}

/// The id of a response.
pub fn id(name: &str) -> ResponseId {
    ResponseId::new(name)
}

/// The id of a conversation.
pub fn conversation_id(name: &str) -> ConversationId {
    ConversationId::new(name)
}

/// A time, in seconds.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("the time is in range")
}

/// An item.
pub fn item(name: &str) -> StoredItem {
    StoredItem { id: name.to_owned(), json: format!(r#"{{"id":"{name}"}}"#) }
}

/// Some items.
pub fn items<const N: usize>(names: [&str; N]) -> Vec<StoredItem> {
    names.map(item).to_vec()
}

/// A running response without items.
pub fn new(name: &str) -> NewResponse {
    NewResponse {
        id: id(name),
        principal: principal(),
        created: at(0),
        background: false,
        previous: None,
        conversation: None,
        input_items: Vec::new(),
        body: "{}".to_owned(),
        status: Status::InProgress,
    }
}

/// A response that was finished at a time.
pub fn finished(name: &str, second: i64, body: &str) -> NewResponse {
    NewResponse { created: at(second), body: body.to_owned(), status: Status::Completed, ..new(name) }
}

/// A conversation without items.
pub fn conversation(name: &str) -> NewConversation {
    NewConversation {
        id: conversation_id(name),
        principal: principal(),
        created: at(0),
        metadata: "{}".to_owned(),
    }
}

/// A page.
pub fn page(after: Option<&str>, limit: u32, order: Order) -> Page {
    Page { after: after.map(str::to_owned), limit, order }
}

/// The ids of a page, and whether more follow.
pub fn names(page: Option<PageOf<StoredItem>>) -> (Vec<String>, bool) {
    let page = page.expect("the list is there");
    (page.items.into_iter().map(|item| item.id).collect(), page.has_more)
}
