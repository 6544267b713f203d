//! Responses, their events and their chains.

use super::Store;
use super::support::{at, conversation_id, id, item, items, new, principal, stranger};
use crate::{
    Conversations, MAX_CHAIN, NewResponse, Responses, Status, StoreError, StoredEvent, StoredItem,
    StoredResponse,
};

fn events(sequences: impl IntoIterator<Item = u64>) -> Vec<StoredEvent> {
    let event = |sequence| StoredEvent { sequence, json: format!(r#"{{"sequence_number":{sequence}}}"#) };
    sequences.into_iter().map(event).collect()
}

/// Nothing of a response changes on its way through the store.
pub async fn a_response_is_read_back_as_it_was_stored(store: impl Store) {
    let asked = NewResponse {
        background: true,
        previous: Some(id("resp_0")),
        conversation: Some(conversation_id("conv_1")),
        body: r#"{"id":"resp_1"}"#.to_owned(),
        status: Status::Queued,
        ..new("resp_1")
    };
    Responses::create(&store, asked).await.expect("stored");
    let stored = StoredResponse {
        id: id("resp_1"),
        principal: principal(),
        created: at(0),
        finished: None,
        background: true,
        previous: Some(id("resp_0")),
        conversation: Some(conversation_id("conv_1")),
        body: r#"{"id":"resp_1"}"#.to_owned(),
        status: Status::Queued,
    };
    assert_eq!(Responses::get(&store, &principal(), &id("resp_1")).await.expect("read"), Some(stored));
    assert_eq!(Responses::get(&store, &principal(), &id("resp_2")).await.expect("read"), None);
}

/// A second response cannot take the place of the first.
pub async fn an_id_is_given_out_once(store: impl Store) {
    Responses::create(&store, new("a")).await.expect("stored");
    let again = NewResponse { principal: stranger(), body: "other".to_owned(), ..new("a") };
    let refused = Responses::create(&store, again).await;
    assert!(matches!(&refused, Err(StoreError::Taken { id }) if id == "a"), "{refused:?}");
    let kept = Responses::get(&store, &principal(), &id("a")).await.expect("read").expect("there");
    assert_eq!(kept.body, "{}");
}

/// The end of a response, also when it is told twice.
pub async fn finishing_replaces_body_and_output(store: impl Store) {
    Responses::create(&store, NewResponse { input_items: items(["in"]), ..new("a") }).await.expect("stored");
    assert!(store.update_body(&id("a"), Status::InProgress, "half".to_owned()).await.expect("updated"));
    let half = Responses::get(&store, &principal(), &id("a")).await.expect("read").expect("there");
    assert_eq!((half.body.as_str(), half.finished), ("half", None));
    for output in [items(["first", "second"]), items(["out"])] {
        let finished = store.finish(&id("a"), Status::Completed, "whole".to_owned(), output, at(9)).await;
        assert!(finished.expect("finished"));
    }
    let whole = Responses::get(&store, &principal(), &id("a")).await.expect("read").expect("there");
    assert_eq!((whole.body.as_str(), whole.status), ("whole", Status::Completed));
    assert_eq!(whole.finished, Some(at(9)));
    assert_eq!(store.history(&principal(), &id("a")).await.expect("read"), Some(items(["in", "out"])));

    assert!(store.update_body(&id("a"), Status::Cancelled, "cut".to_owned()).await.expect("updated"));
    let cut = Responses::get(&store, &principal(), &id("a")).await.expect("read").expect("there");
    assert_eq!((cut.status, cut.finished), (Status::Cancelled, Some(at(9))));
}

/// A batch may be repeated, and a reader continues where it stopped.
pub async fn events_are_idempotent_and_resume_behind_a_number(store: impl Store) {
    Responses::create(&store, new("a")).await.expect("stored");
    assert!(store.append_events(&id("a"), &events(0..150)).await.expect("stored"));
    let size = Responses::stored_bytes(&store).await.expect("read");
    let mut changed = events(101..150);
    changed.push(StoredEvent { sequence: 100, json: "another".to_owned() });
    assert!(store.append_events(&id("a"), &changed).await.expect("stored"));
    assert_eq!(Responses::stored_bytes(&store).await.expect("read"), size);
    // Out of order, twice in one batch, and partly there already.
    assert!(store.append_events(&id("a"), &events([152, 151, 151, 149])).await.expect("stored"));
    assert!(store.append_events(&id("a"), &[]).await.expect("stored"));

    let (alice, a) = (principal(), id("a"));
    let read = |after, limit| store.events(&alice, &a, after, limit);
    let all: Vec<StoredEvent> = events((0..150).chain(151..153));
    assert_eq!(read(None, 1_000).await.expect("read"), Some(all));
    assert_eq!(read(Some(0), 2).await.expect("read"), Some(events([1, 2])));
    assert_eq!(read(Some(149), 10).await.expect("read"), Some(events([151, 152])));
    assert_eq!(read(Some(u64::MAX), 10).await.expect("read"), Some(Vec::new()));
    assert_eq!(read(None, 0).await.expect("read"), Some(Vec::new()));
}

/// A chain of three, each with input and output.
pub async fn a_chain_is_read_oldest_first(store: impl Store) {
    let mut previous = None;
    let mut expected = Vec::new();
    for name in ["a", "b", "c"] {
        let (asked, said) = ([item(&format!("{name}1")), item("same")], [item(&format!("{name}2"))]);
        let response = NewResponse { previous, input_items: asked.to_vec(), ..new(name) };
        Responses::create(&store, response).await.expect("stored");
        let finished =
            store.finish(&id(name), Status::Completed, "{}".to_owned(), said.to_vec(), at(1)).await;
        assert!(finished.expect("finished"));
        previous = Some(id(name));
        expected.extend(asked.into_iter().chain(said));
    }
    assert_eq!(store.history(&principal(), &id("c")).await.expect("read"), Some(expected.clone()));
    assert_eq!(store.history(&principal(), &id("b")).await.expect("read"), Some(expected[..6].to_vec()));
    assert_eq!(store.history(&principal(), &id("d")).await.expect("read"), None);

    Responses::create(&store, NewResponse { previous, ..new("empty") }).await.expect("stored");
    assert_eq!(store.history(&principal(), &id("empty")).await.expect("read"), Some(expected));
}

/// By its id alone, the newest first, and never somebody else's.
pub async fn an_item_is_found_by_its_id(store: impl Store) {
    for (name, text) in [("a", "1"), ("b", "2")] {
        let told = StoredItem { id: "same".to_owned(), json: text.to_owned() };
        let response = NewResponse { input_items: vec![item(name), told], ..new(name) };
        Responses::create(&store, response).await.expect("stored");
    }
    let said = vec![item("said")];
    assert!(store.finish(&id("a"), Status::Completed, "{}".to_owned(), said, at(1)).await.expect("finished"));
    let found = async |name: &str| store.item_by_id(&principal(), name).await.expect("read").map(|i| i.json);
    assert_eq!(found("same").await.as_deref(), Some("2"));
    assert_eq!(found("said").await, Some(item("said").json));
    assert_eq!(found("nowhere").await, None);
    assert_eq!(store.item_by_id(&stranger(), "same").await.expect("read"), None);
}

/// A link that is deleted, somebody else's, or the response itself.
pub async fn a_broken_or_endless_chain_is_an_error(store: impl Store) {
    let chain = [("a", None), ("b", Some("a")), ("c", Some("b")), ("loop", Some("loop"))];
    for (name, previous) in chain {
        let input_items = items([name]);
        Responses::create(&store, NewResponse { previous: previous.map(id), input_items, ..new(name) })
            .await
            .expect("stored");
    }
    assert!(Responses::delete(&store, &principal(), &id("a")).await.expect("deleted"));
    let broken = store.history(&principal(), &id("c")).await;
    assert!(matches!(&broken, Err(StoreError::BrokenChain { id }) if id.as_str() == "a"), "{broken:?}");
    assert!(Responses::get(&store, &principal(), &id("c")).await.expect("read").is_some());

    let theirs = NewResponse { principal: stranger(), previous: Some(id("c")), ..new("theirs") };
    Responses::create(&store, theirs).await.expect("stored");
    let broken = store.history(&stranger(), &id("theirs")).await;
    assert!(matches!(&broken, Err(StoreError::BrokenChain { id }) if id.as_str() == "c"), "{broken:?}");

    let endless = store.history(&principal(), &id("loop")).await;
    assert!(matches!(endless, Err(StoreError::TooLong)), "{endless:?}");

    let mut previous = None;
    for n in 0..=MAX_CHAIN {
        let name = format!("long{n}");
        Responses::create(&store, NewResponse { previous, ..new(&name) }).await.expect("stored");
        previous = Some(id(&name));
    }
    let longest = id(&format!("long{}", MAX_CHAIN - 1));
    assert_eq!(store.history(&principal(), &longest).await.expect("read"), Some(Vec::new()));
    let too_long = store.history(&principal(), &id(&format!("long{MAX_CHAIN}"))).await;
    assert!(matches!(too_long, Err(StoreError::TooLong)), "{too_long:?}");
}

/// Whoever runs a response learns that its owner deleted it.
pub async fn what_is_gone_takes_no_writes(store: impl Store) {
    Responses::create(&store, NewResponse { input_items: items(["in"]), ..new("a") }).await.expect("stored");
    assert!(store.append_events(&id("a"), &events(0..3)).await.expect("stored"));
    assert!(Responses::delete(&store, &principal(), &id("a")).await.expect("deleted"));
    assert!(!Responses::delete(&store, &principal(), &id("a")).await.expect("deleted"));
    assert!(!store.append_events(&id("a"), &events(3..5)).await.expect("answered"));
    assert!(!store.append_events(&id("a"), &[]).await.expect("answered"));
    assert!(!store.update_body(&id("a"), Status::Failed, "{}".to_owned()).await.expect("answered"));
    let finished = store.finish(&id("a"), Status::Completed, "{}".to_owned(), items(["out"]), at(1)).await;
    assert!(!finished.expect("answered"));
    assert_eq!(Responses::stored_bytes(&store).await.expect("read"), 0);

    // The id may be used again and finds nothing of what was there.
    Responses::create(&store, new("a")).await.expect("stored");
    assert_eq!(store.history(&principal(), &id("a")).await.expect("read"), Some(Vec::new()));
    assert_eq!(store.events(&principal(), &id("a"), None, 10).await.expect("read"), Some(Vec::new()));
}

/// To a stranger everything is as if it were not there.
pub async fn principals_do_not_see_each_other(store: impl Store) {
    use super::support::{conversation, page};
    use crate::Order;

    let (bob, a, c) = (stranger(), id("a"), conversation_id("c"));
    Responses::create(&store, NewResponse { input_items: items(["in"]), ..new("a") }).await.expect("stored");
    store.append_events(&a, &events(0..3)).await.expect("stored");
    Conversations::create(&store, conversation("c")).await.expect("stored");
    assert!(store.append(&principal(), &c, items(["i"])).await.expect("stored"));
    let first = || page(None, 10, Order::Ascending);
    let unknown = || page(Some("nothing"), 10, Order::Ascending);

    assert_eq!(Responses::get(&store, &bob, &a).await.expect("read"), None);
    assert_eq!(store.events(&bob, &a, None, 10).await.expect("read"), None);
    assert_eq!(store.input_items(&bob, &a, first()).await.expect("read"), None);
    // Not even the error about the cursor says that it is there.
    assert_eq!(store.input_items(&bob, &a, unknown()).await.expect("read"), None);
    assert_eq!(store.history(&bob, &a).await.expect("read"), None);
    assert!(!Responses::delete(&store, &bob, &a).await.expect("answered"));

    assert_eq!(Conversations::get(&store, &bob, &c).await.expect("read"), None);
    assert!(!store.set_metadata(&bob, &c, "theirs".to_owned()).await.expect("answered"));
    assert!(!store.append(&bob, &c, items(["j"])).await.expect("answered"));
    // Nor does the error about an id that is in it already.
    assert!(!store.append(&bob, &c, items(["i"])).await.expect("answered"));
    assert_eq!(store.items(&bob, &c, first()).await.expect("read"), None);
    assert_eq!(store.items(&bob, &c, unknown()).await.expect("read"), None);
    assert_eq!(store.item(&bob, &c, "i").await.expect("read"), None);
    assert_eq!(store.all_items(&bob, &c).await.expect("read"), None);
    assert!(!store.delete_item(&bob, &c, "i").await.expect("answered"));
    assert!(!Conversations::delete(&store, &bob, &c).await.expect("answered"));

    // And nothing of that left a trace.
    assert_eq!(store.history(&principal(), &a).await.expect("read"), Some(items(["in"])));
    assert_eq!(store.all_items(&principal(), &c).await.expect("read"), Some(items(["i"])));
    let kept = Conversations::get(&store, &principal(), &c).await.expect("read").expect("there");
    assert_eq!(kept.metadata, "{}");
}
