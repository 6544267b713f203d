//! The state of `/v1/responses`.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_agent::PrincipalId;

use crate::{
    ConversationId, Page, PageOf, ResponseId, Status, StoreError, StoredEvent, StoredItem, check_id,
    check_text,
};

/// Responses, their items, and the events of their streams.
///
/// Methods without a principal are for whoever runs the response. They answer `false` if it is gone, which happens
/// when its owner deletes it meanwhile. Every method is all or nothing, and what it stored is there for the next call.
#[async_trait]
pub trait Responses: Send + Sync {
    /// Stores a new response.
    ///
    /// Whether `previous` exists is found out by [`history`](Self::history). A response may be stored finished.
    async fn create(&self, new: NewResponse) -> Result<(), StoreError>;

    /// Adds events to the stream. An event whose number is there already is left as it is, so a batch may be repeated.
    async fn append_events(&self, id: &ResponseId, events: &[StoredEvent]) -> Result<bool, StoreError>;

    /// Replaces the response object.
    async fn update_body(&self, id: &ResponseId, status: Status, body: String) -> Result<bool, StoreError>;

    /// Replaces the response object and the output items. Doing it again replaces them again.
    async fn finish(
        &self,
        id: &ResponseId,
        status: Status,
        body: String,
        output_items: Vec<StoredItem>,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The response.
    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<StoredResponse>, StoreError>;

    /// At most `limit` events of the stream behind the number `after`, in order.
    async fn events(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<StoredEvent>>, StoreError>;

    /// What the response was asked.
    async fn input_items(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError>;

    /// The newest item of this id among the principal's responses, be it input or output.
    async fn item_by_id(
        &self,
        principal: &PrincipalId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError>;

    /// Everything that led to this response and came out of it, oldest first: for every response of the chain its
    /// input items, then its output items.
    ///
    /// A response of another principal is a missing link like any other. At most [`MAX_CHAIN`](crate::MAX_CHAIN)
    /// responses and [`MAX_HISTORY_BYTES`](crate::MAX_HISTORY_BYTES).
    async fn history(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError>;

    /// Removes the response with its items and events.
    ///
    /// Responses that follow it can still be read, but a [`history`](Self::history) that leads over it is broken from
    /// then on: what was deleted must not go to the model again. The same holds for what expires.
    async fn delete(&self, principal: &PrincipalId, id: &ResponseId) -> Result<bool, StoreError>;

    /// Makes every unfinished response failed and says which these were.
    ///
    /// For the start of a gateway, when nothing that it left unfinished is running any more. A database must
    /// therefore not be shared by two gateways.
    async fn fail_unfinished(
        &self,
        at: Timestamp,
        make_body: &(dyn for<'a> Fn(&'a StoredResponse) -> String + Send + Sync),
    ) -> Result<Vec<ResponseId>, StoreError>;

    /// Removes what finished before `older_than`, and says how many responses that were.
    async fn expire(&self, older_than: Timestamp) -> Result<u64, StoreError>;

    /// Removes finished responses, the oldest first, until the texts of the others fit into `max_bytes` or nothing
    /// finished is left; says how many were removed.
    async fn shrink(&self, max_bytes: u64) -> Result<u64, StoreError>;

    /// The size of all texts of responses: bodies, items and events. Not the size of the database on disk.
    async fn stored_bytes(&self) -> Result<u64, StoreError>;
}

/// A response that is to be stored.
#[derive(Clone, Debug)]
pub struct NewResponse {
    /// Names it among the responses of all principals.
    pub id: ResponseId,
    /// Whose it is.
    pub principal: PrincipalId,
    /// When it was asked for; kept to the microsecond.
    pub created: Timestamp,
    /// Whether it runs without a client that listens.
    pub background: bool,
    /// The response that it continues.
    pub previous: Option<ResponseId>,
    /// The conversation that it belongs to.
    pub conversation: Option<ConversationId>,
    /// What was asked.
    pub input_items: Vec<StoredItem>,
    /// The response object.
    pub body: String,
    /// Where it stands.
    pub status: Status,
}

/// A response as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredResponse {
    /// Names it among the responses of all principals.
    pub id: ResponseId,
    /// Whose it is.
    pub principal: PrincipalId,
    /// When it was asked for, to the microsecond.
    pub created: Timestamp,
    /// When it finished, to the microsecond. When it was asked for, if it finished without saying when.
    pub finished: Option<Timestamp>,
    /// Whether it runs without a client that listens.
    pub background: bool,
    /// The response that it continues.
    pub previous: Option<ResponseId>,
    /// The conversation that it belongs to.
    pub conversation: Option<ConversationId>,
    /// The response object.
    pub body: String,
    /// Where it stands.
    pub status: Status,
}

impl NewResponse {
    /// Refuses what cannot be stored.
    pub fn check(&self) -> Result<(), StoreError> {
        check_id("the id of the response", self.id.as_str())?;
        check_id("the principal", self.principal.as_str())?;
        check_id("the id of the previous response", self.previous.as_ref().map_or("", ResponseId::as_str))?;
        check_id(
            "the id of the conversation",
            self.conversation.as_ref().map_or("", ConversationId::as_str),
        )?;
        check_text("the response", &self.body)?;
        self.input_items.iter().try_for_each(StoredItem::check)
    }
}
