//! The schema and how it came about: forward only, embedded.
//!
//! A migration that was released never changes (sqlx compares checksums). A new one only adds, so that the binary
//! before it still runs on the new schema: a migration that this binary does not know is not an error.

use sqlx::AnyPool;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[error("the schema of the database could not be brought up to date")]
pub struct MigrationError(#[from] sqlx::migrate::MigrateError);

/// The SQL of one step: number, name, SQLite's and PostgreSQL's.
type Step = (i64, &'static str, &'static str, &'static str);

const STEPS: [Step; 3] = [
    (
        1,
        "responses and conversations",
        include_str!("../migrations/sqlite/0001_responses_and_conversations.sql"),
        include_str!("../migrations/postgres/0001_responses_and_conversations.sql"),
    ),
    (
        2,
        "items by id",
        include_str!("../migrations/sqlite/0002_items_by_id.sql"),
        include_str!("../migrations/postgres/0002_items_by_id.sql"),
    ),
    (
        3,
        "ledger",
        include_str!("../migrations/sqlite/0003_ledger.sql"),
        include_str!("../migrations/postgres/0003_ledger.sql"),
    ),
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Brings the schema up to date. With PostgreSQL a lock keeps two gateways from doing it at once.
pub(crate) async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), MigrationError> {
    let step = |(number, name, sqlite, postgres): Step| {
        let sql = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(STEPS.map(step).to_vec());
    migrator.set_ignore_missing(true);
    Ok(migrator.run(pool).await?)
}
