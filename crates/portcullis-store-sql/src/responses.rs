//! Responses in the database. The trait is spread over three files: writing, reading, and making room.

mod housekeeping;
mod read;
mod write;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_agent::PrincipalId;
use portcullis_store::{
    NewResponse, Page, PageOf, ResponseId, Responses, Status, StoreError, StoredEvent, StoredItem,
    StoredResponse,
};

pub(crate) use self::read::time;
use crate::SqlStore;

#[async_trait]
impl Responses for SqlStore {
    async fn create(&self, new: NewResponse) -> Result<(), StoreError> {
        write::create(self, new).await
    }

    async fn append_events(&self, id: &ResponseId, events: &[StoredEvent]) -> Result<bool, StoreError> {
        write::append_events(self, id, events).await
    }

    async fn update_body(&self, id: &ResponseId, status: Status, body: String) -> Result<bool, StoreError> {
        write::update_body(self, id, status, body).await
    }

    async fn finish(
        &self,
        id: &ResponseId,
        status: Status,
        body: String,
        output_items: Vec<StoredItem>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        write::finish(self, id, status, body, output_items, at).await
    }

    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<StoredResponse>, StoreError> {
        read::get(self, principal, id).await
    }

    async fn events(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<StoredEvent>>, StoreError> {
        read::events(self, principal, id, after, limit).await
    }

    async fn input_items(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError> {
        read::input_items(self, principal, id, page).await
    }

    async fn item_by_id(
        &self,
        principal: &PrincipalId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError> {
        read::item_by_id(self, principal, item_id).await
    }

    async fn history(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError> {
        read::history(self, principal, id).await
    }

    async fn delete(&self, principal: &PrincipalId, id: &ResponseId) -> Result<bool, StoreError> {
        housekeeping::delete(self, principal, id).await
    }

    async fn fail_unfinished(
        &self,
        at: Timestamp,
        make_body: &(dyn for<'a> Fn(&'a StoredResponse) -> String + Send + Sync),
    ) -> Result<Vec<ResponseId>, StoreError> {
        housekeeping::fail_unfinished(self, at, make_body).await
    }

    async fn expire(&self, older_than: Timestamp) -> Result<u64, StoreError> {
        housekeeping::expire(self, older_than).await
    }

    async fn shrink(&self, max_bytes: u64) -> Result<u64, StoreError> {
        housekeeping::shrink(self, max_bytes).await
    }

    async fn stored_bytes(&self) -> Result<u64, StoreError> {
        housekeeping::stored_bytes(self).await
    }
}
