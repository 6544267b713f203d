//! What keeps a store in order over time, and under load.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Store;
use super::support::{at, conversation, conversation_id, finished, id, item, items, new, principal};
use crate::{Conversations, NewResponse, Responses, Status, StoredEvent, StoredResponse};

async fn there(store: &impl Store, names: &[&str]) -> Vec<String> {
    let mut there = Vec::new();
    for name in names {
        if Responses::get(store, &principal(), &id(name)).await.expect("read").is_some() {
            there.push((*name).to_owned());
        }
    }
    there
}

/// After a restart nothing pretends to be running.
pub async fn unfinished_responses_fail(store: impl Store) {
    let queued = NewResponse { status: Status::Queued, input_items: items(["in"]), ..new("queued") };
    for response in [queued, new("running"), finished("done", 3, "kept")] {
        Responses::create(&store, response).await.expect("stored");
    }
    let body = |response: &StoredResponse| format!("{} was {}", response.id, response.status);
    let failed = store.fail_unfinished(at(7), &body).await.expect("failed");
    assert_eq!(failed, [id("queued"), id("running")]);
    assert_eq!(store.fail_unfinished(at(8), &body).await.expect("failed"), []);

    let queued = Responses::get(&store, &principal(), &id("queued")).await.expect("read").expect("there");
    assert_eq!((queued.body.as_str(), queued.status), ("queued was queued", Status::Failed));
    assert_eq!(queued.finished, Some(at(7)));
    let done = Responses::get(&store, &principal(), &id("done")).await.expect("read").expect("there");
    assert_eq!((done.body.as_str(), done.status), ("kept", Status::Completed));
    assert_eq!(store.history(&principal(), &id("queued")).await.expect("read"), Some(items(["in"])));
}

/// Age counts from the end, and what runs does not age.
pub async fn old_responses_expire(store: impl Store) {
    for response in [finished("old", 1, "{}"), finished("edge", 10, "{}"), new("running"), new("late")] {
        Responses::create(&store, response).await.expect("stored");
    }
    let late = store.finish(&id("late"), Status::Completed, "{}".to_owned(), Vec::new(), at(20)).await;
    assert!(late.expect("finished"));
    assert_eq!(store.expire(at(10)).await.expect("expired"), 1);
    assert_eq!(there(&store, &["old", "edge", "running", "late"]).await, ["edge", "running", "late"]);
    assert_eq!(store.expire(at(10)).await.expect("expired"), 0);
    assert_eq!(store.expire(at(100)).await.expect("expired"), 2);
}

/// No more is removed than must be.
pub async fn shrinking_removes_the_oldest_finished(store: impl Store) {
    let body = "x".repeat(1_000);
    // The oldest is stored last, and two have the same age.
    for (name, second) in [("c", 3), ("b", 2), ("b2", 2), ("a", 1)] {
        Responses::create(&store, finished(name, second, &body)).await.expect("stored");
    }
    Responses::create(&store, NewResponse { body, ..new("running") }).await.expect("stored");
    let names = ["a", "b", "b2", "c", "running"];
    assert_eq!(store.shrink(5_000).await.expect("shrunk"), 0);
    assert_eq!(store.shrink(4_999).await.expect("shrunk"), 1);
    assert_eq!(there(&store, &names).await, ["b", "b2", "c", "running"]);
    assert_eq!(store.shrink(3_500).await.expect("shrunk"), 1);
    assert_eq!(there(&store, &names).await, ["b2", "c", "running"]);
    assert_eq!(store.shrink(0).await.expect("shrunk"), 2);
    assert_eq!(there(&store, &names).await, ["running"]);
    assert_eq!(Responses::stored_bytes(&store).await.expect("read"), 1_000);
}

