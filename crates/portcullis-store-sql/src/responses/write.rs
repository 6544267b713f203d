//! Writing responses. Each function is one transaction.

use jiff::Timestamp;
use portcullis_store::{
    ConversationId, NewResponse, ResponseId, Status, StoreError, StoredEvent, StoredItem, check_text,
};
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::SqlStore;
use crate::error::{insert_error, store_error};
use crate::items::{ROWS, insert_rows, size, size_of};

/// The column `kind`.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Input = 0,
    Output = 1,
}

pub(super) async fn create(store: &SqlStore, new: NewResponse) -> Result<(), StoreError> {
    new.check()?;
    let mut transaction = store.begin().await.map_err(store_error)?;
    let created = new.created.as_microsecond();
    let pk: i64 = sqlx::query_scalar(
        "INSERT INTO responses
             (id, principal, created, finished, status, background, previous, conversation, bytes, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         RETURNING pk",
    )
    .bind(new.id.as_str())
    .bind(new.principal.as_str())
    .bind(created)
    .bind(new.status.is_finished().then_some(created))
    .bind(new.status.as_str())
    .bind(i64::from(new.background))
    .bind(new.previous.as_ref().map(ResponseId::as_str))
    .bind(new.conversation.as_ref().map(ConversationId::as_str))
    .bind(size(&new.body) + size_of(&new.input_items))
    .bind(new.body)
    .fetch_one(&mut *transaction)
    .await
    .map_err(|error| insert_error(error, new.id.as_str()))?;
    insert_items(&mut transaction, pk, Kind::Input, new.input_items).await?;
    transaction.commit().await.map_err(store_error)
}

pub(super) async fn append_events(
    store: &SqlStore,
    id: &ResponseId,
    events: &[StoredEvent],
) -> Result<bool, StoreError> {
    events.iter().try_for_each(StoredEvent::check)?;
    let added: i64 = events.iter().map(|event| size(&event.json)).sum();
    let mut transaction = store.begin().await.map_err(store_error)?;
    // First, so that the response cannot vanish in between. That no event is there already is the usual case.
    let Some(pk) = add_bytes(&mut transaction, id, added).await? else { return Ok(false) };
    let mut inserted = 0;
    for events in events.chunks(ROWS) {
        let sql = insert_rows(
            "INSERT INTO response_events (response, sequence, json)",
            events.len(),
            3,
            "ON CONFLICT DO NOTHING RETURNING CAST(octet_length(json) AS BIGINT)",
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for event in events {
            let sequence = i64::try_from(event.sequence).expect("checked above");
            query = query.bind(pk).bind(sequence).bind(event.json.as_str());
        }
        let sizes: Vec<i64> = query.fetch_all(&mut *transaction).await.map_err(store_error)?;
        inserted += sizes.iter().sum::<i64>();
    }
    if inserted != added {
        add_bytes(&mut transaction, id, inserted - added).await?;
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(true)
}

pub(super) async fn update_body(
    store: &SqlStore,
    id: &ResponseId,
    status: Status,
    body: String,
) -> Result<bool, StoreError> {
    check_text("the response", &body)?;
    let mut transaction = store.begin().await.map_err(store_error)?;
    let updated = replace_body(&mut transaction, id, status, body, None).await?;
    transaction.commit().await.map_err(store_error)?;
    Ok(updated.is_some())
}

pub(super) async fn finish(
    store: &SqlStore,
    id: &ResponseId,
    status: Status,
    body: String,
    output_items: Vec<StoredItem>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    check_text("the response", &body)?;
    output_items.iter().try_for_each(StoredItem::check)?;
    let mut transaction = store.begin().await.map_err(store_error)?;
    let Some(pk) = replace_body(&mut transaction, id, status, body, Some(at)).await? else {
        return Ok(false);
    };
    let replaced: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM response_items WHERE response = $1 AND kind = $2
         RETURNING CAST(octet_length(json) AS BIGINT)",
    )
    .bind(pk)
    .bind(Kind::Output as i64)
    .fetch_all(&mut *transaction)
    .await
    .map_err(store_error)?;
    add_bytes(&mut transaction, id, size_of(&output_items) - replaced.iter().sum::<i64>()).await?;
    insert_items(&mut transaction, pk, Kind::Output, output_items).await?;
    transaction.commit().await.map_err(store_error)?;
    Ok(true)
}

/// Replaces body and status, and says which row that was.
pub(super) async fn replace_body(
    connection: &mut AnyConnection,
    id: &ResponseId,
    status: Status,
    body: String,
    at: Option<Timestamp>,
) -> Result<Option<i64>, StoreError> {
    if !portcullis_store::is_storable_id(id.as_str()) {
        return Ok(None);
    }
    sqlx::query_scalar(
        "UPDATE responses
         SET status = $2,
             finished = CASE WHEN $3 = 1 THEN COALESCE($4, finished, created) END,
             bytes = bytes - octet_length(body) + $5,
             body = $6
         WHERE id = $1
         RETURNING pk",
    )
    .bind(id.as_str())
    .bind(status.as_str())
    .bind(i64::from(status.is_finished()))
    .bind(at.map(Timestamp::as_microsecond))
    .bind(size(&body))
    .bind(body)
    .fetch_optional(connection)
    .await
    .map_err(store_error)
}

async fn add_bytes(
    connection: &mut AnyConnection,
    id: &ResponseId,
    bytes: i64,
) -> Result<Option<i64>, StoreError> {
    if !portcullis_store::is_storable_id(id.as_str()) {
        return Ok(None);
    }
    sqlx::query_scalar("UPDATE responses SET bytes = bytes + $2 WHERE id = $1 RETURNING pk")
        .bind(id.as_str())
        .bind(bytes)
        .fetch_optional(connection)
        .await
        .map_err(store_error)
}

async fn insert_items(
    connection: &mut AnyConnection,
    pk: i64,
    kind: Kind,
    items: Vec<StoredItem>,
) -> Result<(), StoreError> {
    let mut numbered = (0_i64..).zip(items).peekable();
    while numbered.peek().is_some() {
        let rows: Vec<(i64, StoredItem)> = numbered.by_ref().take(ROWS).collect();
        let insert = "INSERT INTO response_items (response, kind, position, item_id, json)";
        let sql = insert_rows(insert, rows.len(), 5, "");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (position, item) in rows {
            query = query.bind(pk).bind(kind as i64).bind(position).bind(item.id).bind(item.json);
        }
        query.execute(&mut *connection).await.map_err(store_error)?;
    }
    Ok(())
}
