//! Reading responses.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use portcullis_agent::PrincipalId;
use portcullis_store::{
    ConversationId, MAX_CHAIN, MAX_HISTORY_BYTES, Page, PageOf, ResponseId, StoreError, StoredEvent,
    StoredItem, StoredResponse, is_storable_id,
};
use sqlx::any::AnyRow;
use sqlx::{Row as _, query, query_scalar};

use crate::SqlStore;
use crate::error::store_error;
use crate::items::{List, item};

const INPUT: List = List {
    position: "SELECT position FROM response_items
               WHERE response = $1 AND kind = 0 AND item_id = $2 ORDER BY position LIMIT 1",
    ascending: "SELECT item_id, json FROM response_items
                WHERE response = $1 AND kind = 0 AND position > $2 ORDER BY position LIMIT $3",
    descending: "SELECT item_id, json FROM response_items
                 WHERE response = $1 AND kind = 0 AND position < $2 ORDER BY position DESC LIMIT $3",
};

pub(super) async fn get(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
) -> Result<Option<StoredResponse>, StoreError> {
    if !is_storable_id(id.as_str()) || !is_storable_id(principal.as_str()) {
        return Ok(None);
    }
    let row = query(
        "SELECT id, principal, created, finished, status, background, previous, conversation, body
         FROM responses WHERE id = $1 AND principal = $2",
    )
    .bind(id.as_str())
    .bind(principal.as_str())
    .fetch_optional(&store.reader)
    .await
    .map_err(store_error)?;
    row.as_ref().map(response).transpose()
}

pub(super) async fn events(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
    after: Option<u64>,
    limit: u32,
) -> Result<Option<Vec<StoredEvent>>, StoreError> {
    let Some(pk) = owned(store, principal, id).await? else { return Ok(None) };
    let after = after.map_or(-1, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let rows = query(
        "SELECT sequence, json FROM response_events
         WHERE response = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
    )
    .bind(pk)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(&store.reader)
    .await
    .map_err(store_error)?;
    let event = |row: &AnyRow| -> Result<StoredEvent, StoreError> {
        let sequence: i64 = row.try_get("sequence").map_err(store_error)?;
        let sequence = u64::try_from(sequence).map_err(|_| corrupt("an event with a negative number"))?;
        Ok(StoredEvent { sequence, json: row.try_get("json").map_err(store_error)? })
    };
    rows.iter().map(event).collect::<Result<_, _>>().map(Some)
}

pub(super) async fn input_items(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
    page: Page,
) -> Result<Option<PageOf<StoredItem>>, StoreError> {
    let Some(pk) = owned(store, principal, id).await? else { return Ok(None) };
    INPUT.page(&store.reader, pk, page).await.map(Some)
}

pub(super) async fn item_by_id(
    store: &SqlStore,
    principal: &PrincipalId,
    item_id: &str,
) -> Result<Option<StoredItem>, StoreError> {
    if !is_storable_id(item_id) || !is_storable_id(principal.as_str()) {
        return Ok(None);
    }
    let row = query(
        "SELECT items.item_id, items.json
         FROM response_items AS items JOIN responses ON responses.pk = items.response
         WHERE items.item_id = $1 AND responses.principal = $2
         ORDER BY responses.pk DESC, items.kind DESC LIMIT 1",
    )
    .bind(item_id)
    .bind(principal.as_str())
    .fetch_optional(&store.reader)
    .await
    .map_err(store_error)?;
    let read = |row: &AnyRow| -> Result<StoredItem, sqlx::Error> {
        Ok(StoredItem { id: row.try_get("item_id")?, json: row.try_get("json")? })
    };
    row.as_ref().map(read).transpose().map_err(store_error)
}

/// One statement, so that what another gateway deletes meanwhile is there whole or is a missing link.
pub(super) async fn history(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
) -> Result<Option<Vec<StoredItem>>, StoreError> {
    if !is_storable_id(id.as_str()) || !is_storable_id(principal.as_str()) {
        return Ok(None);
    }
    // The chain stops one link behind what is allowed, which is also what ends a circle. The outer join gives a
    // response without items a row of its own.
    let mut rows = query(
        "WITH RECURSIVE chain (pk, previous, depth) AS (
             SELECT pk, previous, CAST(1 AS BIGINT) FROM responses WHERE id = $1 AND principal = $2
             UNION ALL
             SELECT responses.pk, responses.previous, chain.depth + 1
             FROM chain JOIN responses ON responses.id = chain.previous AND responses.principal = $2
             WHERE chain.depth <= $3
         )
         SELECT chain.previous, chain.depth, items.item_id, items.json
         FROM chain LEFT JOIN response_items AS items ON items.response = chain.pk
         ORDER BY chain.depth DESC, items.kind, items.position",
    )
    .bind(id.as_str())
    .bind(principal.as_str())
    .bind(i64::try_from(MAX_CHAIN).expect("a small number"))
    .fetch(&store.reader);

    let mut found: Option<Vec<StoredItem>> = None;
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(store_error)? {
        if found.is_none() {
            check_first(&row)?;
        }
        let items = found.get_or_insert_default();
        if row.try_get::<Option<String>, _>("item_id").map_err(store_error)?.is_some() {
            let item = item(&row)?;
            bytes += item.json.len();
            if bytes > MAX_HISTORY_BYTES {
                return Err(StoreError::TooLong);
            }
            items.push(item);
        }
    }
    Ok(found)
}

/// The first row is of the oldest response that was found. Is it the beginning?
fn check_first(row: &AnyRow) -> Result<(), StoreError> {
    let depth: i64 = row.try_get("depth").map_err(store_error)?;
    if usize::try_from(depth).is_ok_and(|depth| depth > MAX_CHAIN) {
        return Err(StoreError::TooLong);
    }
    match row.try_get::<Option<String>, _>("previous").map_err(store_error)? {
        None => Ok(()),
        Some(missing) => Err(StoreError::BrokenChain { id: ResponseId::new(missing) }),
    }
}

async fn owned(
    store: &SqlStore,
    principal: &PrincipalId,
    id: &ResponseId,
) -> Result<Option<i64>, StoreError> {
    if !is_storable_id(id.as_str()) || !is_storable_id(principal.as_str()) {
        return Ok(None);
    }
    query_scalar("SELECT pk FROM responses WHERE id = $1 AND principal = $2")
        .bind(id.as_str())
        .bind(principal.as_str())
        .fetch_optional(&store.reader)
        .await
        .map_err(store_error)
}

pub(super) fn response(row: &AnyRow) -> Result<StoredResponse, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(store_error);
    let finished: Option<i64> = row.try_get("finished").map_err(store_error)?;
    Ok(StoredResponse {
        id: ResponseId::new(text("id")?),
        principal: PrincipalId::new(text("principal")?),
        created: time(row.try_get("created").map_err(store_error)?)?,
        finished: finished.map(time).transpose()?,
        background: row.try_get::<i64, _>("background").map_err(store_error)? != 0,
        previous: optional("previous")?.map(ResponseId::new),
        conversation: optional("conversation")?.map(ConversationId::new),
        body: text("body")?,
        status: text("status")?
            .parse()
            .map_err(|unknown| StoreError::Corrupt { what: format!("{unknown}") })?,
    })
}

/// A time as the database keeps it.
pub(crate) fn time(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| corrupt("a time out of range"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}
