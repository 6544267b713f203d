//! A full disk, which SQLite can pretend: reading goes on, nothing is half written, and making room helps.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use camino_tempfile::{Builder, Utf8TempDir};
use portcullis_store::contract::support::{finished, id, new, principal};
use portcullis_store::{NewResponse, Responses, Status, StoreError};

use crate::SqlStore;

#[tokio::test]
async fn a_full_disk_is_an_error_that_ends_when_there_is_room() {
    let (store, _dir) = open().await;
    let large = "x".repeat(200_000);
    let limit = async |pages: &'static str| {
        sqlx::query(pages).fetch_all(&store.writer).await.expect("set");
    };
    limit("PRAGMA max_page_count = 400").await;

    let mut stored = 0;
    let error = loop {
        match Responses::create(&store, finished(&format!("r{stored}"), stored, &large)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(stored >= 3, "{stored}");
    let size = Responses::stored_bytes(&store).await.expect("read");
    assert_eq!(size, u64::try_from(stored).expect("positive") * 200_000);
    let first = Responses::get(&store, &principal(), &id("r0")).await.expect("read");
    assert!(first.is_some());

    // A thrown away connection would forget the limit, so it is set again.
    limit("PRAGMA max_page_count = 400").await;
    for _ in 0..3 {
        let again = Responses::create(&store, finished("again", 99, &large)).await;
        assert!(matches!(again, Err(StoreError::Full)), "{again:?}");
        limit("PRAGMA max_page_count = 400").await;
    }
    assert!(store.shrink(500_000).await.expect("shrunk") > 0);
    let response = NewResponse { body: large.clone(), ..new("again") };
    Responses::create(&store, response).await.expect("there is room");
    assert!(store.update_body(&id("again"), Status::Failed, "{}".to_owned()).await.expect("updated"));
    store.close().await;
}

/// SQLite undoes a transaction by itself when writing fails at a bad moment; a `ROLLBACK` that sqlx does not know of
/// looks the same to it.
#[tokio::test]
async fn a_transaction_that_sqlite_undid_by_itself_does_not_block_the_writer() {
    let (store, _dir) = open().await;
    let mut transaction = store.begin().await.expect("begun");
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.expect("undone");
    drop(transaction);
    Responses::create(&store, new("a")).await.expect("stored");
    let mut transaction = store.begin().await.expect("begun");
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.expect("undone");
    transaction.commit().await.expect_err("nothing to commit");
    Responses::create(&store, new("b")).await.expect("stored");
}

async fn open() -> (SqlStore, Utf8TempDir) {
    let dir =
        Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db")).parse().expect("a URL");
    (SqlStore::open(&url).await.expect("opened"), dir)
}
