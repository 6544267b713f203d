//! Conversations.

use super::Store;
use super::support::{at, conversation, conversation_id, item, items, principal, stranger};
use crate::{Conversations, NewConversation, StoreError, StoredConversation};

/// From its creation to its end.
pub async fn a_conversation_keeps_its_items_in_order(store: impl Store) {
    let (alice, c) = (principal(), conversation_id("c"));
    Conversations::create(&store, conversation("c")).await.expect("stored");
    let again = NewConversation { principal: stranger(), ..conversation("c") };
    let refused = Conversations::create(&store, again).await;
    assert!(matches!(&refused, Err(StoreError::Taken { id }) if id == "c"), "{refused:?}");

    assert!(store.set_metadata(&alice, &c, r#"{"topic":"tea"}"#.to_owned()).await.expect("stored"));
    let metadata = r#"{"topic":"tea"}"#.to_owned();
    let stored = StoredConversation { id: c.clone(), principal: alice.clone(), created: at(0), metadata };
    assert_eq!(Conversations::get(&store, &alice, &c).await.expect("read"), Some(stored));

    assert!(store.append(&alice, &c, items(["z", "y"])).await.expect("stored"));
    assert!(store.append(&alice, &c, Vec::new()).await.expect("stored"));
    assert!(store.append(&alice, &c, items(["x"])).await.expect("stored"));
    assert!(store.delete_item(&alice, &c, "x").await.expect("deleted"));
    assert!(!store.delete_item(&alice, &c, "x").await.expect("deleted"));
    assert!(store.append(&alice, &c, items(["a", "x"])).await.expect("stored"));
    assert_eq!(store.all_items(&alice, &c).await.expect("read"), Some(items(["z", "y", "a", "x"])));
    assert_eq!(store.item(&alice, &c, "y").await.expect("read"), Some(item("y")));
    assert_eq!(store.item(&alice, &c, "b").await.expect("read"), None);

    assert!(Conversations::delete(&store, &alice, &c).await.expect("deleted"));
    assert!(!Conversations::delete(&store, &alice, &c).await.expect("deleted"));
    assert_eq!(Conversations::get(&store, &alice, &c).await.expect("read"), None);
    assert_eq!(store.all_items(&alice, &c).await.expect("read"), None);
    assert!(!store.append(&alice, &c, items(["z"])).await.expect("answered"));
    assert_eq!(Conversations::stored_bytes(&store).await.expect("read"), 0);
}

/// An item could not be found by its id if there were two.
pub async fn an_item_id_is_in_a_conversation_once(store: impl Store) {
    let (alice, c) = (principal(), conversation_id("c"));
    Conversations::create(&store, conversation("c")).await.expect("stored");
    Conversations::create(&store, conversation("d")).await.expect("stored");
    assert!(store.append(&alice, &c, items(["a"])).await.expect("stored"));
    for (added, twice) in [(items(["b", "a"]), "a"), (items(["b", "c", "b"]), "b")] {
        let refused = store.append(&alice, &c, added).await;
        assert!(matches!(&refused, Err(StoreError::Taken { id }) if id == twice), "{refused:?}");
    }
    assert!(store.append(&alice, &conversation_id("d"), items(["a"])).await.expect("stored"));
    assert!(store.append(&alice, &c, items(["b"])).await.expect("stored"));
    assert_eq!(store.all_items(&alice, &c).await.expect("read"), Some(items(["a", "b"])));
}
