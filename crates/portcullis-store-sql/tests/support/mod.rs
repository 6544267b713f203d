//! Empty databases.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use camino_tempfile::{Builder, Utf8TempDir};
use portcullis_store_sql::{DatabaseUrl, SqlStore};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// A store in a directory of its own, which is removed in the end.
pub(crate) async fn sqlite() -> Option<(SqlStore, Utf8TempDir)> {
    let dir = private_dir();
    let store = SqlStore::open(&sqlite_url(&dir)).await.expect("opened");
    Some((store, dir))
}

/// A directory that only its owner can enter.
pub(crate) fn private_dir() -> Utf8TempDir {
    Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().expect("a temporary directory")
}

/// Where that store is.
pub(crate) fn sqlite_url(dir: &Utf8TempDir) -> DatabaseUrl {
    format!("sqlite:{}", dir.path().join("store.db")).parse().expect("a URL")
}

/// A store in a schema of its own, if there is a PostgreSQL to test with. The schema stays.
#[allow(clippy::allow_attributes, dead_code, reason = "not every test file needs it")]
pub(crate) async fn postgres() -> Option<(SqlStore, ())> {
    let store = SqlStore::open(&postgres_url().await?).await.expect("opened");
    Some((store, ()))
}

/// The URL of an empty schema in the database that `PORTCULLIS_TEST_POSTGRES` names.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration but the environment")]
#[expect(clippy::print_stdout, reason = "nobody should take a skipped test for a passed one")]
pub(crate) async fn postgres_url() -> Option<DatabaseUrl> {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let Ok(url) = std::env::var("PORTCULLIS_TEST_POSTGRES") else {
        println!("skipped: PORTCULLIS_TEST_POSTGRES is not set");
        return None;
    };
    let schema = format!("portcullis_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL answers");
    let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(fresh))).await.expect("a schema");
    connection.close().await.expect("closed");
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options[search_path]={schema}").parse().expect("a URL"))
}
