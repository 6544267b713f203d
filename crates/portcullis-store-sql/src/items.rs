//! What the two kinds of lists have in common: adding many rows at once, and reading a page.

use portcullis_store::{Order, Page, PageOf, StoreError, StoredItem};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use crate::error::store_error;

/// How many rows one statement adds: a round trip each is too many, and both databases limit the parameters.
pub(crate) const ROWS: usize = 100;

/// `insert` with one group of placeholders for every row. Nothing but numbers is added to the text.
pub(crate) fn insert_rows(insert: &str, rows: usize, columns: usize, ending: &str) -> String {
    use std::fmt::Write as _;

    let mut sql = String::with_capacity(insert.len() + ending.len() + rows * columns * 6);
    sql.push_str(insert);
    for row in 0..rows {
        sql.push_str(if row == 0 { " VALUES (" } else { ", (" });
        for column in 1..=columns {
            let comma = if column == 1 { "" } else { ", " };
            write!(sql, "{comma}${}", row * columns + column).expect("a String takes everything");
        }
        sql.push(')');
    }
    sql.push(' ');
    sql.push_str(ending);
    sql
}

/// The queries that read one kind of list. `$1` is the owner.
pub(crate) struct List {
    /// The position of the item `$2`.
    pub(crate) position: &'static str,
    /// At most `$3` items behind the position `$2`.
    pub(crate) ascending: &'static str,
    /// At most `$3` items before the position `$2`.
    pub(crate) descending: &'static str,
}

impl List {
    pub(crate) async fn page(
        &self,
        pool: &AnyPool,
        owner: i64,
        page: Page,
    ) -> Result<PageOf<StoredItem>, StoreError> {
        let (sql, beginning) = match page.order {
            Order::Ascending => (self.ascending, -1),
            Order::Descending => (self.descending, i64::MAX),
        };
        let position = match page.after {
            None => beginning,
            Some(after) if !portcullis_store::is_storable_id(&after) => {
                return Err(StoreError::UnknownCursor);
            }
            Some(after) => sqlx::query_scalar(self.position)
                .bind(owner)
                .bind(after)
                .fetch_optional(pool)
                .await
                .map_err(store_error)?
                .ok_or(StoreError::UnknownCursor)?,
        };
        // One more than was asked for tells whether there are more.
        let limit = i64::from(page.limit);
        let rows = sqlx::query(sql).bind(owner).bind(position).bind(limit + 1).fetch_all(pool);
        let rows = rows.await.map_err(store_error)?;
        let has_more = i64::try_from(rows.len()).is_ok_and(|rows| rows > limit);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let items = rows.iter().take(limit).map(item).collect::<Result<_, _>>()?;
        Ok(PageOf { items, has_more })
    }
}

/// The columns `item_id` and `json`.
pub(crate) fn item(row: &AnyRow) -> Result<StoredItem, StoreError> {
    let id = row.try_get("item_id").map_err(store_error)?;
    let json = row.try_get("json").map_err(store_error)?;
    Ok(StoredItem { id, json })
}

/// The size of a text as the database counts it.
pub(crate) fn size(text: &str) -> i64 {
    i64::try_from(text.len()).expect("no text is larger than memory")
}

/// The size of the texts of items.
pub(crate) fn size_of(items: &[StoredItem]) -> i64 {
    items.iter().map(|item| size(&item.json)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_placeholders_of_their_own() {
        let sql = insert_rows("INSERT INTO t (a, b)", 2, 2, "RETURNING a");
        assert_eq!(sql, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING a");
    }
}
