//! A database that an earlier version wrote is read by this one.
//!
//! `fixtures/1.sqlite` was written when migration 1 was the last. A new migration brings a fixture of its own; the
//! old ones stay as they are.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use portcullis_store::contract::support::{
    at, conversation, conversation_id, id, item, items, new, principal,
};
use portcullis_store::{Conversations, NewResponse, Responses, Status, StoredEvent, StoredResponse};
use portcullis_store_sql::SqlStore;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

#[tokio::test]
async fn the_database_of_migration_1_still_opens() {
    let dir = support::private_dir();
    let path = dir.path().join("store.db");
    fs::copy(Utf8Path::new(FIXTURES).join("1.sqlite"), &path).expect("copied");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permitted");
    let store = SqlStore::open(&support::sqlite_url(&dir)).await.expect("opened");

    let second = StoredResponse {
        id: id("resp_2"),
        principal: principal(),
        created: at(10),
        finished: Some(at(12)),
        background: false,
        previous: Some(id("resp_1")),
        conversation: Some(conversation_id("conv_1")),
        body: r#"{"id":"resp_2","text":"naïve 🦀"}"#.to_owned(),
        status: Status::Completed,
    };
    assert_eq!(Responses::get(&store, &principal(), &id("resp_2")).await.expect("read"), Some(second));
    let history = store.history(&principal(), &id("resp_2")).await.expect("read");
    assert_eq!(history, Some(items(["msg_1", "msg_2", "msg_3", "msg_4"])));
    let events = store.events(&principal(), &id("resp_3"), Some(0), 10).await.expect("read");
    assert_eq!(events, Some(vec![StoredEvent { sequence: 1, json: r#"{"n":1}"#.to_owned() }]));
    let kept = store.all_items(&principal(), &conversation_id("conv_1")).await.expect("read");
    assert_eq!(kept, Some(items(["msg_3", "msg_4"])));
    assert_eq!(Responses::stored_bytes(&store).await.expect("read"), 123);

    // And it goes on from there.
    let failed = store.fail_unfinished(at(99), &|_| "{}".to_owned()).await.expect("failed");
    assert_eq!(failed, [id("resp_3")]);
    assert!(store.append(&principal(), &conversation_id("conv_1"), items(["msg_5"])).await.expect("stored"));
    store.close().await;
}

/// Made `fixtures/1.sqlite`. Once a second migration exists, this would make another fixture.
#[tokio::test]
#[ignore = "writes a fixture into the temporary directory"]
async fn write_the_fixture() {
    let (store, dir) = support::sqlite().await.expect("SQLite is always there");
    Responses::create(&store, NewResponse { input_items: vec![item("msg_1")], ..new("resp_1") })
        .await
        .expect("stored");
    store
        .finish(&id("resp_1"), Status::Completed, r#"{"id":"resp_1"}"#.to_owned(), vec![item("msg_2")], at(2))
        .await
        .expect("stored");
    let second = NewResponse {
        created: at(10),
        previous: Some(id("resp_1")),
        conversation: Some(conversation_id("conv_1")),
        input_items: vec![item("msg_3")],
        ..new("resp_2")
    };
    Responses::create(&store, second).await.expect("stored");
    let body = r#"{"id":"resp_2","text":"naïve 🦀"}"#.to_owned();
    store.finish(&id("resp_2"), Status::Completed, body, vec![item("msg_4")], at(12)).await.expect("stored");
    let third = NewResponse { background: true, status: Status::Queued, created: at(20), ..new("resp_3") };
    Responses::create(&store, third).await.expect("stored");
    let event = |sequence| StoredEvent { sequence, json: format!(r#"{{"n":{sequence}}}"#) };
    store.append_events(&id("resp_3"), &[event(0), event(1)]).await.expect("stored");
    Conversations::create(&store, conversation("conv_1")).await.expect("stored");
    store.append(&principal(), &conversation_id("conv_1"), items(["msg_3", "msg_4"])).await.expect("stored");
    store.close().await;
    let kept = dir.keep();
    println!("{}", kept.join("store.db"));
}
