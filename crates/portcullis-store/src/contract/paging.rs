//! Pages of items.

use super::Store;
use super::support::{conversation, conversation_id, id, items, names, new, page, principal};
use crate::{ConversationId, Conversations, NewResponse, Order, Responses, StoreError};

/// What a page of the items a, b, c, d, e must be.
const TABLE: [(Option<&str>, u32, Order, &str, bool); 10] = [
    (None, 10, Order::Ascending, "abcde", false),
    (None, 5, Order::Ascending, "abcde", false),
    (None, 2, Order::Ascending, "ab", true),
    (Some("b"), 2, Order::Ascending, "cd", true),
    (Some("d"), 2, Order::Ascending, "e", false),
    (Some("e"), 2, Order::Ascending, "", false),
    (None, 2, Order::Descending, "ed", true),
    (Some("d"), 3, Order::Descending, "cba", false),
    (Some("a"), 3, Order::Descending, "", false),
    (None, 0, Order::Descending, "", true),
];

fn expected(letters: &str, has_more: bool) -> (Vec<String>, bool) {
    (letters.chars().map(String::from).collect(), has_more)
}

/// Input items page by page, from both ends.
pub async fn input_items_page_in_both_orders(store: impl Store) {
    let input_items = items(["a", "b", "c", "d", "e"]);
    Responses::create(&store, NewResponse { input_items, ..new("r") }).await.expect("stored");
    Responses::create(&store, NewResponse { input_items: items(["z"]), ..new("s") }).await.expect("stored");
    for (after, limit, order, letters, has_more) in TABLE {
        let read = store.input_items(&principal(), &id("r"), page(after, limit, order)).await.expect("read");
        assert_eq!(names(read), expected(letters, has_more), "{after:?} {limit} {order:?}");
    }
}

/// Items of a conversation page by page, from both ends, with a gap where one was deleted.
pub async fn conversation_items_page_in_both_orders(store: impl Store) {
    Conversations::create(&store, conversation("c")).await.expect("stored");
    let c: ConversationId = conversation_id("c");
    assert!(store.append(&principal(), &c, items(["a", "b"])).await.expect("stored"));
    assert!(store.append(&principal(), &c, items(["gap", "c", "d", "e"])).await.expect("stored"));
    assert!(store.delete_item(&principal(), &c, "gap").await.expect("deleted"));
    for (after, limit, order, letters, has_more) in TABLE {
        let read = store.items(&principal(), &c, page(after, limit, order)).await.expect("read");
        assert_eq!(names(read), expected(letters, has_more), "{after:?} {limit} {order:?}");
    }
}

/// A cursor that names nothing, or something in another list.
pub async fn an_unknown_cursor_is_an_error(store: impl Store) {
    Responses::create(&store, NewResponse { input_items: items(["a"]), ..new("r") }).await.expect("stored");
    Conversations::create(&store, conversation("c")).await.expect("stored");
    assert!(store.append(&principal(), &conversation_id("c"), items(["b"])).await.expect("stored"));
    for (response, conversation) in [("b", "a"), ("", ""), ("x\0", "x\0")] {
        let read = store.input_items(&principal(), &id("r"), page(Some(response), 5, Order::Ascending)).await;
        assert!(matches!(read, Err(StoreError::UnknownCursor)), "{read:?}");
        let page = page(Some(conversation), 5, Order::Descending);
        let read = store.items(&principal(), &conversation_id("c"), page).await;
        assert!(matches!(read, Err(StoreError::UnknownCursor)), "{read:?}");
    }
}
