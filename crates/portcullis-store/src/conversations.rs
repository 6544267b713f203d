//! The state of `/v1/conversations`.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_agent::PrincipalId;

use crate::{ConversationId, Page, PageOf, StoreError, StoredItem, check_id, check_text};

/// Conversations and their items, kept until their owner deletes them.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// Stores a new conversation without items.
    async fn create(&self, new: NewConversation) -> Result<(), StoreError>;

    /// The conversation.
    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<StoredConversation>, StoreError>;

    /// Replaces the metadata.
    async fn set_metadata(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        metadata: String,
    ) -> Result<bool, StoreError>;

    /// Removes the conversation and its items. Responses that belonged to it stay.
    async fn delete(&self, principal: &PrincipalId, id: &ConversationId) -> Result<bool, StoreError>;

    /// Adds items at the end. If one of the ids is in the conversation already, or twice among `items`, none is added
    /// and the error is [`Taken`](StoreError::Taken).
    async fn append(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        items: Vec<StoredItem>,
    ) -> Result<bool, StoreError>;

    /// A page of the items.
    async fn items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError>;

    /// One item.
    async fn item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError>;

    /// Removes one item.
    async fn delete_item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<bool, StoreError>;

    /// All items in order; at most [`MAX_HISTORY_BYTES`](crate::MAX_HISTORY_BYTES).
    async fn all_items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError>;

    /// The size of all texts of conversations. [`shrink`](crate::Responses::shrink) makes no room among these: who
    /// wants a bound refuses to add.
    async fn stored_bytes(&self) -> Result<u64, StoreError>;
}

/// A conversation that is to be stored.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Names it among the conversations of all principals.
    pub id: ConversationId,
    /// Whose it is.
    pub principal: PrincipalId,
    /// When it was created; kept to the microsecond.
    pub created: Timestamp,
    /// A JSON object.
    pub metadata: String,
}

/// A conversation as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredConversation {
    /// Names it among the conversations of all principals.
    pub id: ConversationId,
    /// Whose it is.
    pub principal: PrincipalId,
    /// When it was created, to the microsecond.
    pub created: Timestamp,
    /// A JSON object.
    pub metadata: String,
}

impl NewConversation {
    /// Refuses what cannot be stored.
    pub fn check(&self) -> Result<(), StoreError> {
        check_id("the id of the conversation", self.id.as_str())?;
        check_id("the principal", self.principal.as_str())?;
        check_text("the metadata", &self.metadata)
    }
}
