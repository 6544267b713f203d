//! Closing, opening again, and what is refused.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use portcullis_store::contract::support::{at, conversation, conversation_id, id, items, new, principal};
use portcullis_store::{Conversations, NewResponse, Responses, Status, StoreError, StoredEvent};
use portcullis_store_sql::{DatabaseUrl, OpenError, SqlStore};

fn mode(path: &Utf8Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Utf8Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permitted");
}

async fn survives(url: &DatabaseUrl) {
    let store = SqlStore::open(url).await.expect("opened");
    let response = NewResponse { input_items: items(["in"]), background: true, ..new("a") };
    Responses::create(&store, response).await.expect("stored");
    let event = StoredEvent { sequence: 0, json: "{}".to_owned() };
    store.append_events(&id("a"), std::slice::from_ref(&event)).await.expect("stored");
    Responses::create(&store, NewResponse { previous: Some(id("a")), ..new("b") }).await.expect("stored");
    store
        .finish(&id("b"), Status::Completed, "done".to_owned(), items(["out"]), at(5))
        .await
        .expect("stored");
    Conversations::create(&store, conversation("c")).await.expect("stored");
    store.append(&principal(), &conversation_id("c"), items(["x", "y"])).await.expect("stored");
    let before = [
        Responses::get(&store, &principal(), &id("a")).await.expect("read"),
        Responses::get(&store, &principal(), &id("b")).await.expect("read"),
    ];
    let size = Responses::stored_bytes(&store).await.expect("read");
    store.close().await;
    let closed = Responses::get(&store, &principal(), &id("a")).await;
    assert!(matches!(closed, Err(StoreError::Unavailable { .. })), "{closed:?}");

    let store = SqlStore::open(url).await.expect("opened again");
    let after = [
        Responses::get(&store, &principal(), &id("a")).await.expect("read"),
        Responses::get(&store, &principal(), &id("b")).await.expect("read"),
    ];
    assert_eq!(after, before);
    assert_eq!(Responses::stored_bytes(&store).await.expect("read"), size);
    assert_eq!(store.events(&principal(), &id("a"), None, 9).await.expect("read"), Some(vec![event]));
    assert_eq!(store.history(&principal(), &id("b")).await.expect("read"), Some(items(["in", "out"])));
    let kept = store.all_items(&principal(), &conversation_id("c")).await.expect("read");
    assert_eq!(kept, Some(items(["x", "y"])));

    let failed = store.fail_unfinished(at(9), &|response| format!("{} failed", response.id)).await;
    assert_eq!(failed.expect("failed"), [id("a")]);
    let a = Responses::get(&store, &principal(), &id("a")).await.expect("read").expect("there");
    assert_eq!((a.body.as_str(), a.status, a.finished), ("a failed", Status::Failed, Some(at(9))));
    store.close().await;
}

#[tokio::test]
async fn sqlite_survives_a_restart() {
    let dir = support::private_dir();
    survives(&support::sqlite_url(&dir)).await;
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "the log was written back: {left:?}");
}

#[tokio::test]
async fn postgres_survives_a_restart() {
    if let Some(url) = support::postgres_url().await {
        survives(&url).await;
    }
}

#[tokio::test]
async fn two_gateways_may_migrate_at_once() {
    if let Some(url) = support::postgres_url().await {
        let (one, other) = tokio::join!(SqlStore::open(&url), SqlStore::open(&url));
        one.expect("opened").close().await;
        other.expect("opened").close().await;
    }
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let (store, dir) = support::sqlite().await.expect("SQLite is always there");
    Responses::create(&store, new("a")).await.expect("stored");
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
    store.close().await;

    let url = support::sqlite_url(&dir);
    set_mode(&dir.path().join("store.db"), 0o640);
    let file = SqlStore::open(&url).await.expect_err("the file is open to others");
    assert!(matches!(&file, OpenError::Exposed { mode: 0o640, .. }), "{file:?}");
    set_mode(&dir.path().join("store.db"), 0o600);
    set_mode(dir.path(), 0o755);
    let directory = SqlStore::open(&url).await.expect_err("the directory is open to others");
    assert!(matches!(&directory, OpenError::Exposed { mode: 0o755, .. }), "{directory:?}");
    set_mode(dir.path(), 0o700);
    SqlStore::open(&url).await.expect("opened").close().await;
}

#[tokio::test]
async fn what_is_no_database_is_not_opened_and_not_changed() {
    let dir = support::private_dir();
    let path = dir.path().join("store.db");
    fs::write(&path, "this is no database, and long enough to look at\n".repeat(100)).expect("written");
    set_mode(&path, 0o600);
    let error = SqlStore::open(&support::sqlite_url(&dir)).await.expect_err("no database");
    let OpenError::Connect(sqlx::Error::Database(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.message(), "file is not a database");
    assert!(fs::read_to_string(&path).expect("readable").starts_with("this is no database"));

    let nowhere: DatabaseUrl = format!("sqlite:{}", dir.path().join("no/store.db")).parse().expect("a URL");
    assert!(matches!(SqlStore::open(&nowhere).await, Err(OpenError::File { .. })));
}

#[tokio::test]
async fn a_strange_path_is_just_a_path() {
    let dir = support::private_dir();
    let path = dir.path().join("a b?mode=memory#é%20.db");
    let url: DatabaseUrl = format!("sqlite:{path}").parse().expect("a URL");
    SqlStore::open(&url).await.expect("opened").close().await;
    assert!(fs::metadata(&path).expect("it is there").len() > 0);
}
