//! Removing responses, and making room.

use jiff::Timestamp;
use portcullis_agent::PrincipalId;
use portcullis_store::{ResponseId, Status, StoreError, StoredResponse, check_text, is_storable_id};
use sqlx::{Row as _, query, query_scalar};

use super::read::response;
use super::write::replace_body;
use crate::SqlStore;
use crate::error::store_error;
use crate::migrations::Dialect;

/// How many responses one transaction removes, so that other writers get their turn.
const BATCH: i64 = 100;

/// And about how much text: overwriting it needs as much room in SQLite's log.
const BATCH_BYTES: u64 = 1 << 20;

pub(super) async fn delete(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
) -> Result<bool, StoreError> {
    if !is_storable_id(id.as_str()) || !is_storable_id(principal.as_str()) {
        return Ok(false);
    }
    let deleted = query("DELETE FROM responses WHERE id = $1 AND principal = $2")
        .bind(id.as_str())
        .bind(principal.as_str())
        .execute(&store.writer)
        .await
        .map_err(store_error)?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn fail_unfinished(
    store: &SqlStore,
    at: Timestamp,
    make_body: &(dyn for<'a> Fn(&'a StoredResponse) -> String + Send + Sync),
) -> Result<Vec<ResponseId>, StoreError> {
    let mut transaction = store.begin().await.map_err(store_error)?;
    let rows = query(
        "SELECT id, principal, created, finished, status, background, previous, conversation, body
         FROM responses WHERE finished IS NULL ORDER BY pk",
    )
    .fetch_all(&mut *transaction)
    .await
    .map_err(store_error)?;
    let mut failed = Vec::with_capacity(rows.len());
    for row in &rows {
        let unfinished = response(row)?;
        let body = make_body(&unfinished);
        check_text("the response", &body)?;
        replace_body(&mut transaction, &unfinished.id, Status::Failed, body, Some(at)).await?;
        failed.push(unfinished.id);
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(failed)
}

pub(super) async fn expire(store: &SqlStore, older_than: Timestamp) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let batch = remove_oldest(store, older_than.as_microsecond(), u64::MAX).await?;
        if batch == 0 {
            break;
        }
        removed += batch;
    }
    give_back(store, removed).await?;
    Ok(removed)
}

pub(super) async fn shrink(store: &SqlStore, max_bytes: u64) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let surplus = stored_bytes(store).await?.saturating_sub(max_bytes);
        let batch = remove_oldest(store, i64::MAX, surplus).await?;
        if batch == 0 {
            break;
        }
        removed += batch;
    }
    give_back(store, removed).await?;
    Ok(removed)
}

pub(super) async fn stored_bytes(store: &SqlStore) -> Result<u64, StoreError> {
    let bytes: i64 = query_scalar("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM responses")
        .fetch_one(&store.reader)
        .await
        .map_err(store_error)?;
    u64::try_from(bytes).map_err(|_| StoreError::Corrupt { what: "a negative size".to_owned() })
}

/// Removes some of the oldest finished responses, and says how many; `0` when there is nothing to do.
async fn remove_oldest(store: &SqlStore, finished_before: i64, surplus: u64) -> Result<u64, StoreError> {
    if surplus == 0 {
        return Ok(0);
    }
    let mut transaction = store.begin().await.map_err(store_error)?;
    let oldest = query("SELECT pk, bytes FROM responses WHERE finished < $1 ORDER BY finished, pk LIMIT $2")
        .bind(finished_before)
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await
        .map_err(store_error)?;
    let (mut removed, mut freed) = (0, 0_u64);
    for row in oldest {
        if freed >= surplus.min(BATCH_BYTES) {
            break;
        }
        let bytes: i64 = row.try_get("bytes").map_err(store_error)?;
        let gone = query("DELETE FROM responses WHERE pk = $1")
            .bind(row.try_get::<i64, _>("pk").map_err(store_error)?)
            .execute(&mut *transaction)
            .await
            .map_err(store_error)?;
        removed += gone.rows_affected();
        freed = freed.saturating_add(u64::try_from(bytes).unwrap_or(0));
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(removed)
}

/// Gives the pages that became free back to the file system, in steps, so that other writers get their turn.
/// PostgreSQL does so in its own time.
async fn give_back(store: &SqlStore, removed: u64) -> Result<(), StoreError> {
    if removed == 0 || !matches!(store.dialect, Dialect::Sqlite) {
        return Ok(());
    }
    empty_log(store).await?;
    let mut left = i64::MAX;
    loop {
        let free: i64 =
            query_scalar("PRAGMA freelist_count").fetch_one(&store.writer).await.map_err(store_error)?;
        // Other writers may use and free pages meanwhile: no progress is an end too.
        if free == 0 || free >= left {
            return Ok(());
        }
        left = free;
        query("PRAGMA incremental_vacuum(1024)").fetch_all(&store.writer).await.map_err(store_error)?;
        empty_log(store).await?;
    }
}

async fn empty_log(store: &SqlStore) -> Result<(), StoreError> {
    query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&store.writer).await.map_err(store_error)?;
    Ok(())
}
