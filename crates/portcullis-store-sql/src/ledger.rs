//! What was used, in the database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::civil::Date;
use portcullis_store::{
    Ledger, LedgerEntry, LedgerQuestion, LedgerSum, MAX_SUMS, StoreError, Tally, is_storable_id,
};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _, query};

use crate::SqlStore;
use crate::error::store_error;
use crate::items::{ROWS, insert_rows};

/// The columns of a row, in their order.
const COLUMNS: usize = 11;

const ADD: &str = "INSERT INTO ledger
    (day, principal, model, turns, failed, unreported, input, cached_input, output, reasoning, pictures)";
const ONTO: &str = "ON CONFLICT (day, principal, model) DO UPDATE SET
    turns = ledger.turns + excluded.turns,
    failed = ledger.failed + excluded.failed,
    unreported = ledger.unreported + excluded.unreported,
    input = ledger.input + excluded.input,
    cached_input = ledger.cached_input + excluded.cached_input,
    output = ledger.output + excluded.output,
    reasoning = ledger.reasoning + excluded.reasoning,
    pictures = ledger.pictures + excluded.pictures";

/// An empty text stands for whatever is not asked for: no day, principal or model is empty.
const SUMS: &str = "SELECT
    CASE WHEN $5 = 1 THEN day ELSE '' END AS of_day,
    CASE WHEN $6 = 1 THEN principal ELSE '' END AS of_principal,
    CASE WHEN $7 = 1 THEN model ELSE '' END AS of_model,
    CAST(SUM(turns) AS BIGINT) AS turns,
    CAST(SUM(failed) AS BIGINT) AS failed,
    CAST(SUM(unreported) AS BIGINT) AS unreported,
    CAST(SUM(input) AS BIGINT) AS input,
    CAST(SUM(cached_input) AS BIGINT) AS cached_input,
    CAST(SUM(output) AS BIGINT) AS output,
    CAST(SUM(reasoning) AS BIGINT) AS reasoning,
    CAST(SUM(pictures) AS BIGINT) AS pictures
    FROM ledger
    WHERE ($1 = '' OR day >= $1) AND ($2 = '' OR day <= $2)
      AND ($3 = '' OR principal = $3 OR substr(principal, 1, length($3) + 1) = $3 || ':')
      AND ($4 = '' OR model = $4)
    GROUP BY 1, 2, 3 LIMIT $8";

#[async_trait]
impl Ledger for SqlStore {
    async fn add(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        entries.iter().try_for_each(LedgerEntry::check)?;
        let entries = folded(entries);
        let mut transaction = self.begin().await.map_err(store_error)?;
        for entries in entries.chunks(ROWS) {
            let sql = insert_rows(ADD, entries.len(), COLUMNS, ONTO);
            let mut insert = query(AssertSqlSafe(sql));
            for LedgerEntry { day, principal, model, tally } in entries {
                insert = insert.bind(day.to_string()).bind(principal.as_str()).bind(model.as_str());
                for count in counts(*tally) {
                    insert = insert.bind(i64::try_from(count).unwrap_or(i64::MAX));
                }
            }
            insert.execute(&mut *transaction).await.map_err(store_error)?;
        }
        transaction.commit().await.map_err(store_error)
    }

    async fn sums(&self, question: &LedgerQuestion) -> Result<Vec<LedgerSum>, StoreError> {
        let LedgerQuestion { from, to, key, model, by } = question;
        let (key, model) = (key.as_deref().unwrap_or(""), model.as_deref().unwrap_or(""));
        if !is_storable_id(key) || !is_storable_id(model) {
            return Ok(Vec::new());
        }
        let most = i64::try_from(MAX_SUMS).unwrap_or(i64::MAX);
        let rows = query(SUMS)
            .bind(from.map_or_else(String::new, |day| day.to_string()))
            .bind(to.map_or_else(String::new, |day| day.to_string()))
            .bind(key)
            .bind(model)
            .bind(i64::from(by.day))
            .bind(i64::from(by.principal))
            .bind(i64::from(by.model))
            .bind(most + 1)
            .fetch_all(&self.reader)
            .await
            .map_err(store_error)?;
        if rows.len() > MAX_SUMS {
            return Err(StoreError::TooManySums);
        }
        let mut sums = rows.iter().map(sum).collect::<Result<Vec<_>, _>>()?;
        // Databases have orders of their own.
        sums.sort_by_cached_key(LedgerSum::order);
        Ok(sums)
    }

    async fn forget(&self, before: Date) -> Result<u64, StoreError> {
        let gone = query("DELETE FROM ledger WHERE day < $1")
            .bind(before.to_string())
            .execute(&self.writer)
            .await
            .map_err(store_error)?;
        Ok(gone.rows_affected())
    }
}

/// One entry for each sum: PostgreSQL refuses a statement that changes a row twice.
fn folded(entries: &[LedgerEntry]) -> Vec<LedgerEntry> {
    let mut folded = BTreeMap::<_, Tally>::new();
    for LedgerEntry { day, principal, model, tally } in entries {
        *folded.entry((*day, principal.clone(), model.clone())).or_default() += *tally;
    }
    let entry = |((day, principal, model), tally)| LedgerEntry { day, principal, model, tally };
    folded.into_iter().map(entry).collect()
}

/// In the order of the columns.
fn counts(tally: Tally) -> [u64; 8] {
    let Tally { turns, failed, unreported, input, cached_input, output, reasoning, pictures } = tally;
    [turns, failed, unreported, input, cached_input, output, reasoning, pictures]
}

fn sum(row: &AnyRow) -> Result<LedgerSum, StoreError> {
    let text = |column| {
        let text: String = row.try_get(column).map_err(store_error)?;
        Ok::<_, StoreError>(Some(text).filter(|text| !text.is_empty()))
    };
    let count = |column| {
        let count: i64 = row.try_get(column).map_err(store_error)?;
        u64::try_from(count).map_err(|_| StoreError::Corrupt { what: "a negative count".to_owned() })
    };
    let day = text("of_day")?.map(|day| day.parse()).transpose();
    Ok(LedgerSum {
        day: day.map_err(|_| StoreError::Corrupt { what: "a day that is none".to_owned() })?,
        principal: text("of_principal")?.map(Into::into),
        model: text("of_model")?.map(Into::into),
        tally: Tally {
            turns: count("turns")?,
            failed: count("failed")?,
            unreported: count("unreported")?,
            input: count("input")?,
            cached_input: count("cached_input")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
            pictures: count("pictures")?,
        },
    })
}
