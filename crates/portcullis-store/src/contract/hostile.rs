//! Texts that clients send to see what happens.

use portcullis_agent::PrincipalId;

use super::Store;
use super::support::{at, conversation, conversation_id, id, names, new, page, principal};
use crate::{
    Conversations, MAX_ID_BYTES, NewConversation, NewResponse, Order, ResponseId, Responses, Status,
    StoreError, StoredEvent, StoredItem,
};

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "'",
        "\"",
        "'; DROP TABLE responses; --",
        "$1",
        "?1",
        "%",
        "_",
        "a\\b",
        "line\nbreak\r\n",
        "\u{1}\u{7f}",
        "日本語",
        "e\u{301}",
        "é",
        "\u{202e}right\u{feff}",
        "👩\u{200d}👩\u{200d}👧",
        "\u{10ffff}",
        "A",
        "a",
        "a ",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(MAX_ID_BYTES));
    texts.push("€".repeat(MAX_ID_BYTES / 3));
    texts
}

/// Quotes, Unicode, long ids: none is confused with another.
pub async fn hostile_texts_are_kept_exactly(store: impl Store) {
    let all = hostile();
    let items: Vec<StoredItem> =
        all.iter().map(|text| StoredItem { id: text.clone(), json: text.repeat(3) }).collect();
    for text in &all {
        let owner = PrincipalId::new(text.as_str());
        let response = NewResponse {
            principal: owner.clone(),
            conversation: Some(conversation_id(text)),
            input_items: items.clone(),
            body: text.clone(),
            ..new(text)
        };
        Responses::create(&store, response).await.expect("stored");
        let events = [StoredEvent { sequence: 1, json: text.clone() }];
        assert!(store.append_events(&id(text), &events).await.expect("stored"));
        let conversation = NewConversation { principal: owner.clone(), ..conversation(text) };
        Conversations::create(&store, conversation).await.expect("stored");
        assert!(store.append(&owner, &conversation_id(text), items.clone()).await.expect("stored"));
    }
    for text in &all {
        let owner = PrincipalId::new(text.as_str());
        let read = Responses::get(&store, &owner, &id(text)).await.expect("read").expect("there");
        assert_eq!((read.body.as_str(), read.conversation), (text.as_str(), Some(conversation_id(text))));
        assert_eq!(store.history(&owner, &id(text)).await.expect("read").as_ref(), Some(&items));
        let events = store.events(&owner, &id(text), None, 9).await.expect("read").expect("there");
        assert_eq!(events, [StoredEvent { sequence: 1, json: text.clone() }]);
        let read = store.item(&owner, &conversation_id(text), text).await.expect("read").expect("there");
        assert_eq!(read.id, *text);
        let behind = page(Some(text), u32::MAX, Order::Ascending);
        let (behind, _) = names(store.input_items(&owner, &id(text), behind).await.expect("read"));
        let expected: Vec<String> = all.iter().skip_while(|other| *other != text).skip(1).cloned().collect();
        assert_eq!(behind, expected);
    }
    let large = "🦀".repeat(1 << 20);
    assert!(
        store.finish(&id("a"), Status::Completed, large.clone(), Vec::new(), at(1)).await.expect("stored")
    );
    let read = Responses::get(&store, &PrincipalId::new("a"), &id("a")).await.expect("read").expect("there");
    assert!(read.body == large);
}

/// The same answer from every implementation, and never an error of the database.
pub async fn what_cannot_be_stored_is_refused_and_not_found(store: impl Store) {
    Responses::create(&store, new("a")).await.expect("stored");
    Conversations::create(&store, conversation("c")).await.expect("stored");
    let (alice, a, c) = (principal(), id("a"), conversation_id("c"));
    let first = || page(None, 9, Order::Ascending);
    for bad in ["nul\0".to_owned(), "x".repeat(MAX_ID_BYTES + 1), "x".repeat(10 << 20)] {
        let (response, other) = (id(&bad), conversation_id(&bad));
        let item = StoredItem { id: bad.clone(), json: "{}".to_owned() };
        let principal = PrincipalId::new(bad.as_str());
        let input_items = vec![item.clone()];
        for refused in [
            Responses::create(&store, new(&bad)).await.err(),
            Responses::create(&store, NewResponse { previous: Some(response.clone()), ..new("b") })
                .await
                .err(),
            Responses::create(&store, NewResponse { conversation: Some(other.clone()), ..new("b") })
                .await
                .err(),
            Responses::create(&store, NewResponse { principal: principal.clone(), ..new("b") }).await.err(),
            Responses::create(&store, NewResponse { input_items, ..new("b") }).await.err(),
            Conversations::create(&store, conversation(&bad)).await.err(),
            store.finish(&a, Status::Failed, "{}".to_owned(), vec![item.clone()], at(1)).await.err(),
            store.append(&alice, &c, vec![item]).await.err(),
        ] {
            assert!(matches!(refused, Some(StoreError::Unstorable { .. })), "{refused:?}");
        }
        assert!(Responses::get(&store, &alice, &response).await.expect("answered").is_none());
        assert!(Responses::get(&store, &principal, &a).await.expect("answered").is_none());
        assert!(store.events(&alice, &response, None, 9).await.expect("answered").is_none());
        assert!(store.input_items(&alice, &response, first()).await.expect("answered").is_none());
        assert!(store.history(&alice, &response).await.expect("answered").is_none());
        assert!(!Responses::delete(&store, &alice, &response).await.expect("answered"));
        assert!(!store.append_events(&response, &[]).await.expect("answered"));
        assert!(!store.update_body(&response, Status::Failed, String::new()).await.expect("answered"));
        assert!(Conversations::get(&store, &alice, &other).await.expect("answered").is_none());
        assert!(store.items(&alice, &other, first()).await.expect("answered").is_none());
        assert!(store.all_items(&alice, &other).await.expect("answered").is_none());
        assert!(store.item(&alice, &c, &bad).await.expect("answered").is_none());
        assert!(!store.delete_item(&alice, &c, &bad).await.expect("answered"));
        assert!(!store.set_metadata(&alice, &other, String::new()).await.expect("answered"));
        assert!(!store.append(&alice, &other, Vec::new()).await.expect("answered"));
        assert!(!Conversations::delete(&store, &alice, &other).await.expect("answered"));
    }
    let nul = "\0".to_owned();
    let far = [StoredEvent { sequence: u64::MAX, json: String::new() }];
    let bad = [StoredEvent { sequence: 1, json: nul.clone() }];
    for refused in [
        store.append_events(&a, &far).await.err(),
        store.append_events(&a, &bad).await.err(),
        store.update_body(&a, Status::Failed, nul.clone()).await.err(),
        store.set_metadata(&alice, &c, nul.clone()).await.err(),
        store.fail_unfinished(at(1), &|_| nul.clone()).await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Unstorable { .. })), "{refused:?}");
    }
    let kept: Option<ResponseId> =
        Responses::get(&store, &alice, &a).await.expect("read").map(|kept| kept.id);
    assert_eq!(kept, Some(a));
}
