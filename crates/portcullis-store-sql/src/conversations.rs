//! Conversations in the database.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use portcullis_agent::PrincipalId;
use portcullis_store::{
    ConversationId, Conversations, MAX_HISTORY_BYTES, NewConversation, Page, PageOf, StoreError,
    StoredConversation, StoredItem, check_text, is_storable_id,
};
use sqlx::{AssertSqlSafe, Row as _, query, query_scalar};

use crate::SqlStore;
use crate::error::{insert_error, store_error};
use crate::items::{List, ROWS, insert_rows, item, size, size_of};
use crate::responses::time;

const ITEMS: List = List {
    position: "SELECT position FROM conversation_items WHERE conversation = $1 AND item_id = $2",
    ascending: "SELECT item_id, json FROM conversation_items
                WHERE conversation = $1 AND position > $2 ORDER BY position LIMIT $3",
    descending: "SELECT item_id, json FROM conversation_items
                 WHERE conversation = $1 AND position < $2 ORDER BY position DESC LIMIT $3",
};

#[async_trait]
impl Conversations for SqlStore {
    async fn create(&self, new: NewConversation) -> Result<(), StoreError> {
        new.check()?;
        query(
            "INSERT INTO conversations (id, principal, created, next_position, bytes, metadata)
             VALUES ($1, $2, $3, 0, $4, $5)",
        )
        .bind(new.id.as_str())
        .bind(new.principal.as_str())
        .bind(new.created.as_microsecond())
        .bind(size(&new.metadata))
        .bind(new.metadata)
        .execute(&self.writer)
        .await
        .map_err(|error| insert_error(error, new.id.as_str()))?;
        Ok(())
    }

    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<StoredConversation>, StoreError> {
        if !can_be(principal, id) {
            return Ok(None);
        }
        let row = query("SELECT created, metadata FROM conversations WHERE id = $1 AND principal = $2")
            .bind(id.as_str())
            .bind(principal.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredConversation {
            id: id.clone(),
            principal: principal.clone(),
            created: time(row.try_get("created").map_err(store_error)?)?,
            metadata: row.try_get("metadata").map_err(store_error)?,
        }))
    }

    async fn set_metadata(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        metadata: String,
    ) -> Result<bool, StoreError> {
        check_text("the metadata", &metadata)?;
        if !can_be(principal, id) {
            return Ok(false);
        }
        let updated = query(
            "UPDATE conversations SET bytes = bytes - octet_length(metadata) + $3, metadata = $4
             WHERE id = $1 AND principal = $2",
        )
        .bind(id.as_str())
        .bind(principal.as_str())
        .bind(size(&metadata))
        .bind(metadata)
        .execute(&self.writer)
        .await
        .map_err(store_error)?;
        Ok(updated.rows_affected() > 0)
    }

    async fn delete(&self, principal: &PrincipalId, id: &ConversationId) -> Result<bool, StoreError> {
        if !can_be(principal, id) {
            return Ok(false);
        }
        let deleted = query("DELETE FROM conversations WHERE id = $1 AND principal = $2")
            .bind(id.as_str())
            .bind(principal.as_str())
            .execute(&self.writer)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected() > 0)
    }

    async fn append(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        items: Vec<StoredItem>,
    ) -> Result<bool, StoreError> {
        items.iter().try_for_each(StoredItem::check)?;
        if !can_be(principal, id) {
            return Ok(false);
        }
        let count = i64::try_from(items.len()).expect("no list is larger than memory");
        let mut transaction = self.begin().await.map_err(store_error)?;
        // Takes the positions and holds the row, so that what another writer adds comes before or behind all of this.
        let row = query(
            "UPDATE conversations SET next_position = next_position + $3, bytes = bytes + $4
             WHERE id = $1 AND principal = $2
             RETURNING pk, next_position - $3 AS first",
        )
        .bind(id.as_str())
        .bind(principal.as_str())
        .bind(count)
        .bind(size_of(&items))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(false) };
        let pk: i64 = row.try_get("pk").map_err(store_error)?;
        let mut first: i64 = row.try_get("first").map_err(store_error)?;
        for items in items.chunks(ROWS) {
            let sql = insert_rows(
                "INSERT INTO conversation_items (conversation, position, item_id, json)",
                items.len(),
                4,
                "ON CONFLICT DO NOTHING RETURNING position",
            );
            let mut insert = query_scalar(AssertSqlSafe(sql));
            for (position, item) in (first..).zip(items) {
                insert = insert.bind(pk).bind(position).bind(item.id.as_str()).bind(item.json.as_str());
            }
            let inserted: Vec<i64> = insert.fetch_all(&mut *transaction).await.map_err(store_error)?;
            if let Some((_, twice)) = (first..).zip(items).find(|(position, _)| !inserted.contains(position))
            {
                return Err(StoreError::Taken { id: twice.id.clone() });
            }
            first += i64::try_from(items.len()).expect("at most `ROWS`");
        }
        transaction.commit().await.map_err(store_error)?;
        Ok(true)
    }

    async fn items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError> {
        let Some(pk) = owned(self, principal, id).await? else { return Ok(None) };
        ITEMS.page(&self.reader, pk, page).await.map(Some)
    }

    async fn item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError> {
        if !is_storable_id(item_id) {
            return Ok(None);
        }
        let Some(pk) = owned(self, principal, id).await? else { return Ok(None) };
        let row =
            query("SELECT item_id, json FROM conversation_items WHERE conversation = $1 AND item_id = $2")
                .bind(pk)
                .bind(item_id)
                .fetch_optional(&self.reader)
                .await
                .map_err(store_error)?;
        row.as_ref().map(item).transpose()
    }

    async fn delete_item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<bool, StoreError> {
        if !is_storable_id(item_id) || !can_be(principal, id) {
            return Ok(false);
        }
        let mut transaction = self.begin().await.map_err(store_error)?;
        // The row of the conversation first, as everywhere: two that lock in different orders can block each other.
        let pk: Option<i64> = query_scalar(
            "UPDATE conversations SET bytes = bytes WHERE id = $1 AND principal = $2 RETURNING pk",
        )
        .bind(id.as_str())
        .bind(principal.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(store_error)?;
        let Some(pk) = pk else { return Ok(false) };
        let removed: Option<i64> = query_scalar(
            "DELETE FROM conversation_items WHERE conversation = $1 AND item_id = $2
             RETURNING CAST(octet_length(json) AS BIGINT)",
        )
        .bind(pk)
        .bind(item_id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(store_error)?;
        let Some(bytes) = removed else { return Ok(false) };
        query("UPDATE conversations SET bytes = bytes - $2 WHERE pk = $1")
            .bind(pk)
            .bind(bytes)
            .execute(&mut *transaction)
            .await
            .map_err(store_error)?;
        transaction.commit().await.map_err(store_error)?;
        Ok(true)
    }

    async fn all_items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError> {
        let Some(pk) = owned(self, principal, id).await? else { return Ok(None) };
        let mut rows =
            query("SELECT item_id, json FROM conversation_items WHERE conversation = $1 ORDER BY position")
                .bind(pk)
                .fetch(&self.reader);
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(store_error)? {
            let item = item(&row)?;
            bytes += item.json.len();
            if bytes > MAX_HISTORY_BYTES {
                return Err(StoreError::TooLong);
            }
            items.push(item);
        }
        Ok(Some(items))
    }

    async fn stored_bytes(&self) -> Result<u64, StoreError> {
        let bytes: i64 = query_scalar("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM conversations")
            .fetch_one(&self.reader)
            .await
            .map_err(store_error)?;
        u64::try_from(bytes).map_err(|_| StoreError::Corrupt { what: "a negative size".to_owned() })
    }
}

async fn owned(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ConversationId,
) -> Result<Option<i64>, StoreError> {
    if !can_be(principal, id) {
        return Ok(None);
    }
    query_scalar("SELECT pk FROM conversations WHERE id = $1 AND principal = $2")
        .bind(id.as_str())
        .bind(principal.as_str())
        .fetch_optional(&store.reader)
        .await
        .map_err(store_error)
}

fn can_be(principal: &PrincipalId, id: &ConversationId) -> bool {
    is_storable_id(principal.as_str()) && is_storable_id(id.as_str())
}