/// The size is the sum of the texts, whatever happened to them.
pub async fn sizes_follow_every_change(store: impl Store) {
    let size = async || Responses::stored_bytes(&store).await.expect("read");
    let conversations = async || Conversations::stored_bytes(&store).await.expect("read");
    let bytes = item("i1").json.len() as u64;
    assert_eq!((size().await, conversations().await), (0, 0));

    // Bytes, not characters.
    let response = NewResponse { body: "ü".to_owned(), input_items: items(["i1", "i2"]), ..new("a") };
    Responses::create(&store, response).await.expect("stored");
    assert_eq!(size().await, 2 + 2 * bytes);
    let event = |sequence| StoredEvent { sequence, json: "1234€".to_owned() };
    store.append_events(&id("a"), &[event(1), event(2)]).await.expect("stored");
    store.append_events(&id("a"), &[event(2), event(3), event(3)]).await.expect("stored");
    assert_eq!(size().await, 2 + 2 * bytes + 21);
    store.update_body(&id("a"), Status::InProgress, "123456".to_owned()).await.expect("stored");
    assert_eq!(size().await, 6 + 2 * bytes + 21);
    for output in [items(["o1", "o2"]), items(["o3"])] {
        store.finish(&id("a"), Status::Completed, "1".to_owned(), output, at(1)).await.expect("stored");
    }
    assert_eq!(size().await, 1 + 3 * bytes + 21);
    Responses::create(&store, new("b")).await.expect("stored");
    store.fail_unfinished(at(2), &|_| "failed".to_owned()).await.expect("failed");
    assert_eq!(size().await, 1 + 3 * bytes + 21 + 6);
    Responses::delete(&store, &principal(), &id("a")).await.expect("deleted");
    assert_eq!(size().await, 6);

    let c = conversation_id("c");
    Conversations::create(&store, conversation("c")).await.expect("stored");
    store.append(&principal(), &c, items(["i1", "i2"])).await.expect("stored");
    store.append(&principal(), &c, items(["i2"])).await.expect_err("taken");
    store.set_metadata(&principal(), &c, "€".to_owned()).await.expect("stored");
    store.delete_item(&principal(), &c, "i1").await.expect("deleted");
    assert_eq!((size().await, conversations().await), (6, 3 + bytes));
}

/// Many write at once, to the same and to different things, while others read.
pub async fn concurrent_writers_lose_nothing(store: impl Store) {
    const WRITERS: u64 = 8;
    const BATCHES: u64 = 10;
    let store = Arc::new(store);
    Responses::create(&*store, new("shared")).await.expect("stored");
    Conversations::create(&*store, conversation("c")).await.expect("stored");
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let own = id(&format!("own{writer}"));
            Responses::create(&*store, new(own.as_str())).await.expect("stored");
            for batch in 0..BATCHES {
                let first = writer * BATCHES * 10 + batch * 10;
                let event = |sequence| StoredEvent { sequence, json: sequence.to_string() };
                let events: Vec<StoredEvent> = (first..first + 10).map(event).collect();
                assert!(store.append_events(&id("shared"), &events).await.expect("stored"));
                assert!(store.append_events(&own, &events).await.expect("stored"));
                let added = vec![item(&format!("{writer}-{batch}-1")), item(&format!("{writer}-{batch}-2"))];
                assert!(store.append(&principal(), &conversation_id("c"), added).await.expect("stored"));
                store.events(&principal(), &id("shared"), None, 1_000).await.expect("read").expect("there");
            }
            let finished =
                store.finish(&own, Status::Completed, "{}".to_owned(), items(["out"]), at(1)).await;
            assert!(finished.expect("finished"));
        });
    }
    tasks.join_all().await;

    let shared = store.events(&principal(), &id("shared"), None, 10_000).await.expect("read").expect("there");
    let sequences: Vec<u64> = shared.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (0..WRITERS * BATCHES * 10).collect::<Vec<_>>());
    let added = store.all_items(&principal(), &conversation_id("c")).await.expect("read").expect("there");
    assert_eq!(added.len() as u64, WRITERS * BATCHES * 2);
    // What was added together stays together.
    for pair in added.chunks(2) {
        assert_eq!(pair[0].id.strip_suffix("-1"), pair[1].id.strip_suffix("-2"));
    }
    for writer in 0..WRITERS {
        let own = id(&format!("own{writer}"));
        let events = store.events(&principal(), &own, None, 10_000).await.expect("read").expect("there");
        assert_eq!(events.len() as u64, BATCHES * 10);
        let read = Responses::get(&*store, &principal(), &own).await.expect("read").expect("there");
        assert_eq!(read.status, Status::Completed);
    }
}
