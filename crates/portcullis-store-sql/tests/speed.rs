//! How long the calls take that a stream makes. `cargo test --release --test speed -- --ignored --nocapture`

#![expect(clippy::print_stdout, clippy::use_debug, reason = "what it prints is what it is for")]

mod support;

use std::time::{Duration, Instant};

use portcullis_store::contract::support::{id, item, new, principal};
use portcullis_store::{NewResponse, Responses, StoredEvent};
use portcullis_store_sql::SqlStore;

const ROUNDS: u64 = 200;

fn report(database: &str, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (middle, worst) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{database}: {what}: median {middle:?}, 99 % {worst:?}");
}

async fn measure(database: &str, store: &SqlStore) {
    let json = format!(r#"{{"type":"response.output_text.delta","delta":"{}"}}"#, "x".repeat(150));
    let mut response = new("a");
    response.body = "x".repeat(4_000);
    response.input_items = (0..20).map(|n| item(&format!("msg_{n}"))).collect();
    Responses::create(store, response).await.expect("stored");
    let (principal, a) = (principal(), id("a"));
    let (mut append, mut get, mut events, mut create) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let event = |n| StoredEvent { sequence: round * 100 + n, json: json.clone() };
        let batch: Vec<StoredEvent> = (0..100).map(event).collect();
        let start = Instant::now();
        store.append_events(&a, &batch).await.expect("stored");
        append.push(start.elapsed());
        let start = Instant::now();
        Responses::get(store, &principal, &a).await.expect("read").expect("there");
        get.push(start.elapsed());
        let start = Instant::now();
        store.events(&principal, &a, Some(round * 100), 100).await.expect("read").expect("there");
        events.push(start.elapsed());
        let start = Instant::now();
        let previous = Some(if round == 0 { a.clone() } else { id(&format!("r{}", round - 1)) });
        Responses::create(store, NewResponse { previous, ..new(&format!("r{round}")) })
            .await
            .expect("stored");
        create.push(start.elapsed());
    }
    report(database, "append of 100 events", append);
    report(database, "get", get);
    report(database, "100 events read", events);
    report(database, "create", create);
    let start = Instant::now();
    store.history(&principal, &id(&format!("r{}", ROUNDS - 1))).await.expect("read").expect("there");
    println!("{database}: history of {ROUNDS} responses: {:?}", start.elapsed());
    let start = Instant::now();
    Responses::delete(store, &principal, &a).await.expect("deleted");
    println!("{database}: delete of a response with {} events: {:?}", ROUNDS * 100, start.elapsed());
}

#[tokio::test]
#[ignore = "measures"]
async fn speed() {
    let (store, _dir) = support::sqlite().await.expect("SQLite is always there");
    measure("SQLite", &store).await;
    if let Some((store, ())) = support::postgres().await {
        measure("PostgreSQL", &store).await;
    }
}
